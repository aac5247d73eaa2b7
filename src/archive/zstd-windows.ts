/**
 * Parses the frames of a Zstandard stream, so that frames that need too much memory are not decoded.
 * Source: RFC 8878, 3.1.1.
 */
import { StowageError } from '../errors.js'

/** Largest window that is decoded, in bytes: the default limit of the `zstd` command. */
const WINDOW_LIMIT = 128 * 1024 * 1024
/**
 * Blocks passed to the decoder at a time. Each decodes to up to 128 KiB, although a block of one repeated byte takes
 * only 4 bytes.
 */
const BLOCKS_AT_ONCE = 16
const FRAME_MAGIC = 0xfd2fb528
const CONTENT_SIZES = [0, 2, 4, 8]
const DICTIONARY_SIZES = [0, 1, 2, 4]

/** The kind of the next bytes of the stream. */
type Part = 'magic' | 'skippable' | 'descriptor' | 'header' | 'block'

/** Takes the pieces of a stream in order and skips the content. `name` is for messages. */
export class ZstdWindows {
  readonly #name: string
  #part: Part = 'magic'
  /** Number of bytes of the current part, and the bytes read so far. */
  #need = 4
  #got: number[] = []
  #skip = 0
  #checksum = false
  #blocks = 0

  constructor(name: string) {
    this.#name = name
  }

  /**
   * How many bytes of `piece` may be decoded next: all of them, or as many as hold at most 2 MiB of content. Throws
   * UNSUPPORTED for a frame with a window over 128 MiB, INVALID_TAR for anything that is not a frame.
   */
  look(piece: Uint8Array): number {
    this.#blocks = 0
    let at = 0
    while (at < piece.length && this.#blocks < BLOCKS_AT_ONCE) {
      const skipped = Math.min(this.#skip, piece.length - at)
      this.#skip -= skipped
      at += skipped
      while (at < piece.length && this.#skip === 0 && this.#got.length < this.#need) this.#got.push(piece[at++] ?? 0)
      if (this.#skip === 0 && this.#got.length === this.#need) this.#take(Buffer.from(this.#got))
    }
    return at
  }

  /** Throws INVALID_TAR if the stream ended inside a frame. */
  end(): void {
    if (this.#part === 'magic' && this.#got.length === 0 && this.#skip === 0) return
    throw new StowageError('INVALID_TAR', `${this.#name} is incomplete: its zstd stream ends early`, {
      hint: 'Copy the file again, and compare its size with the original.',
    })
  }

  #take(bytes: Buffer): void {
    switch (this.#part) {
      case 'magic': {
        const magic = bytes.readUInt32LE()
        if (magic === FRAME_MAGIC) {
          this.#expect('descriptor', 1)
          return
        }
        if (magic >>> 4 === 0x184d2a5) {
          this.#expect('skippable', 4)
          return
        }
        throw new StowageError(
          'INVALID_TAR',
          `${this.#name}: expected a zstd frame but found the bytes ${bytes.toString('hex')}`,
        )
      }
      case 'skippable':
        this.#blocks += 1
        this.#expect('magic', 4)
        this.#skip = bytes.readUInt32LE()
        return
      case 'descriptor': {
        const [descriptor = 0] = bytes
        this.#checksum = (descriptor & 4) !== 0
        const single = (descriptor & 32) !== 0
        const content = CONTENT_SIZES[descriptor >> 6] || (single ? 1 : 0)
        const size = (single ? 0 : 1) + (DICTIONARY_SIZES[descriptor & 3] ?? 0) + content
        this.#expect('header', size + 1)
        this.#got = [descriptor]
        return
      }
      case 'header':
        this.#checkWindow(bytes)
        {
          this.#expect('block', 3)
          return
        }
      case 'block': {
        this.#blocks += 1
        const block = bytes.readUIntLE(0, 3)
        const last = (block & 1) !== 0
        const repeated = ((block >> 1) & 3) === 1
        this.#expect(last ? 'magic' : 'block', last ? 4 : 3)
        this.#skip = (repeated ? 1 : block >> 3) + (last && this.#checksum ? 4 : 0)
      }
    }
  }

  #expect(part: Part, need: number): void {
    this.#part = part
    this.#need = need
    this.#got = []
  }

  /**
   * `header`: the frame header, from its descriptor on. In a single-segment frame the window is as large as the
   * content.
   */
  #checkWindow(header: Buffer): void {
    const [descriptor = 0, exponents = 0] = header
    const base = 2 ** (10 + (exponents >> 3))
    const window = (descriptor & 32) === 0 ? base + (base / 8) * (exponents & 7) : contentSize(header)
    if (window <= WINDOW_LIMIT) return
    throw new StowageError(
      'UNSUPPORTED',
      `${this.#name} needs ${window} bytes of memory to decompress (zstd --long); the limit is ${WINDOW_LIMIT}`,
      {
        hint: 'Decompress it first: zstd -d --long=31.',
      },
    )
  }
}

/** Content size of a single-segment frame, in bytes: the last field of its header. */
function contentSize(header: Buffer): number {
  const kind = (header[0] ?? 0) >> 6
  if (kind === 0) return header[header.length - 1] ?? 0
  if (kind === 1) return header.readUInt16LE(header.length - 2) + 256
  return kind === 2 ? header.readUInt32LE(header.length - 4) : Number(header.readBigUInt64LE(header.length - 8))
}
