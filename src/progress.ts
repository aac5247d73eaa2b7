/** Progress events: the library passes them to `onProgress`, and the CLI displays them. */

/**
 * The kind of work. `connect`, `wait` (for an answer), `send` and `lock` (held by another process) are waits for
 * somebody else, during other work: they are reported only if they take a while. `read` and the kinds after it apply
 * to WIM files.
 */
export type Stage =
  | 'connect'
  | 'wait'
  | 'send'
  | 'download'
  | 'lock'
  | 'commit'
  | 'convert'
  | 'copy'
  | 'compress'
  | 'verify'
  | 'load'
  | 'prove'
  | 'read'
  | 'scan'
  | 'write'
  | 'hash'
  | 'extract'
  | 'split'
  | 'protect'
  | 'repair'

/** One event. Sizes are in bytes; `done` never decreases, and reaches `total` if the total is known. */
export type ProgressEvent =
  | { readonly type: 'stage'; readonly stage: Stage; readonly subject: string }
  | { readonly type: 'bytes'; readonly subject: string; readonly done: number; readonly total: number | undefined }
  | { readonly type: 'done'; readonly subject: string }
  | RetryEvent

/** A request failed in a way that may pass: it is repeated after `wait` milliseconds. */
export interface RetryEvent {
  readonly type: 'retry'
  /** The host that is asked again. */
  readonly subject: string
  /** Which retry this is, from 1, and how many there are at most. */
  readonly retry: number
  readonly retries: number
  readonly wait: number
  /** Why, in words: `registry.example answered with status 503`. */
  readonly reason: string
}

export type OnProgress = (event: ProgressEvent) => void

/** The options of every asynchronous call. */
export interface WaitOptions {
  /** Aborting it makes the call throw ABORTED; no file that looks complete is left behind. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}

/** Milliseconds after which a wait is reported: before a person wonders, but not for every quick answer. */
const UNSEEN = 300

/** The waits for one host, engine or file. However many there are at a time, they are reported as one. */
export class Waits {
  readonly #onProgress: OnProgress | undefined
  readonly #subject: string
  /** Waits that are reported and have not ended. */
  #seen = 0
  #stage: Stage | undefined

  constructor(onProgress: OnProgress | undefined, subject: string) {
    this.#onProgress = onProgress
    this.#subject = subject
  }

  /** Begins a wait; disposing of it ends it. */
  begin(stage: Stage): Wait {
    let [current, seen] = [stage, false]
    const timer = this.#onProgress
      ? setTimeout(() => {
          seen = true
          this.#seen += 1
          this.#report(current)
        }, UNSEEN)
      : undefined
    return {
      become: next => {
        current = next
        if (seen) this.#report(next)
      },
      [Symbol.dispose]: () => {
        clearTimeout(timer)
        if (!seen) return
        seen = false
        this.#seen -= 1
        if (this.#seen > 0) return
        this.#stage = undefined
        this.#onProgress?.({ type: 'done', subject: this.#subject })
      },
    }
  }

  #report(stage: Stage): void {
    if (stage === this.#stage) return
    this.#stage = stage
    this.#onProgress?.({ type: 'stage', stage, subject: this.#subject })
  }
}

export interface Wait extends Disposable {
  /** Goes on as another kind of wait. */
  become(stage: Stage): void
}
