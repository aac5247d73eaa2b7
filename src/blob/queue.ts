/** One queue over all blobs that are to be copied: the biggest first, so many at a time, and of each place no more than it likes. */
import { setMaxListeners } from 'node:events'
import { abortError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'

export interface QueuedBlob {
  readonly blob: Descriptor
  /** Where it comes from or goes to, as far as that is shared: a registry's domain. Unbounded without it. */
  readonly host: string | undefined
  readonly copy: (signal: AbortSignal) => Promise<void>
}

export interface QueueOptions {
  /** Blobs under way at a time; {@link JOBS} without it. */
  readonly jobs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Blobs under way at a time unless set: some wait for the medium while others come. */
export const JOBS = 10
/** Blobs under way at a time with one host. */
const PER_HOST = 10

/** Copies each of `blobs`. At the first that fails the others are aborted, and its error is thrown once all have ended. */
export async function copyQueued(
  blobs: readonly QueuedBlob[],
  { jobs = JOBS, signal }: QueueOptions = {},
): Promise<void> {
  const waiting = [...blobs].sort((a, b) => b.blob.size - a.blob.size)
  const busy = new Map<string, number>()
  const stop = new AbortController()
  const together = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  setMaxListeners(0, together) // every blob listens, and lets go of it
  let failure: { readonly error: unknown } | undefined
  const running = new Set<Promise<void>>()

  /** The biggest whose host can take one more. */
  const next = (): QueuedBlob | undefined => {
    const n = waiting.findIndex(({ host }) => host === undefined || (busy.get(host) ?? 0) < PER_HOST)
    return n < 0 ? undefined : waiting.splice(n, 1)[0]
  }
  const run = async ({ host, copy }: QueuedBlob): Promise<void> => {
    if (host !== undefined) busy.set(host, (busy.get(host) ?? 0) + 1)
    try {
      await copy(together)
    } catch (error) {
      failure ??= { error }
      stop.abort()
    } finally {
      if (host !== undefined) busy.set(host, (busy.get(host) ?? 1) - 1)
    }
  }
  while (!failure && !signal?.aborted) {
    const blob = running.size < jobs ? next() : undefined
    if (blob) {
      const job: Promise<void> = run(blob).finally(() => running.delete(job))
      running.add(job)
    } else if (running.size > 0) {
      await Promise.race(running)
    } else {
      break
    }
  }
  await Promise.all(running)
  if (failure) throw abortError(failure.error, signal)
  if (signal?.aborted) throw abortError(signal.reason, signal)
}
