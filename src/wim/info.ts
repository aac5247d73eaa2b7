/** Facts about a WIM from its header. */
import type { WimCompressionType } from './compression.js'

export interface WimInfo {
  readonly compression: WimCompressionType
  /** In bytes; 0 for a WIM that is not compressed. */
  readonly chunkSize: number
  readonly imageCount: number
  /** From 1; 0 if no image is bootable. */
  readonly bootIndex: number
  /** 32 hex digits. */
  readonly guid: string
  /** Version of the format: 0x10d00, or 0xe00 for a WIM with solid resources. */
  readonly version: number
  /** Part number of the file that was opened, from 1. */
  readonly part: number
  readonly totalParts: number
  readonly pipable: boolean
  /** Whether it has solid resources. */
  readonly solid: boolean
  readonly integrityTable: boolean
  readonly readonly: boolean
  readonly rpfix: boolean
  readonly spanned: boolean
  readonly writeInProgress: boolean
  readonly metadataOnly: boolean
  readonly resourceOnly: boolean
  /** Total size of its files in bytes; 0 for a WIM that is not a file yet. */
  readonly size: number
}
