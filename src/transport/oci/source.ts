/** An OCI image layout on disk as an image source, `oci:DIR[:REF]`. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DOCKER_FILE } from '../../archive/heads.js'
import { wholeRoot } from '../../archive/whole-root.js'
import type { BlobStore } from '../../blob/blob-store.js'
import { BlobDirectory } from '../../blob/directory.js'
import { fileError, StowageError, systemCode } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { INDEX_FILE, LAYOUT_FILE, parseLayoutIndex } from '../../oci/layout.js'
import { MANIFEST_LIMIT } from '../../oci/manifest.js'
import type { ImageSource } from '../../image/image-source.js'
import { referrersAmong } from '../../image/referrers.js'
import { namedEntry, onlyImage, selectImage } from '../../image/selection.js'
import type { ArchiveSourceOptions } from '../layout-images.js'

/**
 * Opens the layout `directory`. With `ref`, its image is the one with that tag, name or digest; without `ref`, its only
 * image. Throws FILE_NOT_FOUND, NOT_A_LAYOUT, INVALID_MANIFEST; IMAGE_NOT_FOUND comes from `images()`. Of an archive of
 * docker that was unpacked, platforms that it does not hold are absent, see {@link wholeRoot}.
 */
export async function openLayoutSource(
  directory: string,
  ref?: string,
  options: Pick<ArchiveSourceOptions, 'onNotice'> = {},
): Promise<ImageSource> {
  const entries = (await readLayoutIndex(directory)).map(namedEntry)
  const saved = await exists(join(directory, DOCKER_FILE))
  if (saved && entries.length === 0)
    return await (await import('./unpacked.js')).openUnpackedArchive(directory, ref, options)
  const blobs = new BlobDirectory(directory)
  return {
    referrers: referrersAmong(blobs, entries),
    async images(wait = {}) {
      const image = ref === undefined ? onlyImage(entries, directory) : selectImage(entries, ref, directory)
      if (!saved || (image.absent?.length ?? 0) > 0) return [image]
      const subject = { name: directory, hint: 'The directory does not hold the complete image: unpack it again.' }
      return [{ ...image, ...(await wholeRoot(image.root, presentBlobs(blobs), subject, wait)) }]
    },
    has: async blob => await blobs.has(blob),
    fetch: (blob, options) => blobs.fetch(blob, options),
    placeOf: async blob => await blobs.placeOf(blob),
    async [Symbol.asyncDispose]() {},
  }
}

/** The entries of `directory`'s index.json. Throws FILE_NOT_FOUND, NOT_A_LAYOUT, INVALID_MANIFEST. */
export async function readLayoutIndex(directory: string): Promise<readonly Descriptor[]> {
  const layout = join(directory, LAYOUT_FILE)
  try {
    await stat(directory)
    await stat(layout)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw fileError(error, layout)
    if (!(await exists(directory))) throw fileError(error, directory)
    const saved = await exists(join(directory, DOCKER_FILE))
    throw new StowageError('NOT_A_LAYOUT', `${directory} has no ${LAYOUT_FILE}, so it is not an OCI image layout`, {
      hint: saved
        ? `It is an unpacked docker archive: pack it up again, tar -C ${directory} -cf FILE.tar ., and name docker-archive:FILE.tar.`
        : undefined,
      cause: error,
    })
  }
  const path = join(directory, INDEX_FILE)
  try {
    const { size } = await stat(path)
    if (size > MANIFEST_LIMIT) {
      throw new StowageError('INVALID_MANIFEST', `${path} has ${size} bytes; the limit is ${MANIFEST_LIMIT}`)
    }
    return parseLayoutIndex(await readFile(path), path)
  } catch (error) {
    throw fileError(error, path)
  }
}

/** The blobs of a layout by size alone: they are hashed when they are copied. */
function presentBlobs(blobs: BlobDirectory): BlobStore {
  return { has: async blob => await blobs.holds(blob), fetch: (blob, options) => blobs.fetch(blob, options) }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false
    throw fileError(error, path)
  }
}
