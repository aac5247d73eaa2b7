/** The plan of a Windows or Linux layer, which the job then runs. */
import type { Stream } from '../../wim/dentry.js'
import type { LayerEntryOptions, LayerOrder } from './entries.js'
import type { LayerLosses, LayerMends } from './lossless.js'
import type { LayerSegment } from './segments.js'
import { type BlobFacts, missingBlob } from './wim-tree.js'

export interface LayerPlan {
  /** Blobs in the order of the layer. */
  readonly blobs: Uint32Array
  /** The tar without the blobs: one is inserted at each cut. */
  segments(): Iterable<LayerSegment>
  readonly counts: LayerCounts
  /** Total size of all contents without headers, in bytes. */
  readonly contentSize: number
  /** Skipped paths, with the reason. */
  readonly skipped: readonly string[]
  /** Metadata of the files that the layer does not hold. */
  readonly lost: LayerLosses
  /** What the layer says otherwise than the WIM. */
  readonly mended: LayerMends
  /** Missing files without which a host rejects a base layer. */
  readonly missing: readonly string[]
  /** Number of entries without Unix owner and mode, in a Linux layer. */
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

export interface LayerPlanOptions extends Pick<LayerEntryOptions, 'reparseDataOf' | 'lossless' | 'rpfix' | 'slices'> {
  readonly order: LayerOrder
  readonly skipUnsupported: boolean
}

/** Collects the blobs of a layer, in its order. */
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
