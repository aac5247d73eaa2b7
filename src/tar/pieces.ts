/** Reads a range of an open file, such as the content of an archive member. */
import type { Bytes } from '../blob/blob-store.js'

const PIECE = 1024 * 1024

/** An open file, or several that are read as one. */
export interface ReadableFile {
  /** Reads up to `length` bytes from `position` into `buffer`, from its byte `at` on; fewer also before the end. */
  read(buffer: Buffer, at: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
  stat(): Promise<{ readonly size: number }>
  close(): Promise<void>
}

/**
 * `size` bytes from `offset` on, fewer if the file ends earlier, in pieces of up to 1 MiB. Each piece is a separate
 * buffer, and the next one is read ahead. The handle stays open.
 */
export async function* pieces(
  file: ReadableFile,
  offset: number,
  size: number,
  signal: AbortSignal | undefined,
): Bytes {
  const end = offset + size
  const next = (at: number): Promise<Buffer> | undefined =>
    at < end ? readPiece(file, at, Math.min(PIECE, end - at)) : undefined
  let position = offset
  let pending = next(position)
  try {
    while (pending) {
      signal?.throwIfAborted()
      const piece = await pending
      pending = undefined
      if (piece.length === 0) return
      position += piece.length
      pending = next(position)
      pending?.catch(() => undefined) // awaited in the next round; must not crash if the consumer stops before that
      yield piece
    }
  } finally {
    await pending?.catch(() => undefined) // the caller closes the handle next: no read may be pending
  }
}

async function readPiece(file: ReadableFile, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}
