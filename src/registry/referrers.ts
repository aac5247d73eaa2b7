/** Lists of the manifests that are about another one. Source: OCI distribution-spec, "Listing Referrers". */
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, hexOf } from '../oci/digest.js'
import { parseJson, record } from '../oci/json.js'
import { parseManifest } from '../oci/manifest.js'
import { OCI_INDEX } from '../oci/media-type.js'

/** The tag under which the distribution-spec keeps what is about a manifest, where a registry does not list it by itself. */
export function referrersTag(digest: Digest): string {
  return `sha256-${hexOf(digest)}`
}

/** The manifests that the index in `bytes` lists. */
export function listedIn(bytes: Uint8Array, where: string): readonly Descriptor[] {
  const parsed = parseManifest(bytes, where, OCI_INDEX)
  return parsed.type === 'index' ? parsed.manifests : []
}

/** How a list of referrers has the manifest in `bytes`. */
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
