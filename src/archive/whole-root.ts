/** Finds the complete images in an export: engines silently leave out blobs that they do not have. */
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import { DEPTH_LIMIT } from '../blob/closure.js'
import { readVerified } from '../blob/verified.js'
import { StowageError } from '../errors.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isIndex, isManifest } from '../oci/media-type.js'
import type { ArchiveSubject } from './archive-files.js'

/** The root of an image, and the manifests below it that are not there. */
export interface WholeRoot {
  readonly root: Descriptor
  readonly absent?: readonly Digest[]
}

/**
 * `root` if all its blobs are in `store`. Of an incomplete index, the only image in it that is complete; or the index
 * itself if there are several, with everything in it that is not complete as `absent`. Throws BLOB_MISSING,
 * INVALID_MANIFEST.
 */
export async function wholeRoot(
  root: Descriptor,
  store: BlobStore,
  { name, hint }: ArchiveSubject,
  options: FetchOptions = {},
): Promise<WholeRoot> {
  const known = new Map<Digest, readonly Digest[]>()
  const missing = await missingBelow(root, store, options, known)
  if (missing.length === 0) return { root }
  const whole: Descriptor[] = []
  const absent: Digest[] = []
  for (const child of isIndex(root.mediaType) ? await childrenOf(root, store, options) : []) {
    const complete = (await missingBelow(child, store, options, known)).length === 0
    if (!complete) absent.push(child.digest)
    else if (isManifest(child.mediaType) && child.platform?.os !== 'unknown') whole.push(child)
  }
  const [only, ...others] = whole
  if (others.length > 0) return { root, absent }
  if (only) return { root: only }
  throw new StowageError('BLOB_MISSING', `${name} lacks ${missing.join(', ')}`, { hint })
}

/** The descriptors in a manifest or an index; none for any other blob, or if `store` does not have it. */
export async function childrenOf(
  blob: Descriptor,
  store: BlobStore,
  options: FetchOptions = {},
): Promise<readonly Descriptor[]> {
  const parent = isIndex(blob.mediaType) || isManifest(blob.mediaType)
  if (!parent || !(await store.has(blob))) return []
  const parsed = parseManifest(
    await readVerified(blob, store.fetch(blob, options), MANIFEST_LIMIT),
    blob.digest,
    blob.mediaType,
  )
  return parsed.type === 'index' ? parsed.manifests : [parsed.config, ...parsed.layers]
}

/** Digests of the blobs that `blob` references, directly or not, and itself, if they are not in `store`. */
async function missingBelow(
  blob: Descriptor,
  store: BlobStore,
  options: FetchOptions,
  known: Map<Digest, readonly Digest[]>,
  depth = 0,
): Promise<readonly Digest[]> {
  const before = known.get(blob.digest)
  if (before) return before
  if (!(await store.has(blob))) return [blob.digest]
  if (depth > DEPTH_LIMIT)
    throw new StowageError('INVALID_MANIFEST', `${blob.digest} is nested more than ${DEPTH_LIMIT} indexes deep`)
  const missing = new Set<Digest>()
  for (const child of eachOnce(await childrenOf(blob, store, options)))
    for (const digest of await missingBelow(child, store, options, known, depth + 1)) missing.add(digest)
  known.set(blob.digest, [...missing])
  return [...missing]
}
