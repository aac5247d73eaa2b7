/** Reads a tar from a stream, in one pass. */
import type { Bytes } from '../blob/blob-store.js'
import type { TarInput } from './archive.js'

/** The bytes of a stream at ascending positions. The caller closes it. */
export class StreamInput implements TarInput, AsyncDisposable {
  readonly #pieces: AsyncIterator<Uint8Array>
  /** Read from the stream but not taken yet; its first byte is at `#position`. */
  #held: Uint8Array = new Uint8Array()
  #position = 0
  #ended = false

  constructor(bytes: Bytes) {
    this.#pieces = bytes[Symbol.asyncIterator]()
  }

  get size(): number | undefined {
    return this.#ended ? this.#position + this.#held.length : undefined
  }

  async read(position: number, length: number): Promise<Buffer> {
    const pieces: Uint8Array[] = []
    for await (const piece of this.content(position, length)) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  /** Like {@link read}, in pieces. */
  async *content(position: number, length: number): Bytes {
    if (position < this.#position) throw new TypeError(`a stream at ${this.#position} cannot go back to ${position}`)
    let skip = position - this.#position
    let left = length
    while (skip + left > 0) {
      if (this.#held.length === 0 && !(await this.#next())) return
      const skipped = this.#take(Math.min(skip, this.#held.length))
      skip -= skipped.length
      const piece = this.#take(Math.min(skip > 0 ? 0 : left, this.#held.length))
      left -= piece.length
      if (piece.length > 0) yield piece
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pieces.return?.()
  }

  #take(length: number): Uint8Array {
    const taken = this.#held.subarray(0, length)
    this.#held = this.#held.subarray(length)
    this.#position += length
    return taken
  }

  async #next(): Promise<boolean> {
    const next = await this.#pieces.next()
    if (next.done) this.#ended = true
    else this.#held = next.value
    return !this.#ended
  }
}
