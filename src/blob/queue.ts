/** A queue of blobs to copy: largest first, with limits on concurrent copies in total and for each host. */
import { setMaxListeners } from 'node:events'
import { abortError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'

export interface QueuedBlob {
  readonly blob: Descriptor
  /** The host that the copy uses: a registry's domain. If undefined, no limit for hosts applies. */
  readonly host: string | undefined
  readonly copy: (signal: AbortSignal) => Promise<void>
}

export interface QueueOptions {
  /** Concurrent copies; {@link JOBS} by default. */
  readonly jobs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Default number of concurrent copies: some wait for the disk while others download. */
export const JOBS = 10
/** Concurrent copies with one host. */
const PER_HOST = 10

/** Copies each of `blobs`. The first failure aborts the others; its error is thrown once all have ended. */
export async function copyQueued(
  blobs: readonly QueuedBlob[],
  { jobs = JOBS, signal }: QueueOptions = {},
): Promise<void> {
  const waiting = [...blobs].sort((a, b) => b.blob.size - a.blob.size)
  const busy = new Map<string, number>()
  const stop = new AbortController()
  const together = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  setMaxListeners(0, together) // every copy adds a listener, and removes it
  let failure: { readonly error: unknown } | undefined
  const running = new Set<Promise<void>>()

  /** Takes the largest blob whose host is below its limit. */
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
