/** Selects base OS images by the rules of the ContainerImage provider of 2016, without its bugs. */
import { StowageError } from '../errors.js'
import type { CatalogEntry } from './catalog.js'
import { compareImageVersions, type ImageVersion, parseVersion } from './version.js'

export interface FindQuery {
  /** Names, or patterns with `*`, `?` and `[…]`; case is ignored. All names by default. */
  readonly names?: readonly string[] | undefined
  /** Exactly this version. */
  readonly version?: string | undefined
  readonly minVersion?: string | undefined
  readonly maxVersion?: string | undefined
  /** Every version, not only the newest of each name. */
  readonly allVersions?: boolean | undefined
  /** The newest version from every source that has it, instead of only from the first, so that ambiguity is noticed. */
  readonly everySource?: boolean | undefined
}

interface Versions {
  readonly exact: ImageVersion | undefined
  readonly least: ImageVersion | undefined
  readonly most: ImageVersion | undefined
  readonly all: boolean
}

/** Checks that the options can be used together. Throws INVALID_ARGUMENT with the messages of the provider of 2016. */
export function checkQuery({ names = [], version, minVersion, maxVersion, allVersions = false }: FindQuery): Versions {
  const [exact, least, most] = [version, minVersion, maxVersion].map(text =>
    text === undefined ? undefined : parseVersion(text),
  )
  if (allVersions && exact)
    throw misused('AllVersions and RequiredVersion cannot be used together', 'Omit --all-versions or --version.')
  if ((allVersions || exact) && (least || most)) {
    throw misused(
      'AllVersions and RequiredVersion switch cannot be used with MinimumVersion or MaximumVersion',
      'Omit --min-version and --max-version, or the other option.',
    )
  }
  if (least && most && compareImageVersions(least, most) > 0)
    throw misused('Minimum Version cannot be more than Maximum Version', 'Swap them.')
  if ((least || most) && (names.length === 0 || names.some(name => name === '*' || name.trim() === ''))) {
    throw misused(
      'Name is required when either MinimumVersion or MaximumVersion parameter is used',
      'Name the images: stowage find NAME --min-version …',
    )
  }
  return { exact, least, most, all: allVersions }
}

/**
 * The entries that match `query`: for each name the newest version, or all versions; sorted by name, the newest first.
 * Throws as {@link checkQuery}.
 */
export function findIn(entries: readonly CatalogEntry[], query: FindQuery): readonly CatalogEntry[] {
  const { exact, least, most, all } = checkQuery(query)
  const named = (query.names ?? []).filter(name => name.trim() !== '').map(patternOf)
  const fits = ({ name, version }: CatalogEntry): boolean =>
    (named.length === 0 || named.some(pattern => pattern.test(name))) &&
    (!exact || compareImageVersions(version, exact) === 0) &&
    (!least || compareImageVersions(version, least) >= 0) &&
    (!most || compareImageVersions(version, most) <= 0)
  const found = entries
    .filter(fits)
    .sort(
      (a, b) =>
        compareText(a.name.toLowerCase(), b.name.toLowerCase()) ||
        compareImageVersions(b.version, a.version) ||
        compareText(a.source, b.source),
    )
  if (all || exact) return found
  const newest = new Map<string, CatalogEntry>()
  return found.filter(entry => {
    const key = `${entry.name.toLowerCase()} ${entry.architecture ?? ''}`
    const first = newest.get(key)
    newest.set(key, first ?? entry)
    return (
      first === undefined || (query.everySource === true && compareImageVersions(first.version, entry.version) === 0)
    )
  })
}

/** The `names` that are not patterns and that no entry of `found` has. */
export function missingNames(names: readonly string[], found: readonly CatalogEntry[]): readonly string[] {
  return names.filter(
    name =>
      name.trim() !== '' &&
      !/[*?[]/.test(name) &&
      !found.some(entry => entry.name.toLowerCase() === name.toLowerCase()),
  )
}

/** Converts a pattern of PowerShell's `-like` operator, which matches the whole name. Throws INVALID_ARGUMENT. */
export function patternOf(text: string): RegExp {
  const body = text.replace(/\[[^\]]+\]|[\s\S]/g, part => {
    if (part === '*') return '.*'
    if (part === '?') return '.'
    if (part.length > 1) return `[${part.slice(1, -1).replace(/[\\^\]]/g, '\\$&')}]`
    return part.replace(/[\\^$.|+(){}[\]]/g, '\\$&')
  })
  try {
    return new RegExp(`^${body}$`, 'is')
  } catch (error) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a valid pattern`, {
      hint: 'Use * and ? for any characters, and [a-c] for a range.',
      cause: error,
    })
  }
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function misused(message: string, hint: string): StowageError {
  return new StowageError('INVALID_ARGUMENT', message, { hint })
}
