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

/** A signature, an SBOM or an attestation, as its place lists it. */
export interface FoundReferrer extends SourceImage {
  /** Tags that it has without a repository, as in a layout. */
  readonly tags?: readonly string[] | undefined
}

/** An open source of images. The caller disposes of it. */
export interface ImageSource extends BlobStore, AsyncDisposable {
  /**
   * The images that were asked for when the source was opened: one for a reference, and for a place named without one
   * its only image, or all of them where the place is made to hold many (a bundle).
   * Throws IMAGE_NOT_FOUND, naming what is there.
   */
  images(options?: FetchOptions): Promise<readonly SourceImage[]>
  /**
   * What is about the manifest or index that `manifest` names: signatures, SBOMs, attestations, each an image of its
   * own, found by `subject` or by the tags that cosign gives. Places that cannot tell do not have it.
   */
  referrers?(manifest: Descriptor, options?: FetchOptions): Promise<readonly FoundReferrer[]>
}
