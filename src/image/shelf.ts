/** The interface of a bundle or an OCI image layout whose images are served to registry clients. */
import type { DiskRange } from '../blob/blob-store.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import type { Reference } from '../oci/reference.js'

/** The ranges of files on disk that together should hold a blob: one, except in volumes. */
export type ServedBlob = readonly DiskRange[]

export interface ShelfImage {
  readonly root: Descriptor
  /** The sparse index that `root` replaces; it is served by its digest. */
  readonly original?: Descriptor | undefined
  /** Names have no domain in layouts that name images only by tag; the path is then the name of the directory. */
  readonly names: readonly ShelfName[]
}

export interface ShelfName extends Omit<Reference, 'domain'> {
  readonly domain: string | undefined
}

/** The caller disposes of it. */
export interface Shelf extends AsyncDisposable {
  /** The name that the user gave it. */
  readonly name: string
  readonly images: readonly ShelfImage[]
  /** Other roots in it, whose manifests may name one of the images as their subject. */
  readonly others: readonly Descriptor[]
  /** Where the blob is; undefined if it does not exist or is not a regular file. */
  place(digest: Digest): Promise<ServedBlob | undefined>
}
