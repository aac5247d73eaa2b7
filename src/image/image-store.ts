/** The interface of an image store: lists named images and changes them. */
import type { FetchOptions } from '../blob/blob-store.js'
import type { StowageError } from '../errors.js'
import type { HeldIdentity } from '../oci/image-identity.js'
import type { Platform } from '../oci/platform.js'
import type { Reference } from '../oci/reference.js'

/** One image for one platform, as its config describes it. */
export interface StoredPlatform {
  readonly platform: Platform
  /** Base first; empty if the store does not report them. */
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
   * `intermediate`: an engine keeps it for the images that were built on it. `artifact`: a signature, an SBOM or
   * anything else that does not run.
   */
  readonly type: 'image' | 'intermediate' | 'artifact'
  /** Full names, each with its tag. */
  readonly names: readonly string[]
  /** The names in a layout's index that are not references: `v1`. */
  readonly refNames: readonly string[]
  /** Full `NAME@DIGEST` references. */
  readonly digests: readonly string[]
  /** RFC 3339. */
  readonly created?: string
  /**
   * In bytes: as an engine reports it; elsewhere the size of all blobs as stored (layers compressed), each counted
   * once.
   */
  readonly size: number
  /** This machine's platform first. Empty for artifacts, and if `error` is set. */
  readonly platforms: readonly StoredPlatform[]
  /** Why the image cannot be read, if it cannot. */
  readonly error?: StowageError
}

/** One step of an image's history. */
export interface HistoryStep {
  /** The image ID after this step, if the store has it; for the last step, the ID of the image itself. */
  readonly id?: string
  /** RFC 3339. */
  readonly created?: string
  readonly createdBy: string
  /** Size of the layer in bytes: unpacked in an engine, compressed elsewhere; 0 if the step created no layer. */
  readonly size: number
  readonly comment: string
}

/** A container created from an image. */
export interface ImageUser {
  readonly id: string
  readonly name: string
  /** `running`, `exited`, `created` … */
  readonly state: string
}

/** One thing that was removed. */
export type Removal = { readonly untagged: string } | { readonly deleted: string }

export interface RemoveOptions extends FetchOptions {
  /** Removes even what the store itself would refuse to remove. */
  readonly force?: boolean | undefined
  /** Also removes the images without a name that it is based on, if the store has such images. */
  readonly prune?: boolean | undefined
}

export interface CommitOptions extends FetchOptions {
  readonly name: Reference | undefined
  readonly author: string | undefined
  readonly message: string | undefined
  /** Dockerfile instructions: `CMD ["/run"]`. */
  readonly changes: readonly string[]
  readonly pause: boolean
}

/** The caller disposes of it. */
export interface ImageStore extends AsyncDisposable {
  /** The store, as a location. */
  readonly location: string
  /** All images, in no particular order. */
  images(options?: FetchOptions): Promise<readonly StoredImage[]>
  /** The names of all images, in no particular order, without reading the images. */
  names(options?: FetchOptions): Promise<readonly Reference[]>
  /** The newest step first. Throws what reading the image throws. */
  history(image: StoredImage, options?: FetchOptions): Promise<readonly HistoryStep[]>
  /** The containers created from the image. */
  users(image: StoredImage, options?: FetchOptions): Promise<readonly ImageUser[]>
  /** Adds a name to the image, and removes it from the image that had it. Throws UNSUPPORTED for a sealed store. */
  tag(image: StoredImage, name: Reference, options?: FetchOptions): Promise<void>
  /**
   * Removes `names`, which are among `image.names` or `.refNames`, and the image once it has no name left; without
   * `names`, removes all of its names and the image. Throws UNSUPPORTED for a sealed store, and IMAGE_NOT_FOUND if the
   * image no longer exists.
   */
  remove(image: StoredImage, names: readonly string[] | undefined, options?: RemoveOptions): Promise<readonly Removal[]>
  /**
   * Creates an image from a container and returns its ID. Throws CONTAINER_NOT_FOUND, and UNSUPPORTED for a store
   * without containers.
   */
  commit(container: string, options: CommitOptions): Promise<string>
}
