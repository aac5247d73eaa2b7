/** What a request asks for: the paths of the distribution-spec's "Pull" and "Content Discovery". */

export type Route =
  | { readonly type: 'version' }
  | { readonly type: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly type: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly type: 'referrers'; readonly repository: string; readonly digest: string }
  | { readonly type: 'tags'; readonly repository: string }
  | { readonly type: 'catalog' }

export interface Asked {
  /** Undefined for a path that a registry does not have. */
  readonly route: Route | undefined
  readonly query: URLSearchParams
  /** As it came, without the query. */
  readonly path: string
}

const KINDS = { manifests: 'manifest', blobs: 'blob', referrers: 'referrers' } as const

/** Reads the request's target. Names come out as they were written: they are looked up, and are not paths of anything. */
export function parseTarget(target: string): Asked {
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1))
  return { route: routeOf(decode(path)), query, path }
}

function routeOf(path: string | undefined): Route | undefined {
  if (path === undefined) return undefined
  if (path === '/v2/' || path === '/v2') return { type: 'version' }
  if (path === '/v2/_catalog') return { type: 'catalog' }
  const tags = /^\/v2\/(.+)\/tags\/list$/s.exec(path)
  if (tags) return { type: 'tags', repository: tags[1] ?? '' }
  const [, repository = '', kind, last = ''] = /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/]+)$/s.exec(path) ?? []
  const type = kind === undefined ? undefined : KINDS[kind as keyof typeof KINDS] // the pattern lets no other through
  if (type === undefined) return undefined
  return type === 'manifest' ? { type, repository, reference: last } : { type, repository, digest: last }
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined // no UTF-8, so it names nothing
  }
}
