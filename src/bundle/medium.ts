/** What a bundle is written on: a directory or one tar file. The writer decides what, the medium where and how safely. */
import type { HeadSizes } from '../archive/heads.js'
import type { BlobStage, Bytes, FetchOptions, PutOptions, ReadBlob } from '../blob/blob-store.js'
import type { BlobDirectory } from '../blob/directory.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'

/** The files of a bundle that are not blobs, by path. */
export type Documents = ReadonlyMap<string, Uint8Array>

export interface BundleMedium extends BlobStage {
  /** A directory that exists, on the file system the bundle is written to. */
  readonly where: string
  /** Where a source may file blobs before it knows which of them it needs; sealing drops the others. */
  spool(): Promise<BlobDirectory>
  /** Whether a file with the blob's name and size is there already, not yet hashed: for the plan. */
  holds(blob: Descriptor): Promise<boolean>
  /** Leaves room for the heads; called once, before the first blob. */
  reserve(heads: HeadSizes): Promise<void>
  /** A head as it will be on the medium: a tar fills the room left for it. */
  fit(file: string, json: Uint8Array): Uint8Array
  /** Says which blobs come next, in this order wherever order is seen; those that were said before keep their place. */
  assign(blobs: readonly Descriptor[]): Promise<void>
  has(blob: Descriptor, options?: FetchOptions): Promise<boolean>
  put(blob: Descriptor, read: ReadBlob, options?: PutOptions): Promise<void>
  /** A file beside the images, `files/…`, whose path was checked; `file` says what its bytes must be. */
  putFile(path: string, file: Descriptor, bytes: Bytes, options?: FetchOptions): Promise<void>
  /** A whole bundle stood there before, and stands until this one is sealed. */
  readonly standing?: boolean
  /**
   * Writes the documents, drops every blob but `blobs`, and makes all of it last; after that the bundle is whole. False where
   * the very same stood there before, and nothing was written.
   */
  seal(documents: Documents, blobs: ReadonlySet<Digest>): Promise<boolean>
  /** Removes what was made; with `keep`, what a later run can go on with stays, marked as incomplete. */
  discard(keep: boolean): Promise<void>
}
