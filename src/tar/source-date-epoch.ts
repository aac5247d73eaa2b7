/** The time that stands for now, where the same input must give the same bytes. Source: reproducible-builds.org. */
import { StowageError } from '../errors.js'

/** Seconds since 1970 of the environment's SOURCE_DATE_EPOCH; undefined if it says none. Throws INVALID_ARGUMENT. */
export function sourceDateEpoch(text: string | undefined = process.env['SOURCE_DATE_EPOCH']): number | undefined {
  if (text === undefined || text === '') return undefined
  const epoch = Number(text)
  // a ustar header holds eleven octal digits; a Date a little less than 2^43 seconds
  if (/^\d+$/.test(text) && epoch <= 0o77777777777) return epoch
  throw new StowageError(
    'INVALID_ARGUMENT',
    `SOURCE_DATE_EPOCH is ${JSON.stringify(text)}, not a number of seconds since 1970`,
  )
}
