/** The place of a bundle in a series: a number that grows, so that an older bundle, although signed, can be told. */
import { StowageError } from '../errors.js'
import { optionalString, record, size, wrong } from '../oci/json.js'

export interface Release {
  /** What the numbers count; bundles of different series are not compared. */
  readonly series?: string
  /** A whole number, 0 or more. */
  readonly serial: number
}

/** A release that a bundle must not be older than. */
export interface KnownRelease extends Release {
  /** Where it is known from. */
  readonly source: string
  /** It says nothing of bundles of another series; otherwise they are refused. */
  readonly thisSeries?: true
}

const SERIES = /^[A-Za-z0-9][A-Za-z0-9._ -]{0,63}$/

/** Reads what {@link Release} says from JSON. Throws INVALID_MANIFEST. */
export function parseRelease(value: unknown, where: string): Release {
  const object = record(value, where)
  const series = optionalString(object, 'series', where)
  if (series !== undefined && !SERIES.test(series)) throw wrong(`${where}.series`, SERIES_FORM, series)
  return { ...(series === undefined ? {} : { series }), serial: size(object, 'serial', where) }
}

/** `release` as given by a caller. Throws INVALID_ARGUMENT. */
export function checkRelease(release: Release): Release {
  const { series, serial } = release
  if (!Number.isSafeInteger(serial) || serial < 0)
    throw new StowageError('INVALID_ARGUMENT', `expected a serial number of 0 or more but found ${serial}`)
  if (series !== undefined && !SERIES.test(series))
    throw new StowageError(
      'INVALID_ARGUMENT',
      `expected ${SERIES_FORM} as a series but found ${JSON.stringify(series)}`,
    )
  return series === undefined ? { serial } : { series, serial }
}

const SERIES_FORM = 'up to 64 letters, digits, spaces, ".", "_" and "-"'

/** Throws ROLLBACK if the bundle with `release` is older than `known`, or may be: without a number, nobody can tell. */
export function expectNotOlder(release: Release | undefined, known: KnownRelease): void {
  const { source, thisSeries = false } = known
  const older = (message: string): StowageError =>
    new StowageError('ROLLBACK', message, {
      hint: 'Do not load it unless going back to it is what you want. Then leave out --not-older-than, or move the receipt away.',
    })
  const least = `${source} has ${releaseText(known)}`
  if (!release) throw older(`it has no serial number, but ${least}`)
  if (thisSeries && known.series !== release.series) return
  if (known.series !== undefined && known.series !== release.series)
    throw older(`it is ${releaseText(release)}, but ${least}, which is another series`)
  if (release.serial < known.serial) throw older(`it is ${releaseText(release)}, which is older: ${least}`)
}

/** "number 42 of plant". */
export function releaseText({ series, serial }: Release): string {
  return `number ${serial}${series === undefined ? '' : ` of ${series}`}`
}
