/** The codecs of WIM files, one chunk at a time: XPRESS and LZMS of [MS-XCA], LZX of the cabinet format. */
import { StowageError } from '../errors.js'
import { binding, nativeError } from './binding.js'
import { checkedLevel, compressionNumber, type WimCompressionType } from './compression.js'

export type Codec = Exclude<WimCompressionType, 'none'>

export interface CodecOptions {
  readonly compression: Codec
  /** As in WriteOptions: 20 is fast, 50 normal, 100 slow; 0: libwim's default. */
  readonly level?: number | undefined
}

const LARGEST = 1 << 30

/**
 * Compresses one chunk, off the JavaScript thread. Undefined where it gets no smaller: a WIM stores such a chunk as it is. XPRESS
 * takes up to 64 KiB, LZX 2 MiB, LZMS 1 GiB. Throws INVALID_ARGUMENT.
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
 * Decompresses one chunk to exactly `size` bytes. `chunkSize`, where it is given, is the chunk size it was compressed for, and not less
 * than `size`. Throws WIM_CORRUPT for what does not decompress, and INVALID_ARGUMENT.
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

/** Bytes of memory that compressing chunks of `chunkSize` takes, each thread. */
export function compressorMemory(chunkSize: number, { compression, level }: CodecOptions): number {
  const memory = binding().compressorMemory(compressionNumber(compression), checkedSize(chunkSize), checkedLevel(level))
  if (memory > 0) return memory
  throw new StowageError('INVALID_ARGUMENT', `${compression} has no chunks of ${chunkSize} bytes`)
}

function checkedSize(size: number): number {
  if (Number.isInteger(size) && size >= 1 && size <= LARGEST) return size
  throw new StowageError('INVALID_ARGUMENT', `expected a chunk of 1 to ${LARGEST} bytes but found ${size}`)
}
