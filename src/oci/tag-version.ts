/** Versions in tags: which tags are versions, how they compare, and ranges. Source: semver 2.0.0 and npm's ranges. */
import semver from 'semver'
import { StowageError } from '../errors.js'

/** A tag that is a version. */
export interface TagVersion {
  readonly tag: string
  /** Major, minor, patch and, for Windows versions, revision; 0 for numbers that the tag does not have. */
  readonly numbers: readonly [number, number, number, number]
  /** How many of the numbers the tag has: 2 to 4. */
  readonly precision: number
  /** The text after the first hyphen: `rc.1`, or `alpine`, which semver also treats as a prerelease. */
  readonly prerelease: string
}

/**
 * semver has no revision, so it is combined with the patch: patch * REVISIONS + revision. A revision must be less than
 * this.
 */
const REVISIONS = 1_000_000
const FORM = /^v?(\d+)\.(\d+)(?:\.(\d+)(?:\.(\d+))?)?(?:-([0-9A-Za-z.-]+))?$/
/** A version of three or four parts in a range; the fourth may be an `x`. */
const IN_RANGE = /(?:(>=|<=|>|<|=|~>?|\^)\s*)?(?<![\w.-])v?(\d+)\.(\d+)\.(\d+)(?:\.(\d+|[xX*]))?(?![\w.])/g

/**
 * Parses `text` as the version of the tag `tag`: `1.27.3`, `v1.27`, `10.0.20348.169`, `2.0.0-rc.1`. A single number is
 * not a version: it is a moving tag (`16`) or a date (`20240315`). Leading zeros are ignored (`24.04`).
 */
export function tagVersion(text: string, tag: string = text): TagVersion | undefined {
  const match = FORM.exec(text)
  if (!match) return undefined
  const [, major, minor, patch, revision, prerelease = ''] = match
  const numbers = [major, minor, patch, revision].map(part => Number(part ?? 0))
  const [a = 0, b = 0, c = 0, d = 0] = numbers
  if (!numbers.every(Number.isSafeInteger)) return undefined
  const version: TagVersion = { tag, numbers: [a, b, c, d], precision: revision ? 4 : patch ? 3 : 2, prerelease }
  return semver.valid(plain(version)) === null ? undefined : version
}

/** Older before newer, a prerelease before its release; for equal versions, the more precise tag comes last. */
export function compareVersions(a: TagVersion, b: TagVersion): number {
  for (const [n, number] of a.numbers.entries()) {
    const difference = number - (b.numbers[n] ?? 0)
    if (difference !== 0) return difference
  }
  // The numbers are equal: compare the prereleases
  const order = semver.compare(`0.0.0${suffix(a)}`, `0.0.0${suffix(b)}`)
  return (
    order || a.precision - b.precision || b.tag.length - a.tag.length || (a.tag < b.tag ? -1 : a.tag > b.tag ? 1 : 0)
  )
}

/** Whether two tags are the same version, whatever their precision: `1.27`, `1.27.0` and `v1.27.0`. */
export function sameVersion(a: TagVersion, b: TagVersion): boolean {
  return a.prerelease === b.prerelease && a.numbers.every((number, n) => number === b.numbers[n])
}

/** Whether a version is in the range. A prerelease is in it only if the range names one with the same numbers. */
export type VersionRange = (version: TagVersion) => boolean

/**
 * Parses a range in npm's syntax (`>=1.27 <2`, `~1.27`, `1.x`, `1.2.3 - 1.4.0`), which may have versions of four parts
 * (`>=10.0.20348.100` or `10.0.20348.x`). Throws INVALID_ARGUMENT.
 */
export function parseRange(text: string): VersionRange {
  const range = semver.validRange(text) === null ? undefined : new semver.Range(text)
  const wide = wideRange(text)
  if (text.trim() === '' || !wide) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a range of versions`, {
      hint: 'Write it as npm does: ">=1.27 <2", "~1.27", "1.x", "1.2.3 - 1.4.0", "10.0.20348.x".',
    })
  }
  return version => {
    if (range && version.precision < 4) return range.test(plain(version))
    const found = revised(version.numbers[2], version.numbers[3])
    return found !== undefined && wide.test(`${version.numbers[0]}.${version.numbers[1]}.${found}${suffix(version)}`)
  }
}

/** The range `text` with the patch and revision of each version combined, so that semver can compare four parts. */
function wideRange(text: string): semver.Range | undefined {
  let fits = true
  const whole = text.replace(IN_RANGE, (_all, operator = '', a: string, b: string, c: string, d = '0') => {
    const at = (patch: number, revision: number): string => {
      const found = revised(patch, revision)
      if (found === undefined) fits = false
      return `${a}.${b}.${found ?? 0}`
    }
    if (/^\d+$/.test(String(d))) return `${operator}${at(Number(c), Number(d))}`
    const [from, to] = [at(Number(c), 0), at(Number(c) + 1, 0)] // 10.0.20348.x
    const forms: Readonly<Record<string, string>> = {
      '>': `>=${to}`,
      '>=': `>=${from}`,
      '<': `<${from}`,
      '<=': `<${to}`,
    }
    return forms[String(operator)] ?? `>=${from} <${to}`
  })
  return fits && semver.validRange(whole) !== null ? new semver.Range(whole) : undefined
}

/** Patch and revision combined as one number; undefined if they are too large. */
function revised(patch: number, revision: number): number | undefined {
  const number = patch * REVISIONS + revision
  return revision < REVISIONS && Number.isSafeInteger(number) ? number : undefined
}

function plain(version: TagVersion): string {
  return `${version.numbers.slice(0, 3).join('.')}${suffix(version)}`
}

/** semver rejects leading zeros in a prerelease, so `-01` becomes `-1`. */
function suffix({ prerelease }: TagVersion): string {
  if (prerelease === '') return ''
  return `-${prerelease
    .split('.')
    .map(part => (/^\d+$/.test(part) ? String(BigInt(part)) : part))
    .join('.')}`
}
