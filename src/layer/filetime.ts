/** FILETIME, the clock of WIM and NTFS: 100 ns since 1601-01-01 UTC, as tar and JSON want it. */

/** 1970-01-01 as a FILETIME. */
export const UNIX_EPOCH = 116_444_736_000_000_000n
const UNITS = 10_000_000n
/** What a FILETIME counts in. */
export const FILETIME_NANOSECONDS = 100n

/** Decimal seconds since 1970, as PAX has times: `1464566400.1234567`, `-1.5`. Source: POSIX.1-2017, pax. */
export function paxTime(filetime: bigint): string {
  const units = filetime - UNIX_EPOCH
  const size = units < 0n ? -units : units
  const fraction = (size % UNITS).toString().padStart(7, '0').replace(/0+$/, '')
  return `${units < 0n ? '-' : ''}${size / UNITS}${fraction === '' ? '' : `.${fraction}`}`
}

/** The last second eleven octal digits can hold, in the year 2242. */
const USTAR_LIMIT = 0o77777777777

/** Whole seconds since 1970 for a ustar header; times it cannot hold become the nearest it can. */
export function ustarTime(filetime: bigint): number {
  const seconds = (filetime - UNIX_EPOCH) / UNITS
  return filetime < UNIX_EPOCH ? 0 : Math.min(Number(seconds), USTAR_LIMIT)
}

/** Whether {@link ustarTime} says all of it. */
export function fitsUstarTime(filetime: bigint): boolean {
  const units = filetime - UNIX_EPOCH
  return units >= 0n && units % UNITS === 0n && units / UNITS <= BigInt(USTAR_LIMIT)
}

/** The end of the year 9999, in seconds since 1970: RFC 3339 has four digits for the year. */
const RFC3339_LIMIT = 253_402_300_800n

/** RFC 3339 with the seconds' fraction, as an OCI config has its times; undefined for a year past 9999. */
export function rfc3339(filetime: bigint): string | undefined {
  const units = filetime - UNIX_EPOCH
  const seconds = units / UNITS - (units % UNITS < 0n ? 1n : 0n)
  if (seconds >= RFC3339_LIMIT) return undefined
  const fraction = (units - seconds * UNITS).toString().padStart(7, '0').replace(/0+$/, '')
  const date = new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  return `${date}${fraction === '' ? '' : `.${fraction}`}Z`
}
