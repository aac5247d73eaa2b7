/** The bytes of a tar in order, whatever they come from: checked as they pass, and compared with what is there already. */
import { createHash, type Hash } from 'node:crypto'
import type { WrittenPart } from '../archive/read-back.js'
import type { ReadBlob } from '../blob/blob-store.js'
import { expectDigest, tooLong, tooShort } from '../blob/verified.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'

/** A part of the tar: bytes in memory, or content with a digest. */
export type Segment = { readonly bytes: Uint8Array } | { readonly blob: Descriptor; readonly read: ReadBlob }

export function sizeOfSegment(segment: WrittenPart): number {
  return 'bytes' in segment ? segment.bytes.length : segment.blob.size
}

/** A place in the content that can be gone back to. */
export interface Mark {
  readonly segment: number
  /** Bytes of the segment that are before it. */
  readonly within: number
  readonly position: number
  /** Of the bytes `within` a blob; undefined if they were not seen. */
  readonly hash: Hash | undefined
  /** Whether some of these were on the medium already. */
  readonly held: boolean
}

/** Content that was on the medium is not what it should be: it is good only before `position`. */
export class Damaged extends Error {
  readonly position: number

  constructor(position: number) {
    super(`what is on the medium is damaged from byte ${position}`)
    this.position = position
  }
}

/** Goes through the segments once, from any {@link Mark}. The caller disposes of it. */
export class SegmentReader implements AsyncDisposable {
  readonly total: number
  readonly #segments: readonly Segment[]
  #segment = 0
  #within = 0
  #position = 0
  #hash: Hash | undefined = createHash('sha256')
  #held = false
  #source: AsyncIterator<Uint8Array> | undefined
  /** Read from the source, and not taken yet. */
  #pending: Uint8Array = new Uint8Array()

  constructor(segments: readonly Segment[]) {
    this.#segments = segments.filter(segment => sizeOfSegment(segment) > 0)
    this.total = this.#segments.reduce((sum, segment) => sum + sizeOfSegment(segment), 0)
  }

  get position(): number {
    return this.#position
  }

  mark(): Mark {
    return {
      segment: this.#segment,
      within: this.#within,
      position: this.#position,
      hash: this.#hash?.copy(),
      held: this.#held,
    }
  }

  async rewind({ segment, within, position, hash, held }: Mark): Promise<void> {
    await this[Symbol.asyncDispose]()
    this.#segment = segment
    this.#within = within
    this.#position = position
    this.#hash = hash?.copy()
    this.#held = held
  }

  /** Goes on `length` bytes that are somewhere else. */
  async skip(length: number): Promise<void> {
    await this[Symbol.asyncDispose]()
    for (let left = length; left > 0;) {
      const segment = this.#current()
      const step = Math.min(left, sizeOfSegment(segment) - this.#within)
      this.#hash = undefined
      this.#advance(step, segment)
      left -= step
    }
  }

  /**
   * Compares `piece`, which is on the medium, and goes on as far as it is right. Returns how many bytes that is. Throws
   * {@link Damaged} at the end of a blob that is wrong.
   */
  compare(piece: Uint8Array): number {
    for (let done = 0; done < piece.length;) {
      const segment = this.#current()
      const size = sizeOfSegment(segment)
      const part = piece.subarray(done, done + size - this.#within)
      if ('bytes' in segment) {
        const right = equalBytes(part, segment.bytes.subarray(this.#within, this.#within + part.length))
        this.#advance(right, segment)
        if (right < part.length) return done + right
      } else {
        const start = this.#position - this.#within
        this.#hash?.update(part)
        this.#held = true
        if (this.#within + part.length === size && this.#hash && !this.#isRight(segment.blob)) throw new Damaged(start)
        this.#advance(part.length, segment)
      }
      done += part.length
    }
    return piece.length
  }

  /**
   * The next bytes, at most `limit`. Throws what the source throws, SIZE_MISMATCH,
   * DIGEST_MISMATCH, and {@link Damaged} if a part of the blob was on the medium.
   */
  async next(limit: number): Promise<Uint8Array> {
    const segment = this.#current()
    if ('bytes' in segment) {
      const part = segment.bytes.subarray(this.#within, this.#within + limit)
      this.#advance(part.length, segment)
      return part
    }
    const { blob } = segment
    if (this.#pending.length === 0) await this.#fetch(segment)
    const part = this.#pending.subarray(0, limit)
    this.#pending = this.#pending.subarray(part.length)
    const end = this.#within + part.length
    if (end > blob.size || (end === blob.size && this.#pending.length > 0)) throw tooLong(blob)
    this.#hash?.update(part)
    if (end === blob.size) {
      const more = await this.#source?.next()
      if (more && !more.done && more.value.length > 0) throw tooLong(blob)
      this.#source = undefined
      if (!this.#isRight(blob)) {
        if (this.#held) throw new Damaged(this.#position - this.#within)
        expectDigest(blob, this.#hash?.digest('hex') ?? '', end)
      }
    }
    this.#advance(part.length, segment)
    return part
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const source = this.#source
    this.#source = undefined
    this.#pending = new Uint8Array()
    await source?.return?.()
  }

  /** Reads the next piece of the blob; from its start, if nothing is known of what is before the position. */
  async #fetch({ blob, read }: Extract<Segment, { blob: Descriptor }>): Promise<void> {
    let drop = 0
    if (!this.#source) {
      if (!this.#hash) {
        this.#hash = createHash('sha256')
        drop = this.#within
      }
      this.#source = read(this.#within - drop)[Symbol.asyncIterator]()
    }
    for (;;) {
      const next = await this.#source.next()
      if (next.done) throw tooShort(blob, this.#within - drop)
      const before = next.value.subarray(0, drop)
      this.#hash?.update(before)
      drop -= before.length
      this.#pending = next.value.subarray(before.length)
      if (this.#pending.length > 0) return
    }
  }

  #isRight({ digest }: Descriptor): boolean {
    return `sha256:${this.#hash?.copy().digest('hex') ?? ''}` === digest
  }

  #current(): Segment {
    const segment = this.#segments[this.#segment]
    if (!segment) throw new StowageError('INVALID_ARGUMENT', `the tar has ${this.total} bytes, and no more`)
    return segment
  }

  #advance(length: number, segment: Segment): void {
    this.#within += length
    this.#position += length
    if (this.#within < sizeOfSegment(segment)) return
    this.#segment += 1
    this.#within = 0
    this.#hash = createHash('sha256')
    this.#held = false
  }
}

/** How many bytes at the start of both are the same. */
function equalBytes(a: Uint8Array, b: Uint8Array): number {
  if (Buffer.compare(a, b) === 0) return a.length
  const at = a.findIndex((byte, n) => byte !== b[n])
  return at < 0 ? Math.min(a.length, b.length) : at
}
