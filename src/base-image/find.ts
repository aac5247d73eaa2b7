/** Finds base OS images among what the sources offer, by the rules of the ContainerImage provider, its faults mended. */
import { StowageError } from '../errors.js'
import type { CatalogEntry } from './catalog.js'
import { compareImageVersions, type ImageVersion, parseVersion } from './version.js'

export interface FindQuery {
  /** Names, or patterns with `*`, `?` and `[…]`; upper and lower case are the same. All names where none is given. */
  readonly names?: readonly string[] | undefined
  /** Exactly this version. */
  readonly version?: string | undefined
  readonly minVersion?: string | undefined
  readonly maxVersion?: string | undefined
  /** Every version, not the newest of each name alone. */
  readonly allVersions?: boolean | undefined
  /** The newest from every source that has it, not from one alone: for whoever must not choose between two. */
  readonly everySource?: boolean | undefined
}

interface Versions {
  readonly exact: ImageVersion | undefined
  readonly least: ImageVersion | undefined
  readonly most: ImageVersion | undefined
  readonly all: boolean
}

/** Checks what may not be asked together, before any source is read. Throws INVALID_ARGUMENT in the words of 2016. */
export function checkQuery({ names = [], version, minVersion, maxVersion, allVersions = false }: FindQuery): Versions {
  const [exact, least, most] = [version, minVersion, maxVersion].map(text =>
    text === undefined ? undefined : parseVersion(text),
  )
  if (allVersions && exact)
    throw misused('AllVersions and RequiredVersion cannot be used together', 'Leave out --all-versions or --version.')
  if ((allVersions || exact) && (least || most)) {
    throw misused(
      'AllVersions and RequiredVersion switch cannot be used with MinimumVersion or MaximumVersion',
      'Leave out --min-version and --max-version, or the other.',
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
 * Those of `entries` that `query` means: of each name and source the newest that fits, or all that do; by name, the newest first.
 * Throws as {@link checkQuery} does.
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

/** Those of `names` that are not patterns, and of which none was `found`. */
export function missingNames(names: readonly string[], found: readonly CatalogEntry[]): readonly string[] {
  return names.filter(
    name =>
      name.trim() !== '' &&
      !/[*?[]/.test(name) &&
      !found.some(entry => entry.name.toLowerCase() === name.toLowerCase()),
  )
}

/** A pattern as PowerShell's `-like` has it, for the whole name. */
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
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a pattern of names`, {
      hint: 'Write * and ? for any letters, [a-c] for some.',
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
