/** A range of an open file as bytes: how the content of an archive's member is read. */
import type { FileHandle } from 'node:fs/promises'
import type { Bytes } from '../blob/blob-store.js'

const PIECE = 1024 * 1024

/**
 * `size` bytes from `offset` on, fewer when the file ends before; in pieces of up to 1 MiB, each a buffer of its own, the next one
 * being read while one is used. The handle stays open.
 */
export async function* pieces(file: FileHandle, offset: number, size: number, signal: AbortSignal | undefined): Bytes {
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
      pending?.catch(() => undefined) // it is awaited in the next round; a reader that stops before must not crash us
      yield piece
    }
  } finally {
    await pending?.catch(() => undefined) // the handle is closed next: no read may still be under way
  }
}

async function readPiece(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}
