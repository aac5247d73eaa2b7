/** Downloads that continue where a connection broke off. */
import type { Bytes } from '../blob/blob-store.js'
import { abortError, StowageError } from '../errors.js'
import type { RetryEvent } from '../progress.js'
import { failureReason } from './failure.js'
import { backoff, pause } from './retry.js'

export interface Download {
  /** Position of the first byte to download. */
  readonly offset: number
  /** In bytes; undefined if the download is complete when a response ends without an error. */
  readonly size: number | undefined
  /**
   * Requests the bytes from `offset` on. A number among the pieces counts bytes that a native thread has written to the
   * file. The `offset` of the result is 0 if the server does not support ranges and starts from the beginning.
   */
  open(offset: number): Promise<{ readonly offset: number; readonly pieces: AsyncIterable<Uint8Array | number> }>
  /** Whether another attempt would fail too; by default so for any StowageError. */
  isFinal?(failure: unknown): boolean
  /**
   * The error after {@link TRIES} without progress at `offset`. `failure` is undefined if the last response just ended
   * early.
   */
  broken(offset: number, failure: unknown): unknown
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds before the second attempt; each wait is about twice the one before. */
  readonly backoff?: number | undefined
  /** Called before each wait for another attempt. */
  readonly onRetry?: ((retry: Omit<RetryEvent, 'type' | 'subject'>) => void) | undefined
}

/** Consecutive attempts without progress after which a download fails. */
export const TRIES = 6

/** The bytes of `source`. Throws failures that `source` says are final, the result of `source.broken`, and ABORTED. */
export async function* download(source: Download, { signal, backoff: first, onRetry }: DownloadOptions): Bytes {
  const { size, isFinal = (failure: unknown) => failure instanceof StowageError } = source
  let { offset } = source
  if (size !== undefined && size > 0 && offset >= size) return
  for (let tries = 0; ; tries += 1) {
    let progress = false
    let failure: unknown
    try {
      const answer = await source.open(offset)
      offset = answer.offset
      for await (const piece of answer.pieces) {
        const length = typeof piece === 'number' ? piece : piece.length
        progress ||= length > 0
        offset += length
        if (typeof piece !== 'number') yield piece
      }
      if (size === undefined || offset >= size) return
    } catch (error) {
      if (signal?.aborted) throw abortError(error, signal)
      if (isFinal(error)) throw error
      failure = error
    }
    if (progress) tries = 0
    else if (tries + 1 >= TRIES) throw source.broken(offset, failure)
    const wait = backoff(tries, first)
    const reason = failure === undefined ? 'the response ended early' : failureReason(failure)
    onRetry?.({ retry: tries + 1, retries: TRIES - 1, wait, reason })
    await pause(wait, signal)
  }
}
