/** The interface of a destination for images. */
import type { Verified } from '../archive/read-back.js'
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
  /** Roots of referrers that the caller leaves behind, for a destination that records them. */
  readonly undelivered?: readonly Digest[] | undefined
}

/** The result of writing one image. */
export interface WrittenImage {
  readonly names: readonly Reference[]
  /** The image's ID at the destination: an engine's image ID; otherwise the root's digest. */
  readonly id: string
  /** Bytes sent, and bytes skipped because the destination already had them. */
  readonly sent: number
  readonly skipped: number
  /**
   * Digest of the sparse index that the destination refused; `id` is what was written instead, without the absent
   * manifests.
   */
  readonly strippedFrom?: Digest
  /** Roots of referrers that were not written, because the index that they describe is not at the destination. */
  readonly undelivered?: readonly Digest[]
  /** The platforms that the destination now has, if it cannot hold all of them. */
  readonly platforms?: readonly Platform[]
  /** What was lost because a WIM cannot store it; set only by WIMs. */
  readonly lost?: readonly Loss[]
}

/** Which engine has the images, and what it was asked about each before it got its names: for a receipt. */
export interface ImageKeeper {
  /** `Docker 28.5.2`. */
  readonly engine: string
  /** `1.51`. */
  readonly api: string
  /** `linux/amd64`. */
  readonly platform: string
  /** How it identifies images: by their configs (`graphdriver`, `podman`), or by their manifests (`containerd`). */
  readonly store: string
  readonly host: string
  /** `id`, `layers` (their diffIDs, in order), `platform`; `content`: all blobs of every manifest. */
  readonly proved: readonly ('id' | 'layers' | 'platform' | 'content')[]
}

/** An image that will be written. */
export interface ExpectedWrite {
  readonly image: ImageContent
  readonly names: readonly Reference[]
  /** As in {@link WriteImageOptions}. */
  readonly undelivered?: readonly Digest[] | undefined
}

/** An image that is complete at the destination. Disposing of it before it is named removes it, if it was not there. */
export interface UnnamedImage extends AsyncDisposable {
  /** Gives the image `names`, all or none. */
  name(names: readonly Reference[]): Promise<WrittenImage>
}

/**
 * An open destination for images. It takes whole images, not single blobs: an engine takes an image in one stream, and
 * the others name an image only after everything it refers to is written. The caller disposes of it.
 */
export interface ImageDestination extends AsyncDisposable {
  /** Left out if the destination is no engine. */
  readonly keeper?: ImageKeeper
  /** Where to write a created layer directly to its final location, if the destination has such a stage. */
  readonly stage?: BlobStage
  /**
   * Where a source may store blobs before it knows which of them it needs. Blobs that no image uses are removed in the
   * end.
   */
  spool?(): Promise<BlobDirectory>
  /**
   * Called before the first byte is written, with all images that will be. Throws NO_SPACE if there is no room for them.
   * Left out if the destination is not on a disk of this machine.
   */
  expect?(images: readonly ExpectedWrite[]): Promise<void>
  /**
   * Writes `image` under `names`. Reads the blobs that are missing at the destination from `blobs`, and verifies every
   * byte. When it throws, nothing incomplete has a name or looks complete. A registry may then have moved the first of
   * several names to the complete image; other destinations have moved none.
   */
  write(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options?: WriteImageOptions,
  ): Promise<WrittenImage>
  /**
   * Like `write`, but gives the image none of `names` yet, for a caller that has more to check first; `names` are for
   * messages. Left out if the destination cannot hold an image that has no name.
   */
  hold?(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options?: WriteImageOptions,
  ): Promise<UnnamedImage>
  /**
   * For a destination that is valid only as a whole (an archive, a bundle): writes the rest and moves the result to its
   * final path. Call it once, after the last image. An archive that is disposed of before that leaves nothing. Throws
   * OUTPUT_EXISTS, NO_SPACE, and INVALID_ARGUMENT if there is no image. Returns what was read back, if it was.
   */
  finish?(): Promise<Verified | undefined>
}
