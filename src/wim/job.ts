/** Operations of libwim: each on a thread of its own, watched, answered and cancelled; one at a time on one WIM. */
import { StowageError } from '../errors.js'
import type { NativeArguments, NativeValue, NativeWimJob } from './addon.js'
import { binding, nativeError } from './binding.js'
import { compressionName } from './compression.js'
import { WimlibError, isWimlibErrorCode } from './error.js'
import type { AddOptions, JobOptions, SplitOptions } from './options.js'
import type { WimProgress } from './progress.js'

/** Who watches a job, and answers what libwim asks. */
export interface JobWatch extends JobOptions {
  readonly exclude?: AddOptions['exclude']
  readonly onError?: AddOptions['onError']
  readonly partName?: SplitOptions['partName']
}

export interface Job {
  /** Its result; rejects within a second of an abort, whether or not libwim has noticed yet. */
  readonly result: Promise<unknown>
  /** The thread has ended, and what it used is free. Never rejects. */
  readonly ended: Promise<void>
}

/** libwim looks up between chunks. One that it compresses for longer is not waited for. */
const PATIENCE_MS = 500

/** Starts `operation` of `native/wim/operations.cc`. `path` is what errors are about. */
export function startJob(operation: string, args: NativeArguments, path: string, watch: JobWatch = {}): Job {
  const { signal, onProgress } = watch
  // A file that is changed in place must not be left in the middle.
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
      timer ??= setTimeout(leave, PATIENCE_MS)
    }
    const leave = (): void => {
      reject(failure)
      if (!changesFiles) native?.unref()
    }
    const tell = (event: unknown): void => {
      try {
        onProgress?.(parseProgress(event))
      } catch (error) {
        fail(error) // the caller's own: the job is not wanted any more
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
        for (const event of events) tell(event)
        if (question !== undefined) void answer(question)
        if (!over) return
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        // The result first: whoever waits for the end finds it settled.
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
  const asked = question as Question // made by native/wim/observer.cc, as declared below
  switch (asked.type) {
    case 'exclude':
      return (await exclude?.(asked.path)) ?? false
    case 'error': {
      const code = isWimlibErrorCode(asked.code) ? asked.code : 'WIMLIB_ERR_UNKNOWN'
      const error = new StowageError(
        'WIM_ERROR',
        `${asked.path}: ${asked.message}${asked.details ? ` (${asked.details})` : ''}`,
        {
          cause: new WimlibError(code, asked.message, asked.details),
        },
      )
      return (await onError?.(asked.path, error)) === 'ignore'
    }
    case 'part-name':
      return await partName?.({ number: asked.partNumber, total: asked.totalParts, path: asked.partName })
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

function parseProgress(event: unknown): WimProgress {
  const told = event as { readonly type: string; readonly compression?: number } // made by native/wim/observer.cc
  if (told.compression === undefined) return told as WimProgress
  return { ...told, compression: compressionName(told.compression) } as WimProgress
}

/** Lets one job at a time use a WIM: those that come wait in line. */
export class JobQueue {
  #tail: Promise<unknown> = Promise.resolve()

  /** All that was begun has ended. */
  get idle(): Promise<unknown> {
    return this.#tail
  }

  /**
   * Starts `start` when all jobs begun before it on any of `queues` have ended, and gives its result. It takes its place in all
   * lines at once, so two jobs on the same two WIMs never wait for each other.
   */
  static async run(queues: readonly JobQueue[], start: () => Job, signal?: AbortSignal): Promise<unknown> {
    const before = Promise.all(queues.map(queue => queue.#tail))
    const job = before.then(start)
    const tail = job.then(
      ({ ended }) => ended,
      () => undefined,
    )
    for (const queue of queues) queue.#tail = tail
    if (!signal) return (await job).result
    return await Promise.race([job.then(({ result }) => result), rejectedOnAbort(signal, job)])
  }
}

/** Rejects once `signal` aborts, unless the job has begun: then the job itself knows better when to. */
function rejectedOnAbort(signal: AbortSignal, job: Promise<Job>): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(aborted(signal))
    const leave = (): void => signal.removeEventListener('abort', abort)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    job.then(leave, leave)
  })
}
