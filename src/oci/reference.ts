/** Image references, `name[:tag][@digest]`, as Docker normalises them. Source: distribution's reference grammar. */
import { StowageError } from '../errors.js'
import { type Digest, isDigest } from './digest.js'

export interface Reference {
  /** Registry host with port, `docker.io` for Docker Hub. */
  readonly domain: string
  /** Repository without the domain, `library/nginx`. */
  readonly path: string
  readonly tag?: string
  readonly digest?: Digest
}

const DOMAIN =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$/
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/

/**
 * Parses a familiar or full reference: `nginx`, `nginx:1.27`, `quay.example/team/app@sha256:…`.
 * The tag is not defaulted; see {@link withDefaultTag}. Throws INVALID_REFERENCE.
 */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@')
  const after = text.slice(text.lastIndexOf('@') + 1)
  if (at >= 0 && after.includes('/')) {
    // What stands before it may be a password
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
    throw invalid(text, `Write name[:tag], for example shop:2.3 or registry.example/team/shop:2.3.${lower}`)
  }
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, 'A tag is up to 128 letters, digits, "_", "." and "-".')
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, 'A digest is sha256: and 64 hex digits.')
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) }
}

/** The full form, `docker.io/library/nginx:1.27`: what files hold and engines are told. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${reference.domain}/${reference.path}${tag}${digest}`
}

/** Each once, in the order of the first. */
export function namesOnce<T extends Reference>(names: readonly T[]): readonly T[] {
  return [...new Map(names.map(name => [formatReference(name), name])).values()]
}

/** The short form, `nginx:1.27`, as `docker images` shows it. */
export function familiarReference(reference: Reference): string {
  const full = formatReference(reference)
  if (full.startsWith('docker.io/library/')) return full.slice('docker.io/library/'.length)
  return full.startsWith('docker.io/') ? full.slice('docker.io/'.length) : full
}

/** `latest` where neither tag nor digest says which image is meant, as Docker has it. */
export function withDefaultTag(reference: Reference): Reference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: 'latest' } : reference
}

/**
 * The name `text` for an image, `latest` where it has no tag. As docker has it, a digest is not a name to give: it would say that
 * the image is another. Throws INVALID_REFERENCE, INVALID_ARGUMENT for one with a digest.
 */
export function nameToGive(text: string): Reference {
  const reference = withDefaultTag(parseReference(text))
  if (reference.digest === undefined) return reference
  throw new StowageError('INVALID_ARGUMENT', `${text} has a digest, which cannot be part of a new name`, {
    hint: 'Write name:tag.',
  })
}

/** `My App` as `my-app:latest`; undefined if nothing of `title` can be used in a name. */
export function nameMadeOf(title: string, tag = 'latest'): Reference | undefined {
  const path = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
  return isReference(`${path}:${tag}`) ? parseReference(`${path}:${tag}`) : undefined
}

/** Whether `text` is `HOST[:PORT]`, as the domain of a reference: a host and a port that there can be. */
export function isRegistry(text: string): boolean {
  return DOMAIN.test(text) && URL.canParse(`https://${text}`) // it says how large a port is, and what an address in brackets may be
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
