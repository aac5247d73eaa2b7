/** The tags of a repository: which there are, in an order a person expects, and some of them by rule. */
import { runInNewContext } from 'node:vm'
import { StowageError } from '../errors.js'
import { familiarReference, formatReference, parseReference } from '../oci/reference.js'
import { compareVersions, parseRange, sameVersion, tagVersion, type TagVersion } from '../oci/tag-version.js'
import { type CallOptions, openRegistry, type RegistryOptions } from './client.js'

/** Which tags are meant; all without a rule. */
export interface TagRule {
  /** A range of versions as npm writes it, also of four parts: tags that are not versions are not meant, nor are prereleases it does not name. */
  readonly semver?: string | undefined
  /**
   * A regular expression of JavaScript that is found anywhere in the tag. Where it has a group named `version`, that is the
   * version of the tag: `^(?<version>.+)-alpine$`.
   */
  readonly match?: string | undefined
  /** Only so many, the newest versions. */
  readonly newest?: number | undefined
}

export interface ListTagsOptions extends TagRule, RegistryOptions, CallOptions {}

export interface RepositoryTags {
  /** In full, without a tag. */
  readonly repository: string
  /** Tags that are not versions in the order of their bytes, then versions, the newest last. */
  readonly tags: readonly string[]
}

/** How long a regular expression may take over all tags, in milliseconds: one that tries for ever must not hold us. */
const MATCH_LIMIT = 2000
const NEAREST = 5

/**
 * The tags of the repository `name` (`nginx`, `registry.example/team/shop`, with or without `docker://`).
 * Throws INVALID_ARGUMENT for a rule that makes no sense, IMAGE_NOT_FOUND, and what connecting throws.
 */
export async function listTags(
  name: string,
  { semver, match, newest, ...options }: ListTagsOptions = {},
): Promise<RepositoryTags> {
  const choose = tagChoice({ semver, match, newest })
  const { domain, path } = parseRepository(name)
  await using registry = await openRegistry(domain, options)
  const tags = new Set<string>()
  for await (const tag of registry.tags(path, options)) tags.add(tag)
  return { repository: formatReference({ domain, path }), tags: choose([...tags]) }
}

/**
 * The repositories that a registry tells of, sorted; many tell nobody. `term`, when given, is in the names of all.
 * Throws what connecting throws.
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

/** A repository without tag and digest. Throws INVALID_REFERENCE, INVALID_ARGUMENT. */
export function parseRepository(text: string): { readonly domain: string; readonly path: string } {
  const { domain, path, tag, digest } = parseReference(text.replace(/^docker:\/\//, ''))
  if (tag === undefined && digest === undefined) return { domain, path }
  throw new StowageError('INVALID_ARGUMENT', `expected a repository but ${text} is an image`, {
    hint: `Write ${familiarReference({ domain, path })}.`,
  })
}

/** A registry as references have it: `docker.io`, `registry.example:5000`, also with `docker://`. Throws INVALID_ARGUMENT. */
export function parseDomain(text: string): string {
  const host = text.replace(/^docker:\/\//, '').replace(/\/$/, '')
  try {
    const { domain, path } = parseReference(`${host}/x`)
    if (path === 'x' || (domain === 'docker.io' && /^(index\.)?docker\.io$/.test(host))) return domain
  } catch {
    // the message below says it better
  }
  throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a registry`, {
    hint: 'Write HOST or HOST:PORT.',
  })
}

/**
 * What `rule` chooses of the tags of a repository, sorted as {@link RepositoryTags} has it. Of tags that say the same version
 * (`1.27`, `1.27.0`), a rule with versions takes the one that says most. Throws INVALID_ARGUMENT for a rule that makes no sense,
 * at once; and for an expression that takes too long, when it is used.
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

/** Tags to name where `rule` chose none of `tags`: those that come closest to what it asks for. */
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
  /** What its version is read from. */
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

/** Runs the expression where it can be stopped. Throws INVALID_ARGUMENT. */
function tagMatcher(source: string): (tags: readonly string[]) => readonly FoundTag[] {
  try {
    new RegExp(source, 'u')
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, '') : ''
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(source)} is not a regular expression: ${why}`, {
      hint: 'Write it as JavaScript does: "^1\\.2[0-9]-alpine$".',
      cause: error,
    })
  }
  return tags => {
    try {
      const found = runInNewContext(
        'const expression = new RegExp(source, "u"); JSON.stringify(tags.map(tag => { const match = expression.exec(tag); return match && { tag, text: match.groups?.version ?? tag } }).filter(Boolean))',
        { source, tags: [...tags] },
        { timeout: MATCH_LIMIT },
      ) as string // what the one line above gives
      return JSON.parse(found) as readonly FoundTag[] // made there of strings of ours
    } catch (error) {
      // an error of the other context is none of ours to instanceof
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
