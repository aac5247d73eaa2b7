/** What `WimFile.verify()` is asked, and what it finds: all that is wrong with a WIM, not just what is wrong first. */
import type { JobOptions } from './options.js'

export interface VerifyOptions extends JobOptions {
  /** Check the files against their integrity tables, where they have them. Default: yes. */
  readonly integrity?: boolean | undefined
  /** Threads that read, decompress and hash, 1 to 256; the processors of the machine when left out. */
  readonly threads?: number | undefined
}

/** What was looked at, and what is wrong with it. */
export interface WimVerification {
  readonly images: number
  readonly blobs: number
  /** Of all blobs, uncompressed. */
  readonly bytes: number
  /** Empty: nothing is wrong. */
  readonly findings: readonly WimFinding[]
}

/**
 * One thing that is wrong. `metadata`: of an image, which then cannot be listed or extracted. `blob`: the content of files.
 * `missing-blob`: files whose content the WIM does not hold, as in a delta WIM without the WIM it was made from.
 * `integrity`: a stretch of a file, or its integrity table itself.
 */
export interface WimFinding {
  readonly type: 'metadata' | 'blob' | 'missing-blob' | 'integrity'
  readonly message: string
  /** Of the metadata or blob, as it should be: 40 hex digits. */
  readonly sha1?: string | undefined
  /** 1-based: the one image that it concerns. Left out if several are concerned, or none. */
  readonly image?: number | undefined
  /** The first names of files that use the blob, ten at most; left out if no file does. */
  readonly paths?: readonly string[] | undefined
  /** How many files use the blob. */
  readonly uses?: number | undefined
  /** Where what is damaged stands in its file, in bytes. */
  readonly offset?: number | undefined
  /** The file, by the number of its part, from 1. */
  readonly part?: number | undefined
}
