/** The bytes in a compressed file; and compressions that are not read here, refused by name. */
import { createGunzip } from 'node:zlib'
import { pipeline } from 'node:stream/promises'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { abortError, StowageError, systemCode } from '../errors.js'
import { nativePart } from '../native.js'
import { type Compression, COMPRESSION_NAMES } from '../oci/compression.js'
import { ZstdWindows } from './zstd-windows.js'

const PIECE = 1024 * 1024
/** What the zstd decoder is given at a time, in bytes. */
const ZSTD_PIECE = 64 * 1024

const OTHERS: readonly (readonly [string, string, RegExp])[] = [
  ['xz', 'xz -d', /^\xfd7zXZ\0/],
  ['bzip2', 'bzip2 -d', /^BZh[1-9]1AY&SY/],
  ['lz4', 'lz4 -d', /^\x04"M\x18/],
  ['zip', 'unzip', /^PK\x03\x04/],
]

/** Throws UNSUPPORTED if `head` begins a file of another compression, saying what decompresses it. */
export function refuseOthers(head: Uint8Array, name: string): void {
  const text = Buffer.from(head).toString('latin1')
  for (const [other, command, magic] of OTHERS) {
    if (!magic.test(text)) continue
    throw new StowageError(
      'UNSUPPORTED',
      `${name} is compressed with ${other}; only ${COMPRESSION_NAMES.join(', ')} and uncompressed files can be read`,
      {
        hint: `Decompress it first: ${command} ${name}`,
      },
    )
  }
}

/**
 * The decompressed bytes, as a stream; gzip members and zstd frames may follow one another. Memory does not grow with the input: a
 * zstd window is at most 128 MiB. `name` is for messages. Throws INVALID_TAR for what is not whole, UNSUPPORTED for a larger
 * window, and what `bytes` throws.
 */
export function decompressed(
  bytes: Bytes,
  compression: Compression,
  name: string,
  { signal }: FetchOptions = {},
): Bytes {
  return DECODERS[compression](bytes, name, signal)
}

const DECODERS: Readonly<Record<Compression, (bytes: Bytes, name: string, signal: AbortSignal | undefined) => Bytes>> =
  { gzip: gunzipped, zstd: (bytes, name, signal) => unzstd(bytes, name, signal) }

async function* gunzipped(bytes: Bytes, name: string, signal: AbortSignal | undefined): Bytes {
  const gunzip = createGunzip({ chunkSize: PIECE })
  const fed = pipeline(bytes, gunzip, signal ? { signal } : {})
  const failure = fed.then(
    () => undefined,
    (error: unknown) => error,
  )
  try {
    yield* gunzip as Bytes // a stream of buffers, which Node.js does not type
    await fed
  } catch (error) {
    // What the source threw says more than a stream that was destroyed
    const first = (await failure) ?? error
    throw abortError(systemCode(first)?.startsWith('Z_') ? notWhole(name, 'gzip', first) : first, signal)
  } finally {
    gunzip.destroy()
    await failure
  }
}

/** {@link decompressed} for zstd, with the decoder that `open` gives. */
export async function* unzstd(
  bytes: Bytes,
  name: string,
  signal: AbortSignal | undefined,
  open: () => Promise<ZstdDecoder> = openZstdDecoder,
): Bytes {
  const decoder = await open()
  const windows = new ZstdWindows(name)
  for await (const whole of gathered(bytes)) {
    for (let at = 0; at < whole.length;) {
      signal?.throwIfAborted()
      const next = whole.subarray(at, at + ZSTD_PIECE)
      const size = windows.look(next)
      const content = await decoder.decode(next.subarray(0, size)).catch((error: unknown) => {
        throw notWhole(name, 'zstd', error)
      })
      if (content.length > 0) yield content
      at += size
    }
  }
  windows.end()
}

/** The same bytes in pieces that are worth a turn of the thread pool. */
async function* gathered(bytes: Bytes): Bytes {
  let held: Uint8Array[] = []
  let size = 0
  for await (const piece of bytes) {
    held.push(piece)
    size += piece.length
    if (size < ZSTD_PIECE) continue
    yield held.length === 1 ? piece : Buffer.concat(held)
    held = []
    size = 0
  }
  yield Buffer.concat(held)
}

/** What `native/zstd_decoder.cc` offers. */
interface ZstdDecoder {
  /** The content of the next piece of the stream, as far as it can be decoded yet. */
  decode(piece: Uint8Array): Promise<Uint8Array>
}

/** The addon's decoder; without the addon, one in JavaScript (node:zlib has none before Node.js 22.15). */
async function openZstdDecoder(): Promise<ZstdDecoder> {
  const Native = nativePart<new () => ZstdDecoder>('ZstdDecoder')
  return Native ? new Native() : await openScriptDecoder()
}

/** fzstd's decoder, which takes several times as long. */
export async function openScriptDecoder(): Promise<ZstdDecoder> {
  const { Decompress } = await import('fzstd')
  let decoded: Uint8Array[] = []
  const decoder = new Decompress(piece => void decoded.push(piece))
  return {
    async decode(piece) {
      decoded = []
      decoder.push(piece, false)
      return Buffer.concat(decoded)
    },
  }
}

function notWhole(name: string, compression: Compression, error: unknown): StowageError {
  const message = error instanceof Error ? error.message : String(error)
  return new StowageError(
    'INVALID_TAR',
    `${name} is incomplete: its ${compression} stream is damaged or ends early (${message})`,
    {
      hint: 'Copy the file again, and compare its size with the original.',
      cause: error,
    },
  )
}
