/** Verifies a whole WIM with our own readers: all that is wrong with it, not just what is wrong first. */
import type { NativeWimFile } from './binding.js'
import { checkedThreads } from './flags.js'
import { startJob } from './job.js'
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
  /** 1-based: the one image that it concerns. Left out where several are concerned, or none. */
  readonly image?: number | undefined
  /** The first names of files that use the blob, ten at most; left out where no file does. */
  readonly paths?: readonly string[] | undefined
  /** How many files use the blob. */
  readonly uses?: number | undefined
  /** Where what is damaged stands in its file, in bytes. */
  readonly offset?: number | undefined
  /** The file, by the number of its part, from 1. */
  readonly part?: number | undefined
}

/**
 * Checks integrity tables, the metadata of every image, that every stream has its blob, and the SHA-1 of every blob. Goes on
 * after what is damaged. Throws ABORTED, or an error that says nothing of the WIM; that it is damaged is no error.
 * Tells `verify-integrity`, `verify-image-begin`, `verify-image-end` and `verify-streams`.
 */
export async function verifyWim(
  wim: { readonly native: NativeWimFile; readonly path: string | undefined },
  options: VerifyOptions = {},
): Promise<WimVerification> {
  const { integrity = true, threads } = options
  const args = { wim: wim.native, integrity: integrity ? 1 : 0, threads: checkedThreads(threads) }
  const { result } = startJob('verify', args, wim.path ?? 'a new WIM', options)
  return await result as WimVerification // made by native/wim/verifier.cc, as declared above
}
