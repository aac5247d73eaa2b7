/**
 * Reads and writes lists of referrers, the manifests that have a given subject. Source: OCI distribution-spec, "Listing
 * Referrers".
 */
import type { Descriptor } from '../oci/descriptor.js'
import { parseJson, record } from '../oci/json.js'
import { parseManifest } from '../oci/manifest.js'
import { OCI_INDEX } from '../oci/media-type.js'

/** The manifests in a list of referrers, which is an index. */
export function parseReferrers(bytes: Uint8Array, where: string): readonly Descriptor[] {
  const parsed = parseManifest(bytes, where, OCI_INDEX)
  return parsed.type === 'index' ? parsed.manifests : []
}

/** The entry for a manifest in a list of referrers. */
export function referrerOf(descriptor: Descriptor, bytes: Uint8Array): object {
  const own = parseManifest(bytes, descriptor.digest, descriptor.mediaType)
  const artifactType = own.artifactType ?? (own.type === 'manifest' ? own.config.mediaType : undefined)
  const { annotations } = record(parseJson(bytes, descriptor.digest), descriptor.digest)
  return {
    ...descriptor,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations ? { annotations } : {}),
  }
}

export function indexOfReferrers(manifests: readonly object[]): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
}
