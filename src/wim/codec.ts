/** Compresses and decompresses single chunks: XPRESS and LZMS of [MS-XCA], LZX of the cabinet format. */
import { StowageError } from '../errors.js'
import { binding, nativeError } from './binding.js'
import { checkedLevel, compressionNumber, type WimCompressionType } from './compression.js'

export type Codec = Exclude<WimCompressionType, 'none'>

export interface CodecOptions {
  readonly compression: Codec
  /** As in WriteOptions: 20 is fast, 50 normal, 100 slow, and 0 libwim's default. */
  readonly level?: number | undefined
}

const MAX_CHUNK = 1 << 30

/**
 * Compresses one chunk on another thread. Undefined if it does not get smaller: a WIM stores such a chunk uncompressed.
 * The limits are 64 KiB for XPRESS, 2 MiB for LZX and 1 GiB for LZMS. Throws INVALID_ARGUMENT.
 */
export async function compressChunk(
  chunk: Uint8Array,
  { compression, level }: CodecOptions,
): Promise<Buffer | undefined> {
  const size = checkedSize(chunk.length)
  try {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, size)
    return await binding().compressChunk(compressionNumber(compression), checkedLevel(level), bytes)
  } catch (error) {
    throw nativeError(error, 'a chunk')
  }
}

/**
 * Decompresses one chunk to exactly `size` bytes. `chunkSize`, by default `size`, is the chunk size for which it was
 * compressed. Throws WIM_CORRUPT if it cannot be decompressed, and INVALID_ARGUMENT.
 */
export async function decompressChunk(
  compressed: Uint8Array,
  size: number,
  { compression, chunkSize = size }: { compression: Codec; chunkSize?: number | undefined },
): Promise<Buffer> {
  if (checkedSize(chunkSize) < checkedSize(size)) {
    throw new StowageError('INVALID_ARGUMENT', `expected a chunk of at most ${chunkSize} bytes but it has ${size}`)
  }
  try {
    const bytes = Buffer.from(compressed.buffer, compressed.byteOffset, compressed.length)
    return await binding().decompressChunk(compressionNumber(compression), chunkSize, bytes, size)
  } catch (error) {
    throw nativeError(error, 'a chunk')
  }
}

/** Bytes of memory that each thread needs to compress chunks of `chunkSize`. Throws INVALID_ARGUMENT. */
export function compressorMemory(chunkSize: number, { compression, level }: CodecOptions): number {
  let memory
  try {
    memory = binding().compressorMemory(compressionNumber(compression), checkedSize(chunkSize), checkedLevel(level))
  } catch (error) {
    throw nativeError(error, 'a chunk')
  }
  if (memory > 0) return memory
  throw new StowageError('INVALID_ARGUMENT', `${compression} does not support chunks of ${chunkSize} bytes`)
}

function checkedSize(size: number): number {
  if (Number.isInteger(size) && size >= 1 && size <= MAX_CHUNK) return size
  throw new StowageError('INVALID_ARGUMENT', `expected a chunk of 1 to ${MAX_CHUNK} bytes but found ${size}`)
}
