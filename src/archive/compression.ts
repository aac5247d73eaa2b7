/** Decompresses files, and rejects unsupported compressions by name. */
import { createGunzip } from 'node:zlib'
import { pipeline } from 'node:stream/promises'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { abortError, StowageError, systemCode } from '../errors.js'
import { nativePart } from '../native.js'
import { type Compression, COMPRESSION_NAMES } from '../oci/compression.js'
import { ZstdWindows } from './zstd-windows.js'

const PIECE = 1024 * 1024
/** Bytes passed to the zstd decoder at a time. */
const ZSTD_PIECE = 64 * 1024

const OTHERS: readonly (readonly [string, string, RegExp])[] = [
  ['xz', 'xz -d', /^\xfd7zXZ\0/],
  ['bzip2', 'bzip2 -d', /^BZh[1-9]1AY&SY/],
  ['lz4', 'lz4 -d', /^\x04"M\x18/],
  ['zip', 'unzip', /^PK\x03\x04/],
]

/** Throws UNSUPPORTED, with the command that decompresses the file, if `head` is that of another compression. */
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
 * Streams the decompressed bytes; several gzip members or zstd frames may follow one another. Memory use does not grow
 * with the input: a zstd window is at most 128 MiB. `name` is for messages. Throws INVALID_TAR if the stream is damaged
 * or incomplete, UNSUPPORTED for a larger window, and what `bytes` throws.
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
    yield* gunzip as Bytes // a stream of buffers, whose type Node.js does not declare
    await fed
  } catch (error) {
    // The error of the source is more specific than that of the destroyed stream
    const first = (await failure) ?? error
    throw abortError(systemCode(first)?.startsWith('Z_') ? notWhole(name, 'gzip', first) : first, signal)
  } finally {
    gunzip.destroy()
    await failure
  }
}

/** {@link decompressed} for zstd, with the decoder that `open` returns. */
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

/** The same bytes in larger pieces, so that each call into the thread pool is worthwhile. */
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

/** The interface of `native/zstd_decoder.cc`. */
interface ZstdDecoder {
  /** Decodes the next piece of the stream; returns the content that is available so far. */
  decode(piece: Uint8Array): Promise<Uint8Array>
}

/** The addon's decoder, or one in JavaScript if there is no addon (node:zlib has no zstd before Node.js 22.15). */
async function openZstdDecoder(): Promise<ZstdDecoder> {
  const Native = nativePart<new () => ZstdDecoder>('ZstdDecoder')
  return Native ? new Native() : await openScriptDecoder()
}

/** fzstd's decoder, which is several times slower. */
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
