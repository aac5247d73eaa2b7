/**
 * The progress events of libwim. Names and order: `enum wimlib_progress_msg` of wimlib.h. The pairs of `completed…` and
 * `total…` keep its names, bytes included: they are counts of what is being done, not sizes of a thing.
 */
import type { WimCompressionType } from './compression.js'

/** Progress of an extraction. Sizes are in bytes. */
export interface ExtractProgress {
  /** From 1. */
  readonly image: number
  readonly imageName: string
  /** The WIM; undefined if it is read from a pipe. */
  readonly path: string | undefined
  readonly target: string
  readonly totalBytes: number
  readonly completedBytes: number
  readonly totalStreams: number
  readonly completedStreams: number
  /** Counts of the phase that creates files, or of the one that sets their metadata. */
  readonly currentFileCount: number
  readonly endFileCount: number
  /** For a split WIM that is read from a pipe. */
  readonly partNumber: number
  readonly totalParts: number
}

/** Progress of a scan: counts so far, and the total size of the files, in bytes. */
export interface ScanProgress {
  readonly source: string
  readonly directories: number
  readonly files: number
  readonly size: number
}

export interface IntegrityProgress {
  readonly path: string | undefined
  readonly totalBytes: number
  readonly completedBytes: number
  readonly totalChunks: number
  readonly completedChunks: number
  /** In bytes. */
  readonly chunkSize: number
}

export interface SplitProgress {
  readonly totalBytes: number
  readonly completedBytes: number
  /** From 1. */
  readonly partNumber: number
  readonly totalParts: number
  readonly partName: string
}

/** One event. `completed…` never decreases, and ends at `total…`; a total may decrease when duplicates are found. */
export type WimProgress =
  | ({
      readonly type:
        | 'extract-image-begin'
        | 'extract-tree-begin'
        | 'extract-file-structure'
        | 'extract-streams'
        | 'extract-part-begin'
        | 'extract-metadata'
        | 'extract-image-end'
        | 'extract-tree-end'
    } & ExtractProgress)
  | ({ readonly type: 'scan-begin' | 'scan-end'; readonly target: string } & ScanProgress)
  | ({
      readonly type: 'scan-dentry'
      readonly path: string
      readonly status: 'ok' | 'excluded' | 'unsupported' | 'fixed-symlink' | 'not-fixed-symlink'
      /** For a fixed or not fixed link. */
      readonly linkTarget: string | undefined
    } & ScanProgress)
  | {
      readonly type: 'write-streams'
      readonly totalBytes: number
      readonly completedBytes: number
      /** Compressed size; since wimlib 1.13.4. */
      readonly completedCompressedBytes: number
      readonly totalStreams: number
      readonly completedStreams: number
      readonly threads: number
      readonly compression: WimCompressionType
      readonly totalParts: number
    }
  | { readonly type: 'write-metadata-begin' | 'write-metadata-end' }
  | { readonly type: 'rename'; readonly from: string; readonly to: string }
  | ({ readonly type: 'verify-integrity' | 'calculate-integrity' } & IntegrityProgress)
  | ({ readonly type: 'split-begin-part' | 'split-end-part' } & SplitProgress)
  | {
      readonly type: 'update-begin-command' | 'update-end-command'
      readonly command: 'add' | 'delete' | 'rename'
      /** Paths of the command, as given. */
      readonly paths: readonly string[]
      readonly completedCommands: number
      readonly totalCommands: number
    }
  | { readonly type: 'replace-file'; readonly path: string }
  | { readonly type: 'wimboot-exclude'; readonly path: string; readonly extractionPath: string }
  | { readonly type: 'unmount-begin'; readonly mountPoint: string; readonly path: string; readonly image: number }
  | { readonly type: 'done-with-file'; readonly path: string }
  | { readonly type: 'verify-image-begin' | 'verify-image-end'; readonly image: number; readonly totalImages: number }
  | {
      readonly type: 'verify-streams'
      readonly totalBytes: number
      readonly completedBytes: number
      readonly totalStreams: number
      readonly completedStreams: number
    }

export type OnWimProgress = (event: WimProgress) => void
