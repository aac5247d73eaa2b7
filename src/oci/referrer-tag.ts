/**
 * The tags that stand for a manifest's referrers in a repository: cosign's, and the list of the OCI distribution-spec,
 * "Referrers Tag Schema".
 */
import { type Digest, digestFromHex, hexOf } from './digest.js'

const TAG = /^sha256-([0-9a-f]{64})(?:[.](sig|att|sbom))?$/

/** The tag for the list of referrers of `digest`, where there is no referrers API. */
export function referrersTag(digest: Digest): string {
  return `sha256-${hexOf(digest)}`
}

/** The tags under which cosign stores what describes the manifest `digest`. */
export function cosignTags(digest: Digest): readonly string[] {
  return ['sig', 'att', 'sbom'].map(kind => `${referrersTag(digest)}.${kind}`)
}

/** The manifest whose referrers such a tag names, and whether it is one of cosign's; undefined for any other tag. */
export function parseReferrerTag(tag: string): { readonly subject: Digest; readonly cosign: boolean } | undefined {
  const [, hex, kind] = TAG.exec(tag) ?? []
  return hex === undefined ? undefined : { subject: digestFromHex(hex), cosign: kind !== undefined }
}
