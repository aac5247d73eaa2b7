/** FILETIME, the clock of WIM and NTFS: 100 ns since 1601-01-01 UTC, as tar and JSON want it. */

/** 1970-01-01 as a FILETIME. */
const UNIX_EPOCH = 116_444_736_000_000_000n
const UNITS = 10_000_000n

/** Decimal seconds since 1970, as PAX has times: `1464566400.1234567`, `-1.5`. Source: POSIX.1-2017, pax. */
export function paxTime(filetime: bigint): string {
  const units = filetime - UNIX_EPOCH
  const size = units < 0n ? -units : units
  const fraction = (size % UNITS).toString().padStart(7, '0').replace(/0+$/, '')
  return `${units < 0n ? '-' : ''}${size / UNITS}${fraction === '' ? '' : `.${fraction}`}`
}

/** Whole seconds since 1970 for a ustar header, which can hold none before: those become 0. */
export function ustarTime(filetime: bigint): number {
  const seconds = (filetime - UNIX_EPOCH) / UNITS
  return filetime < UNIX_EPOCH ? 0 : Number(seconds)
}

/** Whether {@link ustarTime} says all of it. */
export function fitsUstarTime(filetime: bigint): boolean {
  return filetime >= UNIX_EPOCH && (filetime - UNIX_EPOCH) % UNITS === 0n && ustarTime(filetime) <= 0o77777777777
}

/** RFC 3339 with the seconds' fraction, as an OCI config has its times. */
export function rfc3339(filetime: bigint): string {
  const units = filetime - UNIX_EPOCH
  const seconds = units / UNITS - (units % UNITS < 0n ? 1n : 0n)
  const fraction = (units - seconds * UNITS).toString().padStart(7, '0').replace(/0+$/, '')
  const date = new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  return `${date}${fraction === '' ? '' : `.${fraction}`}Z`
}
