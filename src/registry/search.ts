/**
 * Searches for repositories on Docker Hub or in another registry, or else in its catalog. Source: Docker's registry
 * search API.
 */
import { StowageError } from '../errors.js'
import { isObject, type JsonObject } from '../oci/json.js'
import { MANIFEST_LIMIT } from '../oci/manifest.js'
import type { CallOptions, RegistryOptions } from './client.js'
import { drain } from '../http/answer.js'
import { RegistryConnection } from './connection.js'
import { findCredential } from './credentials.js'
import { findRegistry } from './endpoint.js'
import { listRepositories, parseDomain } from './tags.js'

export interface SearchOptions extends RegistryOptions, CallOptions {
  /** From 1 to 100; 25 by default. */
  readonly limit?: number | undefined
  /** Only repositories that are official, or that are not. */
  readonly official?: boolean | undefined
  /** Only repositories with at least this many stars. */
  readonly stars?: number | undefined
  /** Host to search if the term does not name a registry; Docker Hub's index by default. */
  readonly hub?: string | undefined
}

export interface FoundRepository {
  /** As in the name of an image: `nginx`, `registry.example/team/shop`. */
  readonly name: string
  readonly description: string
  readonly stars: number
  readonly official: boolean
}

export interface SearchResult {
  readonly registry: string
  /** `catalog`: the registry has no search, so these are the repositories whose names contain the term. */
  readonly from: 'search' | 'catalog'
  readonly repositories: readonly FoundRepository[]
}

const HUB = 'index.docker.io'
const DEFAULT_LIMIT = 25
const MAX_LIMIT = 100

/**
 * Repositories for `term` on Docker Hub or, for `HOST[:PORT]/TERM`, in that registry, in the registry's order.
 * Throws INVALID_ARGUMENT and connection errors.
 */
export async function searchRepositories(
  term: string,
  { limit = DEFAULT_LIMIT, official, stars = 0, hub = HUB, ...options }: SearchOptions = {},
): Promise<SearchResult> {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT)
    throw new StowageError('INVALID_ARGUMENT', `expected a limit from 1 to ${MAX_LIMIT} but found ${limit}`)
  const { domain, words } = splitTerm(term)
  if (words === '' && domain === undefined) throw new StowageError('INVALID_ARGUMENT', 'no search term was given')
  const registry = domain ?? hub
  const matches = (found: FoundRepository): boolean =>
    (official === undefined || found.official === official) && found.stars >= stars
  const found = await askSearch(registry, words, limit, options)
  if (found) {
    const repositories = found
      .map(each => (domain === undefined ? each : { ...each, name: `${domain}/${each.name}` }))
      .filter(matches)
    return { registry, from: 'search', repositories: repositories.slice(0, limit) }
  }
  if (domain === undefined) throw new StowageError('REGISTRY_REFUSED', `${registry} has no search API`)
  const names = await listRepositories(domain, { ...options, term: words })
  const repositories = names
    .map(name => ({ name: `${domain}/${name}`, description: '', stars: 0, official: false }))
    .filter(matches)
  return { registry, from: 'catalog', repositories: repositories.slice(0, limit) }
}

/** Splits `HOST/TERM`, if the first part can only be a host. */
function splitTerm(term: string): { readonly domain: string | undefined; readonly words: string } {
  const [first = '', ...rest] = term.trim().split('/')
  if (rest.length === 0 || !(/[.:]/.test(first) || first === 'localhost'))
    return { domain: undefined, words: term.trim() }
  const domain = parseDomain(first)
  return { domain: domain === 'docker.io' ? undefined : domain, words: rest.join('/') }
}

/** The results of the registry's search; undefined if it has no search. */
async function askSearch(
  registry: string,
  words: string,
  limit: number,
  options: RegistryOptions & CallOptions,
): Promise<readonly FoundRepository[] | undefined> {
  const credential = async () => await findCredential(registry === HUB ? 'docker.io' : registry, '', options)
  await using connection = new RegistryConnection(await findRegistry(registry, options), { ...options, credential })
  const query = new URLSearchParams({ q: words, n: String(limit) })
  const answer = await connection.request({
    method: 'GET',
    target: `/v1/search?${query.toString()}`,
    repository: '',
    scopes: [],
    signal: options.signal,
    whole: MANIFEST_LIMIT,
  })
  if ([400, 404, 405, 501].includes(answer.status)) {
    await drain(answer)
    return undefined
  }
  if (answer.status !== 200) throw await connection.refusal(answer, `searching ${registry}`)
  const text = await connection.text(answer, MANIFEST_LIMIT)
  const results = resultsOf(text)
  if (results) return results
  // Some registries answer every request with their HTML page
  if (registry !== HUB) return undefined
  throw new StowageError(
    'REGISTRY_PROTOCOL',
    `${registry} answered the search with something other than a list of results`,
  )
}

function resultsOf(text: string): readonly FoundRepository[] | undefined {
  try {
    const { results } = JSON.parse(text) as { results?: unknown }
    if (!Array.isArray(results)) return undefined
    return results.flatMap((item: unknown) => {
      const found: JsonObject = isObject(item) ? item : {}
      const [name, description, stars, official] = [
        found['name'],
        found['description'],
        found['star_count'],
        found['is_official'],
      ]
      if (typeof name !== 'string' || name === '') return []
      return [
        {
          name,
          description: typeof description === 'string' ? description : '',
          stars: typeof stars === 'number' ? stars : 0,
          official: official === true,
        },
      ]
    })
  } catch {
    return undefined // the caller decides what this means
  }
}
