/** The one engine: an image is read whole from a source, and written by a destination. */
import { type ImageContent, readImage } from './blob/closure.js'
import type { ImageDestination, WrittenImage } from './destination/image-destination.js'
import type { Reference } from './oci/reference.js'
import type { WaitOptions } from './progress.js'
import type { ImageSource, SourceImage } from './source/image-source.js'

export interface CopyOptions extends WaitOptions {
  /** Names at the destination instead of those at the source. */
  readonly names?: readonly Reference[] | undefined
}

/**
 * Copies `image` of `source` to `destination`, byte for byte, each blob checked on the way.
 * Throws what reading throws (BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST …) and what the destination does.
 */
export async function copyImage(
  source: ImageSource,
  image: SourceImage,
  destination: ImageDestination,
  options: CopyOptions = {},
): Promise<WrittenImage> {
  const content = await readImage(source, image.root, options)
  return await copyContent(source, content, destination, { ...options, names: options.names ?? image.names })
}

/** The second half of {@link copyImage}, for one who has read the image already. */
export async function copyContent(
  source: ImageSource,
  content: ImageContent,
  destination: ImageDestination,
  { names = [], signal, onProgress }: CopyOptions,
): Promise<WrittenImage> {
  signal?.throwIfAborted()
  return await destination.write(content, source, names, { signal, onProgress })
}
