/**
 * Hashes several files at once with SHA-256, each on its own thread: one thread hashes slower than a good disk reads.
 */
import * as os from 'node:os'
import { Worker } from 'node:worker_threads'
import { fileError, StowageError } from '../errors.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import type { DiskRange } from './blob-store.js'

export type HashAnswer =
  | { readonly type: 'progress'; readonly read: number }
  | { readonly type: 'digest'; readonly hex: string; readonly read: number }
  | { readonly type: 'error'; readonly file: string; readonly code: string; readonly message: string }

/** The result: `read` is less than the requested size if a file ends early. */
export interface Hashed {
  readonly digest: Digest
  readonly read: number
}

const MOST_THREADS = 4

/** Threads start when they are first needed. The caller disposes of the pool, which stops requests still running. */
export class HashPool implements AsyncDisposable {
  /** How many requests to make at a time. */
  readonly threads = Math.min(os.availableParallelism(), MOST_THREADS)
  readonly #idle: Worker[] = []
  readonly #all: Worker[] = []

  /**
   * Hashes `ranges`, one after another, as one content. Call at most {@link threads} at a time. Throws the
   * {@link fileError} of a failed read, and ABORTED.
   */
  async hash(ranges: readonly DiskRange[], onRead: (read: number) => void, signal?: AbortSignal): Promise<Hashed> {
    const worker = this.#idle.pop() ?? this.#start()
    try {
      return await ask(worker, ranges, onRead, signal)
    } finally {
      if (!signal?.aborted) this.#idle.push(worker)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map(worker => worker.terminate()))
  }

  #start(): Worker {
    const worker = new Worker(new URL('./hash-worker.js', import.meta.url))
    this.#all.push(worker)
    return worker
  }
}

function ask(
  worker: Worker,
  ranges: readonly DiskRange[],
  onRead: (read: number) => void,
  signal?: AbortSignal,
): Promise<Hashed> {
  return new Promise((resolve, reject) => {
    const abort = (): void => settle(() => reject(new StowageError('ABORTED', 'interrupted before the end')))
    const fail = (error: unknown): void => settle(() => reject(error))
    const listen = (answer: HashAnswer): void => {
      if (answer.type === 'progress') {
        onRead(answer.read)
        return
      }
      settle(() => {
        if (answer.type === 'digest') resolve({ digest: digestFromHex(answer.hex), read: answer.read })
        else reject(fileError(Object.assign(new Error(answer.message), { code: answer.code }), answer.file))
      })
    }
    function settle(end: () => void): void {
      worker.off('message', listen).off('error', fail)
      signal?.removeEventListener('abort', abort)
      end()
    }
    if (signal?.aborted) {
      abort()
      return
    }
    signal?.addEventListener('abort', abort, { once: true })
    worker.on('message', listen).on('error', fail)
    worker.postMessage(ranges)
  })
}
