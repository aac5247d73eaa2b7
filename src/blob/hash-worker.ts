/** The worker thread of hash-pool.ts: hashes a range of a file. */
import { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import type { HashAnswer, HashRequest } from './hash-pool.js'

const PIECE = 1024 * 1024
/** Bytes between two progress messages. */
const STEP = 16 * PIECE

const buffer = Buffer.allocUnsafeSlow(PIECE)

parentPort?.on('message', (request: HashRequest) => {
  try {
    answer({ type: 'digest', ...hash(request) })
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException // only file system calls throw here
    answer({ type: 'error', code, message })
  }
})

function hash({ file, offset, size }: HashRequest): { readonly hex: string; readonly read: number } {
  const sha256 = createHash('sha256')
  const handle = openSync(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
  let read = 0
  try {
    while (read < size) {
      const length = readSync(handle, buffer, 0, Math.min(PIECE, size - read), offset + read)
      if (length === 0) break
      sha256.update(buffer.subarray(0, length))
      read += length
      if (read % STEP === 0) answer({ type: 'progress', read })
    }
  } finally {
    closeSync(handle)
  }
  return { hex: sha256.digest('hex'), read }
}

function answer(message: HashAnswer): void {
  parentPort?.postMessage(message)
}
