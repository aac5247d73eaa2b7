/** Search for repositories: Docker Hub's search, that of another registry, or else its catalog. Source: Docker's registry search API. */
import { StowageError } from '../errors.js'
import { MANIFEST_LIMIT } from '../oci/manifest.js'
import type { CallOptions, RegistryOptions } from './client.js'
import { drain } from '../http/answer.js'
import { RegistryConnection } from './connection.js'
import { findCredential } from './credentials.js'
import { findRegistry } from './endpoint.js'
import { listRepositories, parseDomain } from './tags.js'

export interface SearchOptions extends RegistryOptions, CallOptions {
  /** From 1 to 100; 25 when left out. */
  readonly limit?: number | undefined
  /** Only those that are official, or that are not. */
  readonly official?: boolean | undefined
  /** Only those with so many stars and more. */
  readonly stars?: number | undefined
  /** Asked where the term names no registry; Docker Hub's index when left out. */
  readonly hub?: string | undefined
}

export interface FoundRepository {
  /** As an image is named: `nginx`, `registry.example/team/shop`. */
  readonly name: string
  readonly description: string
  readonly stars: number
  readonly official: boolean
}

export interface SearchResult {
  readonly registry: string
  /** `catalog`: the registry has no search, so these are the repositories whose names have the term in them. */
  readonly from: 'search' | 'catalog'
  readonly repositories: readonly FoundRepository[]
}

const HUB = 'index.docker.io'
const USUAL = 25
const MOST = 100

/**
 * Repositories for `term`, on Docker Hub or, for `HOST[:PORT]/TERM`, in that registry, in its order.
 * Throws INVALID_ARGUMENT, and what connecting throws.
 */
export async function searchRepositories(
  term: string,
  { limit = USUAL, official, stars = 0, hub = HUB, ...options }: SearchOptions = {},
): Promise<SearchResult> {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MOST)
    throw new StowageError('INVALID_ARGUMENT', `expected a limit from 1 to ${MOST} but found ${limit}`)
  const { domain, words } = splitTerm(term)
  if (words === '' && domain === undefined)
    throw new StowageError('INVALID_ARGUMENT', 'nothing was named to search for')
  const registry = domain ?? hub
  const fits = (found: FoundRepository): boolean =>
    (official === undefined || found.official === official) && found.stars >= stars
  const found = await askSearch(registry, words, limit, options)
  if (found) {
    const repositories = found
      .map(each => (domain === undefined ? each : { ...each, name: `${domain}/${each.name}` }))
      .filter(fits)
    return { registry, from: 'search', repositories: repositories.slice(0, limit) }
  }
  if (domain === undefined)
    throw new StowageError('REGISTRY_REFUSED', `${registry} has no search: it answered that the page does not exist`)
  const names = await listRepositories(domain, { ...options, term: words })
  const repositories = names
    .map(name => ({ name: `${domain}/${name}`, description: '', stars: 0, official: false }))
    .filter(fits)
  return { registry, from: 'catalog', repositories: repositories.slice(0, limit) }
}

/** `HOST/TERM`, where the first part can only be a host. */
function splitTerm(term: string): { readonly domain: string | undefined; readonly words: string } {
  const [first = '', ...rest] = term.trim().split('/')
  if (rest.length === 0 || !(/[.:]/.test(first) || first === 'localhost'))
    return { domain: undefined, words: term.trim() }
  const domain = parseDomain(first)
  return { domain: domain === 'docker.io' ? undefined : domain, words: rest.join('/') }
}

/** Undefined where the registry has no search. */
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
  // Some answer every address with the page that people see
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
      const found = (typeof item === 'object' && item !== null ? item : {}) as Readonly<Record<string, unknown>> // narrowed just before
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
    return undefined // whoever asked says what that means
  }
}
