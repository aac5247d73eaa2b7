/** Lists the tags of a repository, sorted by version and filtered by rules. */
import { runInNewContext } from 'node:vm'
import { StowageError } from '../errors.js'
import { familiarReference, formatReference, parseReference } from '../oci/reference.js'
import { compareVersions, parseRange, sameVersion, tagVersion, type TagVersion } from '../oci/tag-version.js'
import { type CallOptions, openRegistry, type RegistryOptions } from './client.js'

/** Selects tags; without a rule, all. */
export interface TagRule {
  /**
   * A range of versions in npm's syntax, also with four parts. Tags that are not versions do not match, nor do
   * prereleases that the range does not name.
   */
  readonly semver?: string | undefined
  /**
   * A JavaScript regular expression that matches anywhere in the tag. A group named `version` marks the version in the
   * tag: `^(?<version>.+)-alpine$`.
   */
  readonly match?: string | undefined
  /** Only this many of the newest versions. */
  readonly newest?: number | undefined
}

export interface ListTagsOptions extends TagRule, RegistryOptions, CallOptions {}

export interface RepositoryTags {
  /** The full name, without a tag. */
  readonly repository: string
  /** Tags that are not versions, in code unit order, then versions, the newest last. */
  readonly tags: readonly string[]
}

/** Milliseconds that a regular expression may take for all tags: some would backtrack forever. */
const MATCH_LIMIT = 2000
const NEAREST = 5

/**
 * The tags of the repository `name` (`nginx`, `registry.example/team/shop`, with or without `docker://`).
 * Throws INVALID_ARGUMENT for an invalid rule, IMAGE_NOT_FOUND, and connection errors.
 */
export async function listTags(
  name: string,
  { semver, match, newest, ...options }: ListTagsOptions = {},
): Promise<RepositoryTags> {
  const choose = tagChoice({ semver, match, newest })
  const { domain, path } = parseRepository(name)
  await using registry = await openRegistry(domain, options)
  const tags = new Set<string>()
  try {
    for await (const tag of registry.tags(path, options)) tags.add(tag)
  } catch (error) {
    if (!(error instanceof StowageError) || error.code !== 'IMAGE_NOT_FOUND') throw error
    const { withNearNames } = await import('./near-names.js') // rarely needed
    throw await withNearNames(error, registry, { domain, path }, options)
  }
  return { repository: formatReference({ domain, path }), tags: choose([...tags]) }
}

/**
 * The repositories in the registry's catalog, sorted; many registries have none. With `term`, only those whose names
 * contain it. Throws connection errors.
 */
export async function listRepositories(
  domain: string,
  options: RegistryOptions & CallOptions & { readonly term?: string | undefined } = {},
): Promise<readonly string[]> {
  const { term = '' } = options
  await using registry = await openRegistry(parseDomain(domain), options)
  const names = new Set<string>()
  for await (const name of registry.repositories(options)) if (name.includes(term)) names.add(name)
  return [...names].sort()
}

/** Parses the name of a repository, without tag and digest. Throws INVALID_REFERENCE, INVALID_ARGUMENT. */
export function parseRepository(text: string): { readonly domain: string; readonly path: string } {
  const { domain, path, tag, digest } = parseReference(text.replace(/^docker:\/\//, ''))
  if (tag === undefined && digest === undefined) return { domain, path }
  throw new StowageError('INVALID_ARGUMENT', `expected a repository but ${text} is an image`, {
    hint: `Write ${familiarReference({ domain, path })}.`,
  })
}

/** Parses a registry, `docker.io` or `registry.example:5000`, also with `docker://`. Throws INVALID_ARGUMENT. */
export function parseDomain(text: string): string {
  const host = text.replace(/^docker:\/\//, '').replace(/\/$/, '')
  try {
    const { domain, path } = parseReference(`${host}/x`)
    if (path === 'x' || (domain === 'docker.io' && /^(index\.)?docker\.io$/.test(host))) return domain
  } catch {
    // The message below is clearer
  }
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a registry`, {
    hint: 'Write HOST or HOST:PORT.',
  })
}

/**
 * A function that selects tags by a rule and sorts them as in {@link RepositoryTags}. Of tags with the same version
 * (`1.27`, `1.27.0`), a rule about versions selects the most specific one. Throws INVALID_ARGUMENT for an invalid rule;
 * the function throws it if the regular expression takes too long.
 */
export function tagChoice({ semver, match, newest }: TagRule): (tags: readonly string[]) => readonly string[] {
  const range = semver === undefined ? undefined : parseRange(semver)
  const matches = match === undefined ? undefined : tagMatcher(match)
  if (newest !== undefined && !(Number.isSafeInteger(newest) && newest > 0)) {
    throw new StowageError('INVALID_ARGUMENT', `expected a number of tags from 1 but found ${newest}`)
  }
  return tags => {
    const found = matches ? matches(tags) : tags.map(tag => ({ tag, text: tag }))
    const { versions, others } = sorted(found)
    if (!range && newest === undefined) return [...others, ...versions.map(({ tag }) => tag)]
    const inRange = range ? versions.filter(range) : versions
    const distinct = inRange.filter((version, n) => {
      const next = inRange[n + 1]
      return next === undefined || !sameVersion(version, next)
    })
    return (newest === undefined ? distinct : distinct.slice(-newest)).map(({ tag }) => tag)
  }
}

/** Tags to suggest if the rule selects none of `tags`: those closest to it. */
export function nearestTags({ semver, match }: TagRule, tags: readonly string[]): readonly string[] {
  const found = match === undefined ? [] : tagMatcher(match)(tags)
  const { versions, others } = sorted(found.length > 0 ? found : tags.map(tag => ({ tag, text: tag })))
  if (semver === undefined || versions.length === 0)
    return [...others, ...versions.map(({ tag }) => tag)].slice(-NEAREST)
  const wanted = [...semver.matchAll(/\d+(?:\.\d+)*/g)].flatMap(
    ([numbers]) => tagVersion(numbers.includes('.') ? numbers : `${numbers}.0`) ?? [],
  )
  const at = wanted.map(version => versions.filter(other => compareVersions(other, version) < 0).length)
  const start = Math.max(0, Math.min(at[0] ?? versions.length, versions.length - 2) - 2)
  return versions.slice(start, start + NEAREST).map(({ tag }) => tag)
}

interface FoundTag {
  readonly tag: string
  /** The text that the version is parsed from. */
  readonly text: string
}

function sorted(tags: readonly FoundTag[]): {
  readonly versions: readonly TagVersion[]
  readonly others: readonly string[]
} {
  const versions: TagVersion[] = []
  const others: string[] = []
  for (const { tag, text } of tags) {
    const version = tagVersion(text, tag)
    if (version) versions.push(version)
    else others.push(tag)
  }
  return { versions: versions.sort(compareVersions), others: others.sort() }
}

/**
 * A function that finds the tags matching a regular expression, run in a context with a timeout. Throws
 * INVALID_ARGUMENT.
 */
function tagMatcher(source: string): (tags: readonly string[]) => readonly FoundTag[] {
  try {
    new RegExp(source, 'u')
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, '') : ''
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(source)} is not a regular expression: ${why}`, {
      hint: 'Use JavaScript syntax: "^1\\.2[0-9]-alpine$".',
      cause: error,
    })
  }
  return tags => {
    try {
      const found = runInNewContext(
        'const expression = new RegExp(source, "u"); JSON.stringify(tags.map(tag => { const match = expression.exec(tag); return match && { tag, text: match.groups?.version ?? tag } }).filter(Boolean))',
        { source, tags: [...tags] },
        { timeout: MATCH_LIMIT },
      ) as string // the code above returns a JSON string
      return JSON.parse(found) as readonly FoundTag[] // made by the code above from our strings
    } catch (error) {
      // An error from the other context is not an instance of our Error
      if (typeof error !== 'object' || !error || !('code' in error) || error.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT')
        throw error
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${JSON.stringify(source)} took over ${MATCH_LIMIT / 1000} seconds on ${tags.length} tags`,
        {
          hint: 'Nested repetitions such as (a+)+ can take forever: write the pattern with a single one.',
          cause: error,
        },
      )
    }
  }
}
