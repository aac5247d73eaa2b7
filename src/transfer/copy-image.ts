/** Copies one image between a source and a destination that the calling program has opened itself. */
import { readImage } from '../blob/closure.js'
import type { ImageDestination, WriteImageOptions, WrittenImage } from '../image/image-destination.js'
import type { ImageSource, SourceImage } from '../image/image-source.js'
import type { Reference } from '../oci/reference.js'

export interface CopyImageOptions extends WriteImageOptions {
  /** The names at the destination; defaults to the names at the source. */
  readonly names?: readonly Reference[] | undefined
}

/**
 * Copies `image` from `source` to `destination` byte for byte, and verifies each blob on the way. If the destination
 * has a `finish()`, it is complete only after that call. Throws what reading throws (BLOB_MISSING, DIGEST_MISMATCH,
 * INVALID_MANIFEST …) and what the destination throws.
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
