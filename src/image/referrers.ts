/**
 * Finds the referrers of an image: signatures, SBOMs, attestations. Sources: OCI distribution-spec, "Listing
 * Referrers"; cosign's tags.
 */
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import type { ImageContent } from '../blob/closure.js'
import { readVerified } from '../blob/verified.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isIndex, isManifest } from '../oci/media-type.js'
import { formatReference, type Reference } from '../oci/reference.js'
import { cosignTags, parseReferrerTag, referrersTag } from '../oci/referrer-tag.js'
import type { FoundReferrer, ImageSource, SourceImage } from './image-source.js'
import { groupByRoot, type NamedEntry } from './selection.js'

/** Levels of referrers to follow: an SBOM may be signed, and its signature may have a referrer as well. */
const DEPTH_LIMIT = 3

export interface Referrer extends SourceImage {
  /** The manifest or index that it describes. */
  readonly subject: Digest
}

/** What a signature, an SBOM or an attestation with these names describes, by `subject` or by cosign's tag. */
export function subjectOf({ root, manifests }: ImageContent, names: readonly Reference[]): Digest | undefined {
  const own = manifests.find(({ descriptor }) => descriptor.digest === root.digest)
  const subject = own && parseManifest(own.bytes, root.digest, root.mediaType).subject?.digest
  if (subject) return subject
  return names.map(({ tag = '' }) => parseReferrerTag(tag)).find(found => found?.cosign)?.subject
}

/**
 * The referrers of `image` and its manifests in `source`, and the referrers of those, each once; empty if the source
 * cannot look for them. `names` are the names of the image at the destination: its referrers move to the same
 * repositories.
 */
export async function findReferrers(
  source: ImageSource,
  image: ImageContent,
  names: readonly Reference[],
  options: FetchOptions = {},
): Promise<readonly Referrer[]> {
  const found = new Map<string, FoundReferrer & Referrer>()
  let wave: readonly Descriptor[] = image.manifests.map(({ descriptor }) => descriptor)
  for (let depth = 0; source.referrers && wave.length > 0 && depth < DEPTH_LIMIT; depth += 1) {
    const next: Descriptor[] = []
    for (const manifest of wave) {
      for (const referrer of await source.referrers(manifest, options)) {
        const key = `${referrer.root.digest} ${referrer.names.map(formatReference).join(' ')}`
        if (found.has(key)) continue
        next.push(referrer.root)
        found.set(key, { ...referrer, subject: manifest.digest })
      }
    }
    wave = next
  }
  return [...found.values()].map(({ root, names: own, tags = [], absent, subject }) => {
    const tagged = names.flatMap(({ domain, path }) => tags.map(tag => ({ domain, path, tag })))
    const moved = [...inRepositories(own, names), ...tagged]
    // A referrer without a name is named by its digest
    const given = moved.length > 0 ? moved : inRepositories([{ domain: '', path: '', digest: root.digest }], names)
    return { subject, root, names: names.length > 0 ? given : moved, absent }
  })
}

/**
 * {@link ImageSource.referrers} for a source that lists its images: those of `entries` that describe a manifest, found
 * by `subject`, by cosign's tags, or in the index tagged `sha256-<hex>` that stands in for the referrers API. The
 * subject of each entry is read once.
 */
export function referrersAmong(
  store: BlobStore,
  entries: readonly NamedEntry[],
): NonNullable<ImageSource['referrers']> {
  const images = groupByRoot(entries)
  const subjects = new Map<Digest, Digest | undefined>()
  const subjectOfRoot = async (root: Descriptor, options: FetchOptions): Promise<Digest | undefined> => {
    if (!isIndex(root.mediaType) && !isManifest(root.mediaType)) return undefined
    if (!subjects.has(root.digest)) {
      const bytes = await readVerified(root, store.fetch(root, options), MANIFEST_LIMIT)
      subjects.set(root.digest, parseManifest(bytes, root.digest, root.mediaType).subject?.digest)
    }
    return subjects.get(root.digest)
  }
  return async (manifest, options = {}) => {
    const tags = new Set(cosignTags(manifest.digest))
    const found: FoundReferrer[] = []
    for (const image of images) {
      const tagged = image.names.filter(({ tag }) => tag !== undefined && tags.has(tag))
      if (tagged.length > 0) found.push({ ...image, names: tagged })
      else if (image.root.digest !== manifest.digest && (await subjectOfRoot(image.root, options)) === manifest.digest)
        found.push(image)
    }
    for (const { root, name, refName = name?.tag, absent } of entries) {
      if (!name && refName !== undefined && tags.has(refName)) found.push({ root, names: [], tags: [refName], absent })
      if (refName !== referrersTag(manifest.digest) || !isIndex(root.mediaType)) continue
      const list = parseManifest(await readVerified(root, store.fetch(root, options), MANIFEST_LIMIT), root.digest)
      if (list.type === 'index')
        for (const { mediaType, digest, size } of list.manifests)
          found.push({ root: { mediaType, digest, size }, names: [] })
    }
    return found
  }
}

/** The tags and digests of `own` in each repository of `names`; `own` unchanged if `names` is empty. */
function inRepositories(own: readonly Reference[], names: readonly Reference[]): readonly Reference[] {
  const places = new Map(names.map(({ domain, path }) => [`${domain}/${path}`, { domain, path }]))
  const moved = [...places.values()].flatMap(place =>
    own.map(({ tag, digest }) => ({
      ...place,
      ...(tag === undefined ? {} : { tag }),
      ...(digest === undefined ? {} : { digest }),
    })),
  )
  return moved.length > 0 ? moved : own
}
