/** Where a bundle is written: a directory or a tar file. The writer decides what to write, the medium where and how. */
import type { HeadSizes } from '../archive/heads.js'
import { regionsOf, type WrittenFile } from '../archive/read-back.js'
import type { BlobStage, Bytes, FetchOptions, HasOptions, PutOptions, ReadBlob } from '../blob/blob-store.js'
import type { BlobDirectory, Missing } from '../blob/directory.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { CHECKSUMS_FILE } from './checksums.js'
import { BUNDLE_FILE, digestOfIntegrity, parseBundleManifest } from './manifest.js'

/** Sizes of the heads of a bundle, in bytes. */
export interface BundleHeads extends HeadSizes {
  readonly layout: number
  readonly readme: number
}

/** The files of a bundle that are not blobs, by path. */
export type Documents = ReadonlyMap<string, Uint8Array>

/** All files of a bundle with these documents, where `pathOf` says that they are, to be read back. */
export function writtenFiles(documents: Documents, pathOf: (path: string) => string): readonly WrittenFile[] {
  const bundle = documents.get(BUNDLE_FILE) ?? new Uint8Array()
  const files = parseBundleManifest(bundle).files.map(({ path, size, integrity }) => ({
    path: pathOf(path),
    regions: [{ offset: 0, size, digest: digestOfIntegrity(integrity) }],
  }))
  for (const path of [BUNDLE_FILE, CHECKSUMS_FILE]) {
    const bytes = documents.get(path)
    if (bytes) files.push({ path: pathOf(path), regions: [...regionsOf([{ bytes }])] })
  }
  return files
}

export interface BundleMedium extends BlobStage {
  /** An existing directory on the file system that the bundle is written to. */
  readonly where: string
  /** Where a source may store blobs before it knows which ones it needs; sealing removes the others. */
  spool(): Promise<BlobDirectory>
  /** Those of `blobs` that are not there by name and size; not hashed. For the plan. */
  missing(blobs: readonly Descriptor[]): Promise<Missing>
  /** Reserves space for the heads; called once, before the first blob. */
  reserve(heads: BundleHeads): Promise<void>
  /** A head as it will be on the medium: in a tar, padded to the space reserved for it. */
  fit(file: string, json: Uint8Array): Uint8Array
  /** Announces the next blobs. A tar has them in this order; blobs announced earlier keep their position. */
  assign(blobs: readonly Descriptor[]): Promise<void>
  has(blob: Descriptor, options?: HasOptions): Promise<boolean>
  put(blob: Descriptor, read: ReadBlob, options?: PutOptions): Promise<void>
  /** Writes a carried file, `files/…`. The caller has checked the path; `file` describes the expected bytes. */
  putFile(path: string, file: Descriptor, read: () => Bytes, options?: FetchOptions): Promise<void>
  /**
   * Whether put() and putFile() only note what to read, and seal() reads it: the sources must stay open until then, and
   * seal() reports the progress.
   */
  readonly deferred?: boolean
  /** Forgets what an earlier run has left, if there is any, to have its space. Returns whether there was. */
  restart?(): Promise<boolean>
  /** Whether a complete bundle already exists there; it stays until this one is sealed. */
  readonly standing?: boolean
  /**
   * Writes the documents, removes every blob except `blobs`, and syncs everything; the bundle is then complete. Returns
   * false if the same bundle already existed and nothing was written.
   */
  seal(documents: Documents, blobs: ReadonlySet<Digest>): Promise<boolean>
  /** Removes what was created; with `keep`, what a later run can resume from stays: marked, or under a temporary name. */
  discard(keep: boolean): Promise<void>
}
