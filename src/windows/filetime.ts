/**
 * Converts FILETIME, the times of WIM and NTFS (100 ns since 1601-01-01 UTC), to and from the times of JavaScript, tar
 * and JSON. Source: POSIX.1-2017, pax.
 */
import { StowageError } from '../errors.js'

/** 1970-01-01 as a FILETIME. */
export const UNIX_EPOCH = 116_444_736_000_000_000n
/** The greatest FILETIME that Windows accepts. */
const LAST = 0x7fff_ffff_ffff_ffffn
/** Units of a FILETIME per second. */
const UNITS = 10_000_000n
/** Units of a FILETIME per millisecond. */
const UNITS_PER_MILLISECOND = 10_000n
/** Nanoseconds per unit of a FILETIME. */
export const FILETIME_NANOSECONDS = 100n

/** A FILETIME as a Date, cut off to the millisecond; {@link filetimeToISOString} keeps all of it. */
export function filetimeToDate(filetime: bigint): Date {
  return new Date(Number(filetime / UNITS_PER_MILLISECOND) - Number(UNIX_EPOCH / UNITS_PER_MILLISECOND))
}

/** ISO 8601 with all seven decimals: `2026-11-21T10:40:05.1234567Z`. As in `Date`, years after 9999 have six digits. */
export function filetimeToISOString(filetime: bigint): string {
  return `${filetimeToDate(filetime).toISOString().slice(0, -4)}${String(filetime % UNITS).padStart(7, '0')}Z`
}

/**
 * A Date as a FILETIME. Throws INVALID_ARGUMENT for an invalid Date, and for one before 1601 or after 30828, which
 * Windows does not accept.
 */
export function dateToFiletime(date: Date): bigint {
  const time = date.getTime()
  if (Number.isNaN(time)) throw new StowageError('INVALID_ARGUMENT', 'an invalid Date has no FILETIME')
  const filetime = BigInt(time) * UNITS_PER_MILLISECOND + UNIX_EPOCH
  if (filetime >= 0n && filetime <= LAST) return filetime
  throw new StowageError('INVALID_ARGUMENT', `a FILETIME cannot hold ${date.toISOString()}`, {
    hint: 'It can hold the years 1601 to 30828.',
  })
}

/** Decimal seconds since 1970, the format of times in PAX: `1464566400.1234567`, `-1.5`. */
export function paxTime(filetime: bigint): string {
  const units = filetime - UNIX_EPOCH
  const size = units < 0n ? -units : units
  const fraction = (size % UNITS).toString().padStart(7, '0').replace(/0+$/, '')
  return `${units < 0n ? '-' : ''}${size / UNITS}${fraction === '' ? '' : `.${fraction}`}`
}

/** The greatest time in eleven octal digits, in the year 2242. */
const USTAR_LIMIT = 0o77777777777

/** Whole seconds since 1970 for a ustar header. A time that it cannot hold becomes the nearest one that it can. */
export function ustarTime(filetime: bigint): number {
  const seconds = (filetime - UNIX_EPOCH) / UNITS
  return filetime < UNIX_EPOCH ? 0 : Math.min(Number(seconds), USTAR_LIMIT)
}

/** Whether {@link ustarTime} is exact. */
export function fitsUstarTime(filetime: bigint): boolean {
  const units = filetime - UNIX_EPOCH
  return units >= 0n && units % UNITS === 0n && units / UNITS <= BigInt(USTAR_LIMIT)
}

/** The Windows tools hold the times of a layer as 64-bit nanoseconds since 1970: those from 1677 to 2262. */
const HOST_RANGE = 0x7fff_ffff_ffff_ffffn / FILETIME_NANOSECONDS
/** The last whole second in that range. */
const HOST_SECONDS = (HOST_RANGE / UNITS) * UNITS

const FIRST_HOST_TIME = UNIX_EPOCH - HOST_RANGE
const LAST_HOST_TIME = UNIX_EPOCH + HOST_RANGE
/** Times whose upper 32 bits are in this range are surely host times. */
export const HOST_TIME_WORDS = {
  low: Number(FIRST_HOST_TIME >> 32n) + 1,
  high: Number(LAST_HOST_TIME >> 32n) - 1,
} as const

/** Whether the Windows tools read this time from a layer. */
export function isHostTime(filetime: bigint): boolean {
  return filetime >= FIRST_HOST_TIME && filetime <= LAST_HOST_TIME
}

/** The time that the Windows tools read from a layer: the same, or the nearest that they can hold. */
export function hostTime(filetime: bigint): bigint {
  if (isHostTime(filetime)) return filetime
  return UNIX_EPOCH + (filetime < UNIX_EPOCH ? -HOST_SECONDS : HOST_SECONDS)
}

/** The end of the year 9999, in seconds since 1970: RFC 3339 has four digits for the year. */
const RFC3339_LIMIT = 253_402_300_800n

/** RFC 3339 with fractional seconds, the format of times in an OCI config; undefined for a year after 9999. */
export function rfc3339(filetime: bigint): string | undefined {
  const units = filetime - UNIX_EPOCH
  const seconds = units / UNITS - (units % UNITS < 0n ? 1n : 0n)
  if (seconds >= RFC3339_LIMIT) return undefined
  const fraction = (units - seconds * UNITS).toString().padStart(7, '0').replace(/0+$/, '')
  const date = new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  return `${date}${fraction === '' ? '' : `.${fraction}`}Z`
}

/** A time, and whether it was moved to the nearest one that a FILETIME can hold. */
export interface FileTime {
  readonly time: bigint
  readonly moved: boolean
}

/**
 * Parses decimal seconds since 1970 (`1464566400.1234567`, `-1.5`) with a precision of 100 ns. Undefined if invalid.
 */
export function parsePaxTime(text: string): FileTime | undefined {
  const match = /^(-?)(\d{1,20})(?:\.(\d*))?$/.exec(text)
  if (!match) return undefined
  const [, sign, seconds = '0', fraction = ''] = match
  const size = BigInt(seconds) * UNITS + BigInt(fraction.slice(0, 7).padEnd(7, '0'))
  const inexact = /[1-9]/.test(fraction.slice(7))
  return clamped(sign === '-' ? -size - (inexact ? 1n : 0n) : size)
}

/** Converts whole seconds since 1970. */
export function fromSeconds(seconds: number): FileTime {
  return clamped(BigInt(seconds) * UNITS)
}

/** Parses RFC 3339, the format of times in an OCI config, with a precision of 100 ns. Undefined if invalid. */
export function parseRfc3339(text: string): FileTime | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/i.exec(text)
  const milliseconds = match ? Date.parse(`${match[1]}${match[3]}`) : Number.NaN
  if (Number.isNaN(milliseconds)) return undefined
  return clamped(BigInt(milliseconds) * 10_000n + BigInt((match?.[2] ?? '').slice(0, 7).padEnd(7, '0')))
}

function clamped(units: bigint): FileTime {
  const time = units + UNIX_EPOCH
  if (time < 0n) return { time: 0n, moved: true }
  return time > LAST ? { time: LAST, moved: true } : { time, moved: false }
}
