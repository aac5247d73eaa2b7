/** Progress as a union of events: the library gives them to `onProgress`, the CLI draws them. */

/** What is done; those after `read` are done to WIM files. */
export type Stage =
  'convert' | 'copy' | 'verify' | 'load' | 'prove' | 'read' | 'scan' | 'write' | 'hash' | 'extract' | 'split'

/** One event. Sizes are bytes; `done` never falls, and reaches `total` where the total is known. */
export type ProgressEvent =
  | { readonly type: 'stage'; readonly stage: Stage; readonly subject: string }
  | { readonly type: 'bytes'; readonly subject: string; readonly done: number; readonly total: number | undefined }
  | { readonly type: 'done'; readonly subject: string }

export type OnProgress = (event: ProgressEvent) => void

/** Options every call that waits takes. */
export interface WaitOptions {
  /** Aborting it ends the call with ABORTED; nothing that looks whole is left behind. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: OnProgress | undefined
}
