/**
 * Hashes several files at once with SHA-256, each on a thread of the addon, or without the addon in a worker: one thread
 * hashes slower than a good disk reads.
 */
import * as os from 'node:os'
import { Worker } from 'node:worker_threads'
import { abortError, fileError, StowageError } from '../errors.js'
import { nativePart, readFailure, runThreadJob } from '../native.js'
import { type Digest, digestFromHex } from '../oci/digest.js'
import type { DiskRange } from './blob-store.js'
import { type NativePlain, type Plain, plainOf } from './layer-watch.js'

export type HashAnswer =
  | { readonly type: 'progress'; readonly read: number }
  | { readonly type: 'digest'; readonly hex: string; readonly read: number }
  | { readonly type: 'error'; readonly file: string; readonly code: string; readonly message: string }

/** The result: `read` is less than the requested size if a file ends early. */
export interface Hashed {
  readonly digest: Digest
  readonly read: number
  /** What the tar in the content is, if that was asked for. */
  readonly plain?: Plain
}

export interface HashOptions {
  /** Called with the bytes read so far. */
  readonly onRead: (read: number) => void
  readonly signal?: AbortSignal | undefined
  /** Decompresses the content, which is a layer: only if {@link HashPool.looksIntoLayers}. */
  readonly plain?: boolean
}

/** `native/content_hash_job.h`. */
type NativeHash = new (
  content: { readonly paths: readonly string[]; readonly ranges: Float64Array; readonly plain: boolean },
  callback: (event: NativeEvent) => void,
) => { cancel(): void; close(): void }

interface NativeEvent {
  /** The number of the range that is read, and the bytes of all that were. */
  readonly range: number
  readonly done: number
  readonly result?: NativeHashed
  readonly error?: Error
}

interface NativeHashed {
  readonly hex: string
  readonly read: number
  readonly plain?: NativePlain
}

const MOST_THREADS = 4

/** Workers start when they are first needed. The caller disposes of the pool, which stops requests still running. */
export class HashPool implements AsyncDisposable {
  readonly #native: NativeHash | undefined
  /** How many requests to make at a time. */
  readonly threads: number
  readonly looksIntoLayers: boolean
  readonly #idle: Worker[] = []
  readonly #all: Worker[] = []

  /** `addon`: whether to use it if there is one. */
  constructor({ addon = true }: { readonly addon?: boolean } = {}) {
    this.#native = addon ? nativePart<NativeHash>('ContentHash') : undefined
    this.looksIntoLayers = this.#native !== undefined
    // The addon hashes two contents on one processor in little more than the time of one
    this.threads = Math.min(os.availableParallelism(), MOST_THREADS) * (this.#native ? 2 : 1)
  }

  /**
   * Hashes `ranges`, one after another, as one content. Call at most {@link threads} at a time. Throws the
   * {@link fileError} of a failed read, and ABORTED.
   */
  async hash(ranges: readonly DiskRange[], options: HashOptions): Promise<Hashed> {
    if (this.#native) return await hashNatively(this.#native, ranges, options)
    if (options.signal?.aborted) throw abortError(options.signal.reason, options.signal)
    const worker = this.#idle.pop() ?? this.#start()
    try {
      return await ask(worker, ranges, options)
    } finally {
      if (!options.signal?.aborted) this.#idle.push(worker)
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

async function hashNatively(
  Native: NativeHash,
  ranges: readonly DiskRange[],
  { onRead, signal, plain = false }: HashOptions,
): Promise<Hashed> {
  const content = {
    paths: ranges.map(({ file }) => file),
    ranges: Float64Array.from(ranges.flatMap(({ offset, size }) => [offset, size])),
    plain,
  }
  let [at, told] = [0, 0]
  const { hex, read, ...found } = await runThreadJob<NativeHashed>(
    report =>
      new Native(content, event => {
        at = event.range
        if (event.done > told) onRead((told = event.done))
        report(event)
      }),
    signal,
    error => readFailure(error, ranges[at]?.file ?? ''),
  )
  const hashed = { digest: digestFromHex(hex), read }
  return found.plain ? { ...hashed, plain: plainOf(found.plain, hex) } : hashed
}

function ask(worker: Worker, ranges: readonly DiskRange[], { onRead, signal }: HashOptions): Promise<Hashed> {
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
    signal?.addEventListener('abort', abort, { once: true })
    worker.on('message', listen).on('error', fail)
    worker.postMessage(ranges)
  })
}
