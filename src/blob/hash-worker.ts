/** The worker thread of hash-pool.ts: hashes ranges of files. */
import { createHash, type Hash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import type { DiskRange } from './blob-store.js'
import type { HashAnswer } from './hash-pool.js'

const PIECE = 1024 * 1024
/** Bytes between two progress messages. */
const STEP = 16 * PIECE

const buffer = Buffer.allocUnsafeSlow(PIECE)

parentPort?.on('message', (ranges: readonly DiskRange[]) => {
  const sha256 = createHash('sha256')
  let read = 0
  for (const range of ranges) {
    try {
      const added = hashRange(sha256, range, read)
      read += added
      if (added < range.size) break
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException // only file system calls throw here
      answer({ type: 'error', file: range.file, code, message })
      return
    }
  }
  answer({ type: 'digest', hex: sha256.digest('hex'), read })
})

/** Returns how many bytes of the range there are; `before` were read before them. */
function hashRange(sha256: Hash, { file, offset, size }: DiskRange, before: number): number {
  const handle = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  let read = 0
  try {
    while (read < size) {
      const length = readSync(handle, buffer, 0, Math.min(PIECE, size - read), offset + read)
      if (length === 0) break
      sha256.update(buffer.subarray(0, length))
      read += length
      if (read % STEP === 0) answer({ type: 'progress', read: before + read })
    }
  } finally {
    closeSync(handle)
  }
  return read
}

function answer(message: HashAnswer): void {
  parentPort?.postMessage(message)
}
