/**
 * Runs operations of libwim, each on its own thread and one at a time for each WIM, with progress, questions and abort.
 */
import { StowageError } from '../errors.js'
import type { NativeArguments, NativeValue, NativeWimJob } from './addon.js'
import { binding, nativeError } from './binding.js'
import { compressionName } from './compression.js'
import { WimlibError, isWimlibErrorCode } from './error.js'
import type { AddOptions, JobOptions, SplitOptions } from './options.js'
import type { WimProgress } from './progress.js'

/** The callbacks and the abort signal of a job. */
export interface JobWatch extends JobOptions {
  readonly exclude?: AddOptions['exclude']
  readonly onError?: AddOptions['onError']
  readonly partName?: SplitOptions['partName']
}

export interface Job {
  /** The result. Rejects within a second of an abort, even if libwim has not stopped yet. */
  readonly result: Promise<unknown>
  /** Resolves when the thread has ended and released everything. Never rejects. */
  readonly ended: Promise<void>
}

/** Milliseconds to wait after an abort, which libwim notices only between chunks. */
const ABORT_WAIT_MS = 500
/** Milliseconds between ticks of a timer that does nothing. */
const LONG_MS = 2 ** 30

/** Starts `operation` of `native/wim/operations.cc`. `path` is for errors. */
export function startJob(operation: string, args: NativeArguments, path: string, watch: JobWatch = {}): Job {
  const { signal, onProgress } = watch
  // The process must not end while a file is being changed in place
  const changesFiles = operation === 'overwrite'
  let end: () => void = () => undefined
  const ended = new Promise<void>(resolve => (end = resolve))
  const result = new Promise<unknown>((resolve, reject) => {
    let native: NativeWimJob | undefined
    let timer: NodeJS.Timeout | undefined
    let failure: unknown
    const fail = (error: unknown): void => {
      failure ??= error
      native?.cancel()
    }
    const abort = (): void => {
      fail(aborted(signal))
      timer ??= setTimeout(stopWaiting, ABORT_WAIT_MS)
    }
    const stopWaiting = (): void => {
      reject(failure)
      if (!changesFiles) native?.unref()
    }
    const report = (event: unknown): void => {
      try {
        onProgress?.(parseProgress(event))
      } catch (error) {
        fail(error) // an error of the caller's listener cancels the job
      }
    }
    const answer = async (question: unknown): Promise<void> => {
      try {
        native?.answer(await answerTo(question, watch))
      } catch (error) {
        fail(error)
      }
    }
    try {
      signal?.throwIfAborted()
      native = new (binding().WimJob)(operation, args, (events, question, over, value, error) => {
        for (const event of events) report(event)
        if (question !== undefined) void answer(question)
        if (!over) return
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        // Settle the result first, so that it is settled for code that awaits the end
        if (failure !== undefined) reject(failure)
        else if (error !== undefined) reject(nativeError(error, path))
        else resolve(value)
        end()
      })
      signal?.addEventListener('abort', abort, { once: true })
    } catch (error) {
      reject(signal?.aborted ? aborted(signal) : nativeError(error, path))
      end()
    }
  })
  return { result, ended }
}

function aborted(signal: AbortSignal | undefined): StowageError {
  const reason: unknown = signal?.reason
  if (reason instanceof StowageError) return reason
  return new StowageError('ABORTED', 'interrupted before the end', { cause: reason })
}

async function answerTo(question: unknown, { exclude, onError, partName }: JobWatch): Promise<NativeValue> {
  const parsed = question as Question // native/wim/observer.cc builds it as declared below
  switch (parsed.type) {
    case 'exclude':
      return (await exclude?.(parsed.path)) ?? false
    case 'error': {
      const { path, message, details } = parsed
      const code = isWimlibErrorCode(parsed.code) ? parsed.code : 'WIMLIB_ERR_UNKNOWN'
      const error = new StowageError('WIM_ERROR', `${path}: ${message}${details ? ` (${details})` : ''}`, {
        cause: new WimlibError(code, message, details),
      })
      return (await onError?.(path, error)) === 'ignore'
    }
    case 'part-name':
      return await partName?.({ number: parsed.partNumber, total: parsed.totalParts, path: parsed.partName })
  }
}

type Question =
  | { readonly type: 'exclude'; readonly path: string }
  | {
      readonly type: 'error'
      readonly path: string
      readonly code: string
      readonly message: string
      readonly details: string
    }
  | { readonly type: 'part-name'; readonly partNumber: number; readonly totalParts: number; readonly partName: string }

/** Converts an event of native/wim/observer.cc, whose compression is a number. */
export function parseProgress(event: unknown): WimProgress {
  const native = event as { readonly type: string; readonly compression?: number } // native/wim/observer.cc builds it
  if (native.compression === undefined) return native as WimProgress
  return { ...native, compression: compressionName(native.compression) } as WimProgress
}

/** Lets one job at a time use a WIM. The others wait in order. */
export class JobQueue {
  #tail: Promise<unknown> = Promise.resolve()

  /** Resolves when all jobs that were added have ended. */
  get idle(): Promise<unknown> {
    return this.#tail
  }

  /**
   * Calls `start` when all earlier jobs in any of `queues` have ended, and returns its result. The job is added to all
   * queues at once, so that two jobs on the same two WIMs never wait for each other.
   */
  static async run(queues: readonly JobQueue[], start: () => Job, signal?: AbortSignal): Promise<unknown> {
    const before = Promise.all(queues.map(queue => queue.#tail))
    // An aborted job that has not stopped yet does not keep the process from ending; one that waits for it does
    const waiting = setInterval(() => undefined, LONG_MS)
    const stopWaiting = (): void => clearInterval(waiting)
    if (signal?.aborted) stopWaiting()
    signal?.addEventListener('abort', stopWaiting, { once: true })
    const job = before.then(() => {
      stopWaiting()
      signal?.removeEventListener('abort', stopWaiting)
      return start()
    })
    const tail = job.then(
      ({ ended }) => ended,
      () => undefined,
    )
    for (const queue of queues) queue.#tail = tail
    if (!signal) return (await job).result
    return await Promise.race([job.then(({ result }) => result), rejectedOnAbort(signal, job)])
  }
}

/** Rejects when `signal` aborts before the job has started. After that, the job handles the abort itself. */
function rejectedOnAbort(signal: AbortSignal, job: Promise<Job>): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(aborted(signal))
    const stop = (): void => signal.removeEventListener('abort', abort)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    job.then(stop, stop)
  })
}
