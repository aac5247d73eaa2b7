/** Parses the rate limit that Docker Hub reports in `ratelimit-limit` and `ratelimit-remaining`: `100;w=21600`. */

export interface RateLimit {
  readonly limit: number
  readonly remaining: number
  /** In seconds; undefined if not reported. */
  readonly window: number | undefined
}

/** The rate limit in the headers of a response, if there is one. */
export function parseRateLimit(header: (name: string) => string | undefined): RateLimit | undefined {
  const [limit, remaining] = [parse(header('ratelimit-limit')), parse(header('ratelimit-remaining'))]
  if (!remaining) return undefined
  return {
    limit: limit?.count ?? remaining.count,
    remaining: remaining.count,
    window: remaining.window ?? limit?.window,
  }
}

/** `7 of 100 pulls in 6 hours are left`. */
export function formatRateLimit({ limit, remaining, window }: RateLimit): string {
  const minutes = window === undefined ? undefined : Math.round(window / 60)
  const long =
    minutes === 60
      ? 'an hour'
      : minutes !== undefined && minutes % 60 === 0
        ? `${minutes / 60} hours`
        : `${minutes} minutes`
  const time = minutes === undefined ? '' : ` in ${long}`
  return `${remaining} of ${limit} pulls${time} are left`
}

/** Whether the user should be told. */
export function isLow({ limit, remaining }: RateLimit): boolean {
  return remaining <= Math.max(limit / 10, 5)
}

function parse(text: string | undefined): { readonly count: number; readonly window: number | undefined } | undefined {
  const [, count, window] = /^\s*(\d+)(?:\s*;\s*w=(\d+))?/.exec(text ?? '') ?? []
  return count === undefined
    ? undefined
    : { count: Number(count), window: window === undefined ? undefined : Number(window) }
}
