/** The interface of a destination for images. */
import type { BlobStage, BlobStore } from '../blob/blob-store.js'
import type { ImageContent } from '../blob/closure.js'
import type { BlobDirectory } from '../blob/directory.js'
import type { Loss } from '../layer/to-wim/losses.js'
import type { Digest } from '../oci/digest.js'
import type { Platform } from '../oci/platform.js'
import type { Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'

export interface WriteImageOptions extends WaitOptions {
  /** The number of blobs to copy at a time, if the destination takes single blobs. */
  readonly jobs?: number | undefined
}

/** The result of writing one image. */
export interface WrittenImage {
  readonly names: readonly Reference[]
  /** The image's ID at the destination: an engine's image ID; otherwise the root's digest. */
  readonly id: string
  /** Bytes sent, and bytes skipped because the destination already had them. */
  readonly sent: number
  readonly skipped: number
  /** The sparse index that the destination refused: it has the image without the manifests that are absent, as `id`. */
  readonly strippedFrom?: Digest
  /** Referrers that were not written because what they describe, that index, is not there. */
  readonly undelivered?: readonly Digest[]
  /** Those of the image that it holds now, where it cannot hold all. */
  readonly platforms?: readonly Platform[]
  /** What the destination has no place for, where it is one that loses something: a WIM. */
  readonly lost?: readonly Loss[]
}

/**
 * One open place that takes images. The unit is the image, not the blob: an engine takes an image in one stream, and
 * the others give it its names only after everything it reaches. The caller disposes of it.
 */
export interface ImageDestination extends AsyncDisposable {
  /** Where to write a created layer directly to its final location, if the destination has one. */
  readonly stage?: BlobStage
  /**
   * Where a source may file blobs before it knows which of them it needs; what is not written as part of an image goes
   * in the end.
   */
  spool?(): Promise<BlobDirectory>
  /**
   * Writes `image`, reading what is missing from `blobs`, every byte through `verified()`, and gives it `names`.
   * When it throws, no name has moved and nothing that looks whole is left.
   */
  write(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options?: WriteImageOptions,
  ): Promise<WrittenImage>
  /**
   * Of a place that is whole only as a whole (an archive): makes what was written last, and puts it in its place.
   * Called once, after the last image; disposed without it, such a place leaves nothing. Throws OUTPUT_EXISTS,
   * NO_SPACE, INVALID_ARGUMENT with no image.
   */
  finish?(): Promise<void>
}
