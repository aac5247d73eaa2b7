/** Divides the tar of a layer into segments for the addon. */
import { padding, TAR_END } from '../../tar/header.js'

/** Part of a tar: `bytes`, with a blob to be inserted at each of `cuts`, ascending offsets into `bytes`. */
export interface LayerSegment {
  readonly bytes: Uint8Array
  readonly cuts: Uint32Array
}

/** Minimum size of a segment in bytes: about a hundred headers. */
const SEGMENT = 64 * 1024

/** Builds segments from bytes and blobs, in order. */
export class SegmentBuilder {
  #pieces: Uint8Array[] = []
  #cuts: number[] = []
  #size = 0

  add(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.#size += bytes.length
  }

  /** Marks the position of the next blob, of `size` bytes. */
  addBlob(size: number): void {
    this.#cuts.push(this.#size)
    this.add(padding(size))
  }

  /** A segment, if enough bytes have been added. */
  full(): readonly LayerSegment[] {
    return this.#size < SEGMENT ? [] : [this.#take()]
  }

  /** The last segment, with the end of the tar. */
  end(): LayerSegment {
    this.add(TAR_END)
    return this.#take()
  }

  #take(): LayerSegment {
    const segment = { bytes: Buffer.concat(this.#pieces, this.#size), cuts: Uint32Array.from(this.#cuts) }
    this.#pieces = []
    this.#cuts = []
    this.#size = 0
    return segment
  }
}
