/** A queue of blobs to copy: largest first, with limits on concurrent copies in total and for each host. */
import { setMaxListeners } from 'node:events'
import * as os from 'node:os'
import { abortError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'

export interface QueuedBlob {
  readonly blob: Descriptor
  /** The host that the copy uses: a registry's domain. If undefined, the blob is on this machine. */
  readonly host: string | undefined
  readonly copy: (signal: AbortSignal) => Promise<void>
}

export interface QueueOptions {
  /** Concurrent copies; {@link JOBS} by default, but for large blobs of this machine as many as it has processors. */
  readonly jobs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Default number of concurrent copies: some wait for the disk while others download. */
export const JOBS = 10
/** Concurrent copies with one host. */
const PER_HOST = 10
/** From this size in bytes on, a blob of a disk keeps a processor and the disk busy. */
const LARGE = 1024 * 1024

/** What large blobs of this machine share; no domain is empty. */
const HERE = ''

/** What the copy shares with others, of which there is a limit: a host, or this machine. */
function shareOf({ host, blob }: QueuedBlob): string | undefined {
  return host ?? (blob.size >= LARGE ? HERE : undefined)
}

/** Copies each of `blobs`. The first failure aborts the others; its error is thrown once all have ended. */
export async function copyQueued(blobs: readonly QueuedBlob[], { jobs, signal }: QueueOptions = {}): Promise<void> {
  const most = jobs ?? JOBS
  const here = jobs ?? Math.max(2, os.availableParallelism())
  const waiting = [...blobs].sort((a, b) => b.blob.size - a.blob.size)
  const busy = new Map<string, number>()
  const stop = new AbortController()
  const together = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  setMaxListeners(0, together) // every copy adds a listener, and removes it
  let failure: { readonly error: unknown } | undefined
  const running = new Set<Promise<void>>()

  /** Takes the largest blob whose host is below its limit. */
  const next = (): QueuedBlob | undefined => {
    const n = waiting.findIndex(queued => {
      const share = shareOf(queued)
      return share === undefined || (busy.get(share) ?? 0) < (share === HERE ? here : PER_HOST)
    })
    return n < 0 ? undefined : waiting.splice(n, 1)[0]
  }
  const run = async (queued: QueuedBlob): Promise<void> => {
    const share = shareOf(queued)
    if (share !== undefined) busy.set(share, (busy.get(share) ?? 0) + 1)
    try {
      await queued.copy(together)
    } catch (error) {
      failure ??= { error }
      stop.abort()
    } finally {
      if (share !== undefined) busy.set(share, (busy.get(share) ?? 1) - 1)
    }
  }
  while (!failure && !signal?.aborted) {
    const blob = running.size < most ? next() : undefined
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
