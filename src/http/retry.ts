/** Waits between attempts. Source: RFC 9110, section 10.2.3 (Retry-After). */
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors.js'

const BACKOFF = 200
const MAX_WAIT = 30_000

/** Milliseconds before attempt number `attempt` + 2, randomized so that concurrent retries spread out. */
export function backoff(attempt: number, first = BACKOFF): number {
  return Math.min(first * 2 ** attempt, MAX_WAIT) * (0.75 + Math.random() / 2)
}

/** Throws ABORTED. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch((error: unknown) => {
    throw abortError(error, signal)
  })
}

/** Milliseconds that a `Retry-After` header requests; 0 without one. */
export function retryAfter(value: string | undefined): number {
  if (value === undefined) return 0
  const seconds = Number(value)
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(wait) ? Math.max(wait, 0) : 0
}
