/** Compresses and decompresses archives. */
import type { Transform } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import { pipeline } from 'node:stream/promises'
import type { Bytes, FetchOptions } from '../blob/blob-store.js'
import { abortError, StowageError, systemCode } from '../errors.js'
import { nativePart } from '../native.js'
import type { ArchiveCompression } from '../oci/compression.js'
import { ZstdWindows } from './zstd-windows.js'

const PIECE = 1024 * 1024
/** What may come of compressed bytes: this much in bytes, and beyond that this many times as much. native/ has the same. */
export const GROWTH = { free: 1024 * 1024 * 1024, times: 200 } as const

/** Whether `size` bytes are more than may come of `compressed` bytes, see {@link GROWTH}. */
export function outgrows(size: number, compressed: number): boolean {
  return size > GROWTH.free && size > GROWTH.times * compressed
}

/** Bytes passed to a decoder at a time, at least. */
const CODEC_PIECE = 64 * 1024

/**
 * Streams the decompressed bytes; several gzip members, zstd frames or xz streams may follow one another. Memory use
 * does not grow with the input: a zstd window is at most 128 MiB, and xz may use 256 MiB. `name` is for messages. Throws
 * INVALID_TAR if the stream is damaged or incomplete, UNSUPPORTED for a larger window and for xz without the addon, and
 * what `bytes` throws.
 */
export function decompressed(
  bytes: Bytes,
  compression: ArchiveCompression,
  name: string,
  { signal }: FetchOptions = {},
): Bytes {
  return DECODERS[compression](bytes, name, signal)
}

/**
 * Streams the compressed bytes; the same bytes give the same result. Without the addon, gzip is that of Node.js, whose
 * bytes are others. Throws UNSUPPORTED for zstd and xz without the addon, and what `bytes` throws.
 */
export function compressed(bytes: Bytes, compression: ArchiveCompression, { signal }: FetchOptions = {}): Bytes {
  return compression === 'gzip' && !nativePart('StreamCodec')
    ? piped(bytes, createGzip({ chunkSize: PIECE }), signal)
    : coded(bytes, openCodec(compression, true), signal)
}

type Decoder = (bytes: Bytes, name: string, signal: AbortSignal | undefined) => Bytes

const DECODERS: Readonly<Record<ArchiveCompression, Decoder>> = {
  gzip: gunzipped,
  zstd: (bytes, name, signal) => unzstd(bytes, name, signal),
  xz: unxz,
}

async function* gunzipped(bytes: Bytes, name: string, signal: AbortSignal | undefined): Bytes {
  try {
    yield* piped(bytes, createGunzip({ chunkSize: PIECE }), signal)
  } catch (error) {
    throw systemCode(error)?.startsWith('Z_') ? notWhole(name, 'gzip', error) : error
  }
}

async function* piped(bytes: Bytes, through: Transform, signal: AbortSignal | undefined): Bytes {
  const fed = pipeline(bytes, through, signal ? { signal } : {})
  const failure = fed.then(
    () => undefined,
    (error: unknown) => error,
  )
  try {
    yield* through as Bytes // a stream of buffers, whose type Node.js does not declare
    await fed
  } catch (error) {
    // The error of the source is more specific than that of the destroyed stream
    throw abortError((await failure) ?? error, signal)
  } finally {
    through.destroy()
    await failure
  }
}

async function* unxz(bytes: Bytes, name: string, signal: AbortSignal | undefined): Bytes {
  try {
    yield* coded(bytes, openCodec('xz', false), signal)
  } catch (error) {
    throw systemCode(error) === 'XZ_ERROR' ? notWhole(name, 'xz', error) : error
  }
}

async function* coded(bytes: Bytes, codec: StreamCodec, signal: AbortSignal | undefined): Bytes {
  for await (const piece of gathered(bytes)) yield* runCodec(codec, piece, false, signal)
  yield* runCodec(codec, new Uint8Array(), true, signal)
}

/** All that `piece` gives; with `end`, all that is left. */
async function* runCodec(codec: StreamCodec, piece: Uint8Array, end: boolean, signal: AbortSignal | undefined): Bytes {
  let next = piece
  do {
    signal?.throwIfAborted()
    const content = await codec.process(next, end)
    if (content.length > 0) yield content
    next = new Uint8Array()
  } while (codec.more())
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
      const next = whole.subarray(at, at + CODEC_PIECE)
      const size = windows.look(next)
      try {
        for await (const content of decoder.decode(next.subarray(0, size))) if (content.length > 0) yield content
      } catch (error) {
        throw notWhole(name, 'zstd', error)
      }
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
    if (size < CODEC_PIECE) continue
    yield held.length === 1 ? piece : Buffer.concat(held)
    held = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(held)
}

/** The interface of `native/stream_codec.cc`. */
interface StreamCodec {
  /** Returns up to 1 MiB of what is available so far; with `end`, of all that is left. */
  process(piece: Uint8Array, end: boolean): Promise<Uint8Array>
  /** Whether `process` has more to return without another piece. */
  more(): boolean
}

type CodecClass = new (format: ArchiveCompression, compress: boolean) => StreamCodec

function openCodec(format: ArchiveCompression, compress: boolean): StreamCodec {
  const Native = nativePart<CodecClass>('StreamCodec')
  if (Native) return new Native(format, compress)
  throw new StowageError(
    'UNSUPPORTED',
    `${format} cannot be ${compress ? 'written' : 'read'}: there is no native addon for ${process.platform}-${process.arch}`,
    { hint: compress ? `Write a .tar, and compress it with ${format}.` : `Decompress it first, with ${format} -d.` },
  )
}

interface ZstdDecoder {
  /** Decodes the next piece of the stream, in pieces. */
  decode(piece: Uint8Array): Bytes
}

/** The addon's decoder, or one in JavaScript if there is no addon (node:zlib has no zstd before Node.js 22.15). */
async function openZstdDecoder(): Promise<ZstdDecoder> {
  const Native = nativePart<CodecClass>('StreamCodec')
  if (!Native) return await openScriptDecoder()
  const codec = new Native('zstd', false)
  return { decode: piece => runCodec(codec, piece, false, undefined) }
}

/** fzstd's decoder, which is several times slower. */
export async function openScriptDecoder(): Promise<ZstdDecoder> {
  const { Decompress } = await import('fzstd')
  let decoded: Uint8Array[] = []
  const decoder = new Decompress(piece => void decoded.push(piece))
  return {
    async *decode(piece) {
      decoded = []
      decoder.push(piece, false)
      yield* decoded
    },
  }
}

function notWhole(name: string, compression: ArchiveCompression, error: unknown): StowageError {
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
