/** Parses request targets. Source: OCI distribution-spec, "Pull" and "Content Discovery". */

export type Route =
  | { readonly type: 'version' }
  | { readonly type: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly type: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly type: 'referrers'; readonly repository: string; readonly digest: string }
  | { readonly type: 'tags'; readonly repository: string }
  | { readonly type: 'catalog' }

export interface RequestTarget {
  /** Undefined for a path that is not part of the API. */
  readonly route: Route | undefined
  readonly query: URLSearchParams
  /** As received, without the query. */
  readonly path: string
}

const KINDS = { manifests: 'manifest', blobs: 'blob', referrers: 'referrers' } as const

/** Parses the target of a request. Names are not validated: they are only used as keys, never as file paths. */
export function parseTarget(target: string): RequestTarget {
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
  const type = kind === undefined ? undefined : KINDS[kind as keyof typeof KINDS] // the pattern matches no other
  if (type === undefined) return undefined
  return type === 'manifest' ? { type, repository, reference: last } : { type, repository, digest: last }
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined // not valid UTF-8
  }
}
