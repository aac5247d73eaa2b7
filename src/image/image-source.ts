/** The interface of a source of images. */
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import type { Reference } from '../oci/reference.js'

/** An image of a source: its root manifest or index, and the names it has there. */
export interface SourceImage {
  readonly root: Descriptor
  readonly names: readonly Reference[]
  /** Digests of manifests that an index of the image names but that were deliberately left out of this source. */
  readonly absent?: readonly Digest[] | undefined
}

/** A signature, an SBOM or an attestation, as the source lists it. */
export interface FoundReferrer extends SourceImage {
  /** Its tags that have no repository, as in a layout. */
  readonly tags?: readonly string[] | undefined
}

/** An open source of images. The caller disposes of it. */
export interface ImageSource extends BlobStore, AsyncDisposable {
  /**
   * The images that were requested when the source was opened: one if a reference was given; otherwise the only image,
   * or all images of a source that is made to hold several (a bundle, an archive). Throws IMAGE_NOT_FOUND, listing the
   * images that are there.
   */
  images(options?: FetchOptions): Promise<readonly SourceImage[]>
  /**
   * The referrers of `manifest`: signatures, SBOMs and attestations, each an image of its own, found by `subject` or by
   * cosign's tags. Left out if the source cannot look for them.
   */
  referrers?(manifest: Descriptor, options?: FetchOptions): Promise<readonly FoundReferrer[]>
}
