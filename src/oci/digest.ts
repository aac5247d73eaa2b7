/** Parses and computes OCI digests in the only form that Stowage uses: `sha256:` and 64 hex digits. */
import { createHash } from 'node:crypto'
import { StowageError } from '../errors.js'
import { shown } from './json.js'

/** `sha256:<64 lower-case hex digits>`. Source: OCI image-spec, descriptor.md, "Digests". */
export type Digest = `sha256:${string}`

const PATTERN = /^sha256:[0-9a-f]{64}$/

/** Whether `text` is `sha256:` followed by 64 lower-case hex digits. */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && PATTERN.test(text)
}

/** Throws INVALID_MANIFEST if `text` is not a SHA-256 digest; `where` names its field. */
export function parseDigest(text: unknown, where: string): Digest {
  if (isDigest(text)) return text
  throw new StowageError('INVALID_MANIFEST', `${where}: expected sha256:<64 hex digits> but found ${shown(text)}`)
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The 64 hex digits only: the name of the blob's file in an image layout. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length)
}

export function digestFromHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`, 'digest')
}
