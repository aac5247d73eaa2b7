/** Formats names and digests of images as docker does. */
import { type Digest, hexOf } from '../oci/digest.js'
import { familiarReference, parseReference } from '../oci/reference.js'

/** The first twelve digits of a digest. */
export function shortDigest(digest: string): string {
  return hexOf(digest as Digest).slice(0, 12) // engines and layouts name images by digest
}

/** Full names in the short form that `docker images` shows. */
export function familiarNames(names: readonly string[]): string {
  return names.length === 0 ? '<none>' : names.map(name => familiarReference(parseReference(name))).join(', ')
}
