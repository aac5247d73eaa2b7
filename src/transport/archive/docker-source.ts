/** An archive written by `docker save` or a compatible tool as an image source: `docker-archive:FILE[:REF]`. */
import { ArchiveBlobs } from '../../archive/archive-blobs.js'
import type { ArchiveFiles } from '../../archive/archive-files.js'
import { type DockerEntry, DockerImages, readDockerEntries } from '../../archive/docker-images.js'
import { DOCKER_FILE } from '../../archive/heads.js'
import { openArchive } from '../../archive/open-archive.js'
import type { FetchOptions } from '../../blob/blob-store.js'
import { StowageError } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { type Digest, digestOf, isDigest } from '../../oci/digest.js'
import { INDEX_FILE, LAYOUT_FILE } from '../../oci/layout.js'
import type { ImageSource, SourceImage } from '../../image/image-source.js'
import { groupByRoot, type NamedEntry, selectImage } from '../../image/selection.js'
import { type ArchiveSourceOptions, entryAt, imagesOfLayout, indexIn, some } from '../layout-images.js'

/**
 * Opens the archive `file`, written by docker 1.10 or later, podman, skopeo, kaniko, bazel or Stowage. A plain tar is
 * read in place; one that is compressed with gzip or zstd, or read from a pipe, is spooled once. `ref` is a name, `@N`
 * (the image at index N of manifest.json), or the digest of a config or root. If the archive is also an OCI layout, as
 * from docker 25 and later, its manifests and blobs are used unchanged; otherwise the layers are used unchanged, with a
 * new OCI manifest.
 *
 * Throws FILE_NOT_FOUND, INVALID_TAR, INVALID_MANIFEST; `images()` also IMAGE_NOT_FOUND, BLOB_MISSING, and
 * DIGEST_MISMATCH for a layer that does not match its diffID.
 */
export async function openDockerArchiveSource(
  file: string,
  { ref, ...options }: ArchiveSourceOptions,
): Promise<ImageSource> {
  const archive = await openArchive(file, options)
  try {
    const blobs = new ArchiveBlobs(archive)
    const layout = archive.find(LAYOUT_FILE) && archive.find(INDEX_FILE)
    if (!layout && !archive.find(DOCKER_FILE)) throw noImage(archive)
    const { onNotice } = options
    let found: Promise<readonly SourceImage[]> | undefined
    return {
      async images(wait = {}) {
        const read = { ...wait, onNotice }
        found ??= layout ? imagesOfLayout(archive, blobs, ref, read) : imagesOfList(archive, blobs, ref, read)
        return await found
      },
      has: async blob => await blobs.has(blob),
      fetch: (blob, wait) => blobs.fetch(blob, wait),
      [Symbol.asyncDispose]: async () => await archive[Symbol.asyncDispose](),
    }
  } catch (error) {
    await archive[Symbol.asyncDispose]()
    throw error
  }
}

/** The images of an archive that is not an OCI layout: from docker before 25, or from another tool. */
async function imagesOfList(
  archive: ArchiveFiles,
  blobs: ArchiveBlobs,
  ref: string | undefined,
  wait: FetchOptions & Pick<ArchiveSourceOptions, 'onNotice'>,
): Promise<readonly SourceImage[]> {
  const { name } = archive.subject
  const listed = await readDockerEntries(archive, wait)
  const byConfig = new Map<Digest, DockerEntry>()
  const entries: NamedEntry[] = []
  const configs: Digest[] = []
  for (const entry of listed) {
    const bytes = await archive.readSmall(entry.config, wait)
    const root: Descriptor = { mediaType: '', digest: digestOf(bytes), size: bytes.length }
    configs.push(root.digest)
    if (!byConfig.has(root.digest)) byConfig.set(root.digest, entry)
    for (const each of entry.names.length > 0 ? entry.names : [undefined]) entries.push({ root, name: each })
  }
  const reader = new DockerImages(archive, wait)
  const made = async ({ root, names }: SourceImage): Promise<SourceImage> => {
    const image = await reader.image(byConfig.get(root.digest) ?? entryAt(listed, 0, name))
    for (const [digest, file] of image.files) blobs.addFile(digest, file)
    blobs.addDocument(image.root.digest, image.manifest)
    return { root: image.root, names }
  }
  if (ref !== undefined && isDigest(ref) && !byConfig.has(ref)) return [await imageByRoot(ref)]
  const images: SourceImage[] = []
  for (const image of choose()) images.push(await made(image))
  return images

  function choose(): readonly SourceImage[] {
    if (ref === undefined) return some(groupByRoot(entries), name)
    const at = indexIn(ref)
    if (at === undefined) return [selectImage(entries, ref, name)]
    const digest = entryAt(configs, at, name)
    return groupByRoot(entries.filter(({ root }) => root.digest === digest))
  }

  /** Finds an image by the digest of its manifest, which is known only once the manifest is created. */
  async function imageByRoot(digest: Digest): Promise<SourceImage> {
    for (const image of groupByRoot(entries)) {
      const found = await made(image)
      if (found.root.digest === digest) return found
    }
    return selectImage(entries, digest, name)
  }
}

function noImage(archive: ArchiveFiles): StowageError {
  const { name } = archive.subject
  const names = new Set(archive.names())
  const hint = names.has('repositories')
    ? 'It was saved by a Docker before 1.10: load it into an engine, and save it from there again.'
    : names.has('etc/passwd') || names.has('bin/sh')
      ? 'It looks like a file system, as "docker export" writes one: unpack it, and name it dir:DIR.'
      : undefined
  return new StowageError('INVALID_MANIFEST', `${name} has no ${DOCKER_FILE}, so it is not a docker archive`, { hint })
}
