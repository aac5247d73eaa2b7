/** Times of a tar as FILETIMEs: 100 ns since 1601-01-01 UTC, as a WIM has them. Source: POSIX.1-2017, pax. */

const UNIX_EPOCH = 116_444_736_000_000_000n
const UNITS = 10_000_000n
/** The last FILETIME that Windows takes. */
const LAST = 0x7fff_ffff_ffff_ffffn

/** A time, and whether it had to be moved to the nearest one that a FILETIME can say. */
export interface FileTime {
  readonly time: bigint
  readonly moved: boolean
}

/** Decimal seconds since 1970 (`1464566400.1234567`, `-1.5`), down to 100 ns. Undefined for what is no such number. */
export function parsePaxTime(text: string): FileTime | undefined {
  const match = /^(-?)(\d{1,20})(?:\.(\d*))?$/.exec(text)
  if (!match) return undefined
  const [, sign, seconds = '0', fraction = ''] = match
  const size = BigInt(seconds) * UNITS + BigInt(fraction.slice(0, 7).padEnd(7, '0'))
  const inexact = /[1-9]/.test(fraction.slice(7))
  return held(sign === '-' ? -size - (inexact ? 1n : 0n) : size)
}

/** Whole seconds since 1970. */
export function fromSeconds(seconds: number): FileTime {
  return held(BigInt(seconds) * UNITS)
}

/** RFC 3339, as an OCI config has its times, down to 100 ns. Undefined for what is no such time. */
export function parseRfc3339(text: string): FileTime | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/i.exec(text)
  const milliseconds = match ? Date.parse(`${match[1]}${match[3]}`) : Number.NaN
  if (Number.isNaN(milliseconds)) return undefined
  return held(BigInt(milliseconds) * 10_000n + BigInt((match?.[2] ?? '').slice(0, 7).padEnd(7, '0')))
}

function held(units: bigint): FileTime {
  const time = units + UNIX_EPOCH
  if (time < 0n) return { time: 0n, moved: true }
  return time > LAST ? { time: LAST, moved: true } : { time, moved: false }
}
