/** For programs that hold an open source and an open destination themselves: one image from one to the other. */
import { readImage } from '../blob/closure.js'
import type { ImageDestination, WriteImageOptions, WrittenImage } from '../image/image-destination.js'
import type { ImageSource, SourceImage } from '../image/image-source.js'
import type { Reference } from '../oci/reference.js'

export interface CopyImageOptions extends WriteImageOptions {
  /** Names at the destination instead of those at the source. */
  readonly names?: readonly Reference[] | undefined
}

/**
 * Copies `image` of `source` to `destination`, byte for byte, each blob checked on the way. A destination with a `finish()` is whole
 * only after that. Throws what reading throws (BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST …) and what the destination does.
 */
export async function copyImage(
  source: ImageSource,
  image: SourceImage,
  destination: ImageDestination,
  { names = image.names, ...options }: CopyImageOptions = {},
): Promise<WrittenImage> {
  const content = await readImage(source, image.root, { absent: image.absent, signal: options.signal })
  options.signal?.throwIfAborted()
  return await destination.write(content, source, names, options)
}
