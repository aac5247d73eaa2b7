/** Suggests what was meant by the name of an image that a registry does not have. */
import { StowageError } from '../errors.js'
import { nearestWord } from '../nearest-word.js'
import { familiarReference, type Reference } from '../oci/reference.js'
import type { CallOptions, RegistryClient } from './client.js'
import { nearestTags } from './tags.js'

/** Milliseconds that the search for a suggestion may take, and names it reads at most. */
const PATIENCE = 2000
const MOST_NAMES = 10_000

/**
 * The same error, with a hint that names the nearest tags of the repository or, if there is no such repository, the one
 * in the registry's catalog that is spelled most like it. Whatever fails meanwhile leaves the error as it was.
 */
export async function withNearNames(
  error: StowageError,
  client: RegistryClient,
  reference: Reference,
  { signal }: CallOptions = {},
): Promise<StowageError> {
  const patience = AbortSignal.timeout(PATIENCE)
  const options = { signal: signal ? AbortSignal.any([signal, patience]) : patience }
  const { domain, path, tag, digest } = reference
  const tags = await listed(client.tags(path, options))
  if (tags && tags.length > 0) {
    const near = tag === undefined ? [] : nearestTags({ semver: tag }, tags)
    return near.length === 0 ? error : error.withHint(`The nearest of its tags: ${near.join(', ')}.`)
  }
  const repositories = await listed(client.repositories(options))
  const near = repositories && nearestRepository(path, repositories)
  if (near === undefined || near === path) return error
  const meant = familiarReference({ domain, path: near, ...(tag === undefined ? {} : { tag }) })
  const said = tag === undefined && digest === undefined // what was asked for is the repository
  return error.withHint(`${said ? '' : `${domain} has no repository ${path}. `}Did you mean ${meant}?`)
}

/** One of the same name in another place counts as near, then a path that is spelled like it, then a name that is. */
function nearestRepository(path: string, repositories: readonly string[]): string | undefined {
  const nameOf = (repository: string): string => repository.slice(repository.lastIndexOf('/') + 1)
  const name = nameOf(path)
  const named = (wanted: string | undefined): readonly string[] =>
    repositories.filter(repository => nameOf(repository) === wanted)
  return (
    nearestWord(path, named(name), Number.POSITIVE_INFINITY) ??
    nearestWord(path, repositories) ??
    nearestWord(path, named(nearestWord(name, repositories.map(nameOf))), Number.POSITIVE_INFINITY)
  )
}

/** Undefined if they cannot be listed. */
async function listed(names: AsyncIterable<string>): Promise<readonly string[] | undefined> {
  const found: string[] = []
  try {
    for await (const name of names) if (found.push(name) >= MOST_NAMES) break
    return found
  } catch (error) {
    if (error instanceof StowageError) return undefined
    throw error
  }
}
