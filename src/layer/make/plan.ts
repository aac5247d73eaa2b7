/** The plan of a layer, of Windows or Linux, as the job runs it. */
import type { Stream } from '../../wim/dentry.js'
import type { LayerEntryOptions, LayerOrder } from './entries.js'
import type { LayerLosses } from './lossless.js'
import type { LayerSegment } from './segments.js'
import { type BlobFacts, missingBlob } from './wim-tree.js'

export interface LayerPlan {
  /** Blobs in the order in which the layer holds them. */
  readonly blobs: Uint32Array
  /** The tar, but for the blobs: one goes in at each cut. */
  segments(): Iterable<LayerSegment>
  readonly counts: LayerCounts
  /** Bytes of all contents, without headers. */
  readonly contentSize: number
  /** Paths that were left out, with the reason. */
  readonly skipped: readonly string[]
  /** What the layer's entries do not say of the files they stand for. */
  readonly lost: LayerLosses
  /** Files without which a host refuses a base layer, and which are not there. */
  readonly missing: readonly string[]
  /** Of a Linux layer, how many entries have no owner and mode of their own. */
  readonly withoutUnixData: number
}

export interface LayerCounts {
  readonly directories: number
  readonly files: number
  readonly hardLinks: number
  readonly symlinks: number
  /** Alternate data streams. */
  readonly streams: number
}

export interface LayerPlanOptions extends Pick<LayerEntryOptions, 'reparseDataOf' | 'lossless' | 'slices'> {
  readonly order: LayerOrder
  readonly skipUnsupported: boolean
}

/** The blobs of a layer, in its order. */
export class BlobPlan {
  readonly #sizes: Float64Array
  #blobs = new Uint32Array(1024)
  #count = 0
  size = 0

  constructor({ sizes }: BlobFacts) {
    this.#sizes = sizes
  }

  add(stream: Stream, path: () => string): void {
    if (stream.blob === undefined) return
    if (stream.blob < 0) throw missingBlob(path(), stream)
    if (this.#count === this.#blobs.length) {
      const more = new Uint32Array(2 * this.#count)
      more.set(this.#blobs)
      this.#blobs = more
    }
    this.#blobs[this.#count] = stream.blob
    this.#count += 1
    this.size += this.#sizes[stream.blob] ?? 0
  }

  list(): Uint32Array {
    return this.#blobs.subarray(0, this.#count)
  }
}
