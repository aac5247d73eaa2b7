/** An archive of docker that was unpacked and whose index.json lists nothing: its other list counts. */
import { ArchiveBlobs } from '../../archive/archive-blobs.js'
import { openDirectoryArchive } from '../../archive/directory-archive.js'
import type { ImageSource } from '../../image/image-source.js'
import { onlyImage } from '../../image/selection.js'
import { type ArchiveSourceOptions, imagesOfLayout } from '../layout-images.js'

/** Opens the archive in `directory`. Throws like openLayoutSource(). */
export async function openUnpackedArchive(
  directory: string,
  ref: string | undefined,
  options: Pick<ArchiveSourceOptions, 'onNotice'>,
): Promise<ImageSource> {
  const archive = await openDirectoryArchive(directory)
  const blobs = new ArchiveBlobs(archive)
  return {
    async images(wait = {}) {
      const images = await imagesOfLayout(archive, blobs, ref, { ...wait, ...options })
      if (images.length === 1) return images
      const named = images.flatMap(({ names, ...image }) =>
        (names.length > 0 ? names : [undefined]).map(name => ({ ...image, name })),
      )
      return [onlyImage(named, directory)]
    },
    has: async blob => await blobs.has(blob),
    fetch: (blob, wait) => blobs.fetch(blob, wait),
    [Symbol.asyncDispose]: async () => await archive[Symbol.asyncDispose](),
  }
}
