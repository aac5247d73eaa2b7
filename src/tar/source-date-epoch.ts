/**
 * The time to use instead of the current one, so that the same input gives the same bytes.
 * Source: reproducible-builds.org.
 */
import { StowageError } from '../errors.js'

/** SOURCE_DATE_EPOCH of the environment, in seconds since 1970; undefined if it is not set. Throws INVALID_ARGUMENT. */
export function sourceDateEpoch(text: string | undefined = process.env['SOURCE_DATE_EPOCH']): number | undefined {
  if (text === undefined || text === '') return undefined
  const epoch = Number(text)
  // a ustar header holds eleven octal digits; a Date holds a little less than 2^43 seconds
  if (/^\d+$/.test(text) && epoch <= 0o77777777777) return epoch
  throw new StowageError(
    'INVALID_ARGUMENT',
    `SOURCE_DATE_EPOCH is ${JSON.stringify(text)}, not a number of seconds since 1970`,
  )
}
