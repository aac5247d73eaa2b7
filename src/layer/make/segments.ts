/** The plan of a layer as segments: bytes of the tar, handed over some at a time. */
import { padding, TAR_END } from '../../tar/header.js'

/** Part of a tar: `bytes`, with a blob put in at each of `cuts`, offsets into `bytes` in rising order. */
export interface LayerSegment {
  readonly bytes: Uint8Array
  readonly cuts: Uint32Array
}

/** Handed over at a time, in bytes: some hundred headers. */
const SEGMENT = 64 * 1024

/** Gathers the bytes of a plan, in order. */
export class SegmentBuilder {
  #pieces: Uint8Array[] = []
  #cuts: number[] = []
  #size = 0

  add(bytes: Uint8Array): void {
    this.#pieces.push(bytes)
    this.#size += bytes.length
  }

  /** The next blob, of `size` bytes, goes in here. */
  addBlob(size: number): void {
    this.#cuts.push(this.#size)
    this.add(padding(size))
  }

  /** What was gathered, where it is enough for a segment. */
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
