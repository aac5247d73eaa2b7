/** Options and results of `WimFile.verify()`, which finds all defects of a WIM, not only the first. */
import type { JobOptions } from './options.js'

export interface VerifyOptions extends JobOptions {
  /** Check the files against their integrity tables, if they have any. Default: yes. */
  readonly integrity?: boolean | undefined
  /** Threads for reading, decompression and hashing, 1 to 256; by default one per processor. */
  readonly threads?: number | undefined
}

/** What was checked, and its defects. */
export interface WimVerification {
  readonly images: number
  readonly blobs: number
  /** Total size of all blobs, uncompressed. */
  readonly size: number
  /** Empty if there are no defects. */
  readonly findings: readonly WimFinding[]
}

/**
 * A defect. `metadata`: the metadata of an image, which cannot be listed or extracted. `blob`: the content of files.
 * `missing-blob`: content that the WIM does not contain, as in a delta WIM without its base. `integrity`: a section of
 * a file, or the integrity table itself.
 */
export interface WimFinding {
  readonly type: 'metadata' | 'blob' | 'missing-blob' | 'integrity'
  readonly message: string
  /** Expected SHA-1 of the metadata or blob, in 40 hex digits. */
  readonly sha1?: string | undefined
  /** The affected image, from 1; missing if several are affected, or none. */
  readonly image?: number | undefined
  /** Paths of up to ten files that use the blob; missing if no file does. */
  readonly paths?: readonly string[] | undefined
  /** Number of files that use the blob. */
  readonly uses?: number | undefined
  /** Offset of the damage in the file, in bytes. */
  readonly offset?: number | undefined
  /** Part number of the file, from 1. */
  readonly part?: number | undefined
}
