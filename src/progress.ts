/** Progress events: the library passes them to `onProgress`, and the CLI displays them. */

/** The kind of work; `read` and the kinds after it apply to WIM files. */
export type Stage =
  'convert' | 'copy' | 'verify' | 'load' | 'prove' | 'read' | 'scan' | 'write' | 'hash' | 'extract' | 'split'

/** One event. Sizes are in bytes; `done` never decreases, and reaches `total` if the total is known. */
export type ProgressEvent =
  | { readonly type: 'stage'; readonly stage: Stage; readonly subject: string }
  | { readonly type: 'bytes'; readonly subject: string; readonly done: number; readonly total: number | undefined }
  | { readonly type: 'done'; readonly subject: string }

export type OnProgress = (event: ProgressEvent) => void

/** The options of every asynchronous call. */
export interface WaitOptions {
  /** Aborting it makes the call throw ABORTED; no file that looks complete is left behind. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}
