/** Downloads that continue where a connection ended. */
import type { Bytes } from '../blob/blob-store.js'
import { abortError, StowageError } from '../errors.js'
import { backoff, pause } from './retry.js'

export interface Download {
  /** The first byte that is wanted. */
  readonly offset: number
  /** In bytes; undefined if it is whole when an answer ends without an error. */
  readonly size: number | undefined
  /**
   * The bytes from `offset` on, as far as they come. A number stands for as many bytes that went to their file by themselves. The
   * result's `offset` is 0 if the server knows no ranges and begins anew.
   */
  open(offset: number): Promise<{ readonly offset: number; readonly pieces: AsyncIterable<Uint8Array | number> }>
  /** Whether another try cannot mend `failure`; without it, any StowageError is final. */
  isFinal?(failure: unknown): boolean
  /** The error to throw after {@link TRIES} without progress, at `offset`; `failure` is undefined if the last try ended early. */
  broken(offset: number, failure: unknown): unknown
}

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds before the second try; each wait is about twice the one before. */
  readonly backoff?: number | undefined
}

/** Tries in a row that bring no byte before a download is given up. */
export const TRIES = 6

/** The bytes of `source`. Throws what it finds final, what `source.broken` returns, and ABORTED. */
export async function* download(source: Download, { signal, backoff: first }: DownloadOptions): Bytes {
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
    await pause(backoff(tries, first), signal)
  }
}
