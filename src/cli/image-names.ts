/** Names and digests of images, as docker prints them. */
import { type Digest, hexOf } from '../oci/digest.js'
import { familiarReference, parseReference } from '../oci/reference.js'

/** A digest as far as a person compares it: twelve digits. */
export function shortDigest(digest: string): string {
  return hexOf(digest as Digest).slice(0, 12) // engines and layouts name images by digest
}

/** Names as `docker images` shows them, from the full ones. */
export function familiarNames(names: readonly string[]): string {
  return names.length === 0 ? '<none>' : names.map(name => familiarReference(parseReference(name))).join(', ')
}
