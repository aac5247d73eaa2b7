/** Image references, `name[:tag][@digest]`, normalised as Docker does. Source: distribution's reference grammar. */
import { StowageError } from '../errors.js'
import { type Digest, isDigest } from './digest.js'

export interface Reference {
  /** Registry host, with the port if there is one; `docker.io` for Docker Hub. */
  readonly domain: string
  /** Repository without the domain, for example `library/nginx`. */
  readonly path: string
  readonly tag?: string
  readonly digest?: Digest
}

const DOMAIN =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
/** What a person writes for a file or a directory. */
const PATH_LIKE = /^(?:\.{0,2}|~)\//
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

/**
 * Parses a familiar or full reference: `nginx`, `nginx:1.27`, `quay.example/team/app@sha256:…`.
 * Adds no default tag; see {@link withDefaultTag}. Throws INVALID_REFERENCE.
 */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@')
  const after = text.slice(text.lastIndexOf('@') + 1)
  if (at >= 0 && after.includes('/')) {
    // The text before it may be a password: leave it out of the message
    throw invalid(after, 'Names cannot contain a user or a password: log in with "stowage login".')
  }
  const digest = at < 0 ? undefined : text.slice(at + 1)
  const named = at < 0 ? text : text.slice(0, at)
  const colon = named.lastIndexOf(':')
  const tagged = colon > named.lastIndexOf('/')
  const tag = tagged ? named.slice(colon + 1) : undefined
  const name = tagged ? named.slice(0, colon) : named
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const hosted = first !== '' && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase())
  const domain = !hosted || first === 'index.docker.io' ? 'docker.io' : first
  const remainder = hosted ? name.slice(slash + 1) : name
  const path = domain === 'docker.io' && !remainder.includes('/') ? `library/${remainder}` : remainder

  if (
    !isRegistry(domain) ||
    !path.split('/').every(part => COMPONENT.test(part)) ||
    domain.length + path.length > 254
  ) {
    const lower = text !== text.toLowerCase() ? ' Repository names are lower case.' : ''
    const kind = PATH_LIKE.test(text)
      ? ` A path is written with its kind, where a place can be named: oci:${text}.`
      : ''
    throw invalid(text, `Write name[:tag], for example shop:2.3 or registry.example/team/shop:2.3.${lower}${kind}`)
  }
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, 'A tag is up to 128 letters, digits, "_", "." and "-".')
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, 'A digest is sha256: and 64 hex digits.')
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) }
}

/** The full form, `docker.io/library/nginx:1.27`, for files and for engines. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${reference.domain}/${reference.path}${tag}${digest}`
}

/** Each name once, in order of first appearance. */
export function namesOnce<T extends Reference>(names: readonly T[]): readonly T[] {
  return [...new Map(names.map(name => [formatReference(name), name])).values()]
}

/** The short form, `nginx:1.27`, as `docker images` shows it. */
export function familiarReference(reference: Reference): string {
  const full = formatReference(reference)
  if (full.startsWith('docker.io/library/')) return full.slice('docker.io/library/'.length)
  return full.startsWith('docker.io/') ? full.slice('docker.io/'.length) : full
}

/** Adds the tag `latest` if there is neither a tag nor a digest, as Docker does. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: 'latest' } : reference
}

/**
 * Parses a new name for an image, with the tag `latest` if it has none. As in docker, a new name cannot have a digest:
 * it would claim that this is a different image. Throws INVALID_REFERENCE, INVALID_ARGUMENT for a name with a digest.
 */
export function nameToGive(text: string): Reference {
  const reference = withDefaultTag(parseReference(text))
  if (reference.digest === undefined) return reference
  throw new StowageError('INVALID_ARGUMENT', `${text} has a digest, which cannot be part of a new name`, {
    hint: 'Write name:tag.',
  })
}

/** Turns `My App` into `my-app:latest`; undefined if no part of `title` can be used in a name. */
export function nameMadeOf(title: string, tag = 'latest'): Reference | undefined {
  const path = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  return isReference(`${path}:${tag}`) ? parseReference(`${path}:${tag}`) : undefined
}

/** Whether `text` is a valid `HOST[:PORT]`, as in the domain of a reference. */
export function isRegistry(text: string): boolean {
  return DOMAIN.test(text) && URL.canParse(`https://${text}`) // checks the port and an [IPv6] address
}

/** Whether `text` is a reference with a domain or a path, not a bare tag. */
export function isReference(text: string): boolean {
  try {
    parseReference(text)
    return true
  } catch {
    return false // the only thing parseReference throws is INVALID_REFERENCE
  }
}

function invalid(text: string, hint: string): StowageError {
  return new StowageError('INVALID_REFERENCE', `${JSON.stringify(text)} is not an image reference`, { hint })
}
