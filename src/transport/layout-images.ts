/** The images of an OCI layout, in an archive or unpacked, that may also have docker's list: both lists count. */
import type { ArchiveBlobs } from '../archive/archive-blobs.js'
import type { ArchiveFiles } from '../archive/archive-files.js'
import { type DockerEntry, DockerImages, readDockerEntries } from '../archive/docker-images.js'
import { DOCKER_FILE } from '../archive/heads.js'
import type { OpenArchiveOptions } from '../archive/open-archive.js'
import { childrenOf, wholeRoot } from '../archive/whole-root.js'
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { SourceImage } from '../image/image-source.js'
import { groupByRoot, type NamedEntry, namedEntry, selectImage } from '../image/selection.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, hexOf, isDigest } from '../oci/digest.js'
import { INDEX_FILE, parseLayoutIndex } from '../oci/layout.js'
import { isIndex } from '../oci/media-type.js'
import { formatReference, namesOnce } from '../oci/reference.js'

export interface ArchiveSourceOptions extends OpenArchiveOptions {
  /** The image to select; all images if left out. */
  readonly ref?: string | undefined
  /** Called with notices for the user, one sentence each: a name cannot be kept. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

/**
 * The images of `index.json` and those that only docker's `manifest.json` lists, with the names from both lists.
 * Engines leave out platforms that they do not hold: of an incomplete index, the images in it that are complete are
 * used. Throws INVALID_MANIFEST if the lists give the same name to different images, IMAGE_NOT_FOUND, BLOB_MISSING.
 */
export async function imagesOfLayout(
  archive: ArchiveFiles,
  blobs: ArchiveBlobs,
  ref: string | undefined,
  wait: FetchOptions & Pick<ArchiveSourceOptions, 'onNotice'>,
): Promise<readonly SourceImage[]> {
  const { name } = archive.subject
  const roots = parseLayoutIndex(await archive.readSmall(INDEX_FILE, wait), `${name}: ${INDEX_FILE}`).map(namedEntry)
  const listed = archive.find(DOCKER_FILE) ? await readDockerEntries(archive, wait) : []
  const configs = new Map<Digest, readonly Digest[]>()
  for (const { root } of roots) configs.set(root.digest, await configsOf(root, blobs, wait))
  const isOf = ({ root }: NamedEntry, { config }: DockerEntry): boolean =>
    configs.get(root.digest)?.some(digest => config.includes(hexOf(digest))) ?? false
  const entries: NamedEntry[] = [...roots]
  const reader = new DockerImages(archive, wait)
  for (const entry of listed) {
    const own = roots.find(each => isOf(each, entry))
    let added = own && { root: own.root, absent: own.absent }
    if (!added) {
      const { root, files, manifest, config } = await reader.image(entry)
      for (const [digest, file] of files) blobs.addFile(digest, file)
      blobs.addDocument(root.digest, manifest)
      configs.set(root.digest, [config.digest])
      added = { root, absent: undefined }
      if (entry.names.length === 0) entries.push({ ...added, name: undefined })
    }
    for (const each of entry.names) entries.push({ ...added, name: each })
  }
  const images: SourceImage[] = []
  for (const { root, names, absent = [] } of choose()) {
    const leftOut = absent.length > 0 // on purpose
    const whole = leftOut ? { root, absent } : await wholeRoot(root, blobs, archive.subject, wait)
    images.push({ ...whole, names: namesOnce(names) })
  }
  return images

  function choose(): readonly SourceImage[] {
    const at = ref === undefined ? undefined : indexIn(ref)
    if (at === undefined && (ref === undefined || !isDigest(ref))) {
      refuseConflicts(entries, name)
      return ref === undefined ? some(groupByRoot(entries), name) : [selectImage(entries, ref, name)]
    }
    const config = at === undefined ? ref : configDigestOf(entryAt(listed, at, name))
    const root = entries.find(each => configs.get(each.root.digest)?.some(digest => digest === config))?.root.digest
    return [selectImage(entries, root ?? ref ?? '', name)]
  }
}

/** If the lists give one name to two images, its meaning depends on which list a tool reads. */
function refuseConflicts(entries: readonly NamedEntry[], where: string): void {
  const owners = new Map<string, Digest>()
  for (const { root, name } of entries) {
    if (!name) continue
    const full = formatReference(name)
    const owner = owners.get(full) ?? root.digest
    owners.set(full, owner)
    if (owner === root.digest) continue
    throw new StowageError(
      'INVALID_MANIFEST',
      `${where}: ${full} is ${owner} by ${INDEX_FILE} but ${root.digest} by ${DOCKER_FILE}`,
      { hint: `Name the image you mean by its digest: ${where}:${owner}, or ${where}:${root.digest}.` },
    )
  }
}

/** The digests of the configs of all platforms that are present. */
async function configsOf(root: Descriptor, blobs: BlobStore, wait: FetchOptions): Promise<readonly Digest[]> {
  const children = await childrenOf(root, blobs, wait)
  if (!isIndex(root.mediaType)) return children.slice(0, 1).map(({ digest }) => digest)
  const below: Digest[] = []
  for (const child of children) if (!isIndex(child.mediaType)) below.push(...(await configsOf(child, blobs, wait)))
  return below
}

/** N of skopeo's `@N`. */
export function indexIn(ref: string): number | undefined {
  return /^@\d{1,9}$/.test(ref) ? Number(ref.slice(1)) : undefined
}

export function entryAt<T>(listed: readonly T[], at: number, name: string): T {
  const entry = listed[at]
  if (entry) return entry
  throw new StowageError('IMAGE_NOT_FOUND', `${name} has no image @${at}: its ${DOCKER_FILE} lists ${listed.length}`, {
    ...(listed.length > 0 ? { hint: `Name one from @0 to @${listed.length - 1}, or by its name.` } : {}),
  })
}

/** The config's path is `blobs/sha256/<hex>` in an archive that is also an OCI layout; older ones have `<hex>.json`. */
function configDigestOf({ config }: DockerEntry): string {
  return `sha256:${config.slice(config.lastIndexOf('/') + 1).replace(/\.json$/, '')}`
}

export function some(images: readonly SourceImage[], name: string): readonly SourceImage[] {
  if (images.length > 0) return images
  throw new StowageError('IMAGE_NOT_FOUND', `${name} holds no image`)
}
