/** A place that keeps images under names: what it holds, and what can be done to it. */
import type { FetchOptions } from '../blob/blob-store.js'
import type { StowageError } from '../errors.js'
import type { HeldIdentity } from '../oci/image-identity.js'
import type { Platform } from '../oci/platform.js'
import type { Reference } from '../oci/reference.js'

/** One image for one platform, as its config tells of it. */
export interface StoredPlatform {
  readonly platform: Platform
  /** Base first; empty if the place cannot tell. */
  readonly diffIds: readonly string[]
  /** RFC 3339. */
  readonly created?: string
  readonly labels: Readonly<Record<string, string>>
}

/** One image, under all the names it has. Name, publisher and version are those of `platforms[0]`. */
export interface StoredImage extends HeldIdentity {
  /** An engine's image ID; elsewhere the digest of the manifest or index. */
  readonly id: string
  /**
   * `intermediate`: an engine keeps it for the images that were built on it. `artifact`: a signature, an SBOM or whatever else
   * does not run.
   */
  readonly type: 'image' | 'intermediate' | 'artifact'
  /** In full, each with its tag. */
  readonly names: readonly string[]
  /** What a layout's index calls it where that is not a reference: `v1`. */
  readonly refNames: readonly string[]
  /** `NAME@DIGEST` in full, as registries know it. */
  readonly digests: readonly string[]
  /** RFC 3339. */
  readonly created?: string
  /** In bytes: what the engine says; elsewhere of all blobs as they are kept, layers compressed, each once. */
  readonly size: number
  /** This machine's first, where there are several. Empty for artifacts, and where `flaw` says why. */
  readonly platforms: readonly StoredPlatform[]
  /** Why it cannot be read. */
  readonly flaw?: StowageError
}

/** One step of how an image was made. */
export interface HistoryStep {
  /** Of the image as it was after this step, where the place has that; of the last step the image itself. */
  readonly id?: string
  /** RFC 3339. */
  readonly created?: string
  readonly createdBy: string
  /** In bytes: of the layer, unpacked in an engine, compressed elsewhere; 0 if the step made none. */
  readonly size: number
  readonly comment: string
}

/** A container that was made of an image. */
export interface ImageUser {
  readonly id: string
  readonly name: string
  /** `running`, `exited`, `created` … */
  readonly state: string
}

/** What went away, in the order in which it went. */
export type Removal = { readonly untagged: string } | { readonly deleted: string }

export interface RemoveOptions extends FetchOptions {
  /** What the place itself would refuse, it does. */
  readonly force?: boolean | undefined
  /** Images without a name that stand below it go with it, where the place has such. */
  readonly prune?: boolean | undefined
}

export interface CommitOptions extends FetchOptions {
  readonly name: Reference | undefined
  readonly author: string | undefined
  readonly message: string | undefined
  /** Instructions of a Dockerfile: `CMD ["/run"]`. */
  readonly changes: readonly string[]
  readonly pause: boolean
}

/** The caller disposes of it. */
export interface ImageStore extends AsyncDisposable {
  /** As a location is written. */
  readonly location: string
  /** All of them, in no order. */
  images(options?: FetchOptions): Promise<readonly StoredImage[]>
  /** The names of all of them, in no order, without looking at the images. */
  names(options?: FetchOptions): Promise<readonly Reference[]>
  /** The newest step first. Throws what reading the image throws. */
  history(image: StoredImage, options?: FetchOptions): Promise<readonly HistoryStep[]>
  /** Containers made of the image. */
  users(image: StoredImage, options?: FetchOptions): Promise<readonly ImageUser[]>
  /** Gives the image one more name, which leaves the image that had it. Throws UNSUPPORTED for a place that is sealed. */
  tag(image: StoredImage, name: Reference, options?: FetchOptions): Promise<void>
  /**
   * Takes `names` away, those of `image.names` or `.refNames`, and the image when it has none left; without `names`, all of them and
   * the image. Throws UNSUPPORTED for a place that is sealed, IMAGE_NOT_FOUND if it is not there any more.
   */
  remove(image: StoredImage, names: readonly string[] | undefined, options?: RemoveOptions): Promise<readonly Removal[]>
  /** An image of a container, and its ID. Throws UNSUPPORTED if there are none, CONTAINER_NOT_FOUND. */
  commit(container: string, options: CommitOptions): Promise<string>
}
