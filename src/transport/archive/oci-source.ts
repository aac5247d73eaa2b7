/** A tar of an OCI image layout as a source, `oci-archive:FILE[:REF]`. Source: OCI image-spec, image-layout.md. */
import { ArchiveBlobs } from '../../archive/archive-blobs.js'
import type { ArchiveFiles } from '../../archive/archive-files.js'
import { DOCKER_FILE } from '../../archive/heads.js'
import { openArchive } from '../../archive/open-archive.js'
import { StowageError } from '../../errors.js'
import { INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from '../../oci/layout.js'
import type { ImageSource } from '../../image/image-source.js'
import { referrersAmong } from '../../image/referrers.js'
import { groupByRoot, namedEntry, selectImage } from '../../image/selection.js'
import { type ArchiveSourceOptions, imagesOfLayout } from '../layout-images.js'

/**
 * Opens the archive `file`, written by skopeo, podman, buildx, ctr or Stowage. A plain tar is read in place; one that
 * is compressed with gzip or zstd, or read from a pipe, is spooled once. Throws FILE_NOT_FOUND, INVALID_TAR,
 * NOT_A_LAYOUT, INVALID_MANIFEST; IMAGE_NOT_FOUND comes from `images()`.
 */
export async function openOciArchiveSource(
  file: string,
  { ref, ...options }: ArchiveSourceOptions,
): Promise<ImageSource> {
  const archive = await openArchive(file, options)
  try {
    if (!archive.find(LAYOUT_FILE)) throw notALayout(archive)
    const index = await archive.readSmall(INDEX_FILE, { signal: options.signal })
    const entries = parseLayoutIndex(index, `${file}: ${INDEX_FILE}`).map(namedEntry)
    const blobs = new ArchiveBlobs(archive)
    const saved = archive.find(DOCKER_FILE) !== undefined // by docker, so its other list counts as well
    return {
      referrers: referrersAmong(blobs, entries),
      async images(wait = {}) {
        if (saved) return await imagesOfLayout(archive, blobs, ref, { ...wait, onNotice: options.onNotice })
        if (ref !== undefined) return [selectImage(entries, ref, file)]
        if (entries.length === 0) throw new StowageError('IMAGE_NOT_FOUND', `${file} holds no image`)
        return groupByRoot(entries)
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

function notALayout(archive: ArchiveFiles): StowageError {
  const { name } = archive.subject
  const below = [...archive.names()].find(path => path.endsWith(`/${LAYOUT_FILE}`))
  const docker = archive.find(DOCKER_FILE) ? `It is a docker archive: name it docker-archive:${name}.` : undefined
  const hint =
    below === undefined
      ? docker
      : `Its layout is in ${below.slice(0, -LAYOUT_FILE.length)}: unpack it, and name that oci:DIR.`
  return new StowageError(
    'NOT_A_LAYOUT',
    `${name} has no ${LAYOUT_FILE}, so it is not an archive of an OCI image layout`,
    {
      hint,
    },
  )
}
