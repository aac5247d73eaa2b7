/** How long to wait before another try. Source: RFC 9110, section 10.2.3 (Retry-After). */
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError } from '../errors.js'

const BACKOFF = 200
const LONGEST_WAIT = 30_000

/** Milliseconds before try number `attempt` + 2, with some chance in it so that many do not come together. */
export function backoff(attempt: number, first = BACKOFF): number {
  return Math.min(first * 2 ** attempt, LONGEST_WAIT) * (0.75 + Math.random() / 2)
}

/** Waits so many milliseconds. Throws ABORTED. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch((error: unknown) => {
    throw abortError(error, signal)
  })
}

/** Milliseconds that `Retry-After` asks for; 0 if it asks for nothing. */
export function retryAfter(value: string | undefined): number {
  if (value === undefined) return 0
  const seconds = Number(value)
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(wait) ? Math.max(wait, 0) : 0
}
