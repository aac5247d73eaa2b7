/** What came of an answer's body and waits to be read: the connection pauses while it is enough. */
import type { HttpBody } from './exchange.js'

/** What a body needs of its connection. */
export interface BodyControl {
  pause(): void
  resume(): void
  /** Closes the connection. */
  abort(reason: Error): void
}

/** From here on the connection pauses, in bytes. */
const ENOUGH = 512 * 1024
/** A piece is given on at once if it has so many bytes: TLS brings 16 KiB at a time, and each piece costs more than its bytes. */
const PIECE = 128 * 1024
/** Of a body that nobody wants, what is read to keep its connection, in bytes. */
const DUMP_LIMIT = 128 * 1024

export class BodyQueue implements HttpBody {
  readonly #control: BodyControl
  readonly #signal: AbortSignal | undefined
  #waiting: Uint8Array[] = []
  #size = 0
  #paused = false
  #end: 'none' | 'whole' | { readonly failure: unknown } = 'none'
  #wake: (() => void) | undefined
  #waking: NodeJS.Immediate | undefined

  /** Reading throws the reason of `signal` once that is aborted, also if all has come. */
  constructor(control: BodyControl, signal: AbortSignal | undefined) {
    this.#control = control
    this.#signal = signal
  }

  push(piece: Uint8Array): void {
    this.#waiting.push(piece)
    this.#size += piece.length
    if (this.#size >= ENOUGH && !this.#paused) {
      this.#paused = true
      this.#control.pause()
    }
    if (this.#size >= PIECE) this.#wakeNow()
    else this.#waking ??= setImmediate(() => this.#wakeNow())
  }

  /** No more comes: the body is whole, or `failure` ended it. */
  end(failure?: unknown): void {
    if (this.#end === 'none') this.#end = failure === undefined ? 'whole' : { failure }
    this.#wakeNow()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    try {
      for (let piece = await this.#next(); piece; piece = await this.#next()) yield piece
    } finally {
      this.destroy()
    }
  }

  async dump(): Promise<void> {
    let size = 0
    for await (const piece of this) {
      size += piece.length
      if (size > DUMP_LIMIT) break // which closes the connection
    }
  }

  destroy(): void {
    this.#waiting = []
    this.#size = 0
    if (this.#end !== 'none') return
    const failure = new Error('nobody reads the rest of the answer')
    this.#end = { failure }
    this.#control.abort(failure)
  }

  /** What waits, as one piece; undefined at the end. */
  async #next(): Promise<Uint8Array | undefined> {
    // Until a little has gathered, or no more comes
    while (this.#end === 'none' && (this.#size === 0 || (this.#waking && this.#size < PIECE))) {
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
    this.#signal?.throwIfAborted()
    const [first] = this.#waiting
    if (!first) {
      if (typeof this.#end === 'object') throw this.#end.failure
      return undefined
    }
    const piece = this.#waiting.length === 1 ? first : Buffer.concat(this.#waiting, this.#size)
    this.#waiting = []
    this.#size = 0
    if (this.#paused) {
      this.#paused = false
      this.#control.resume()
    }
    return piece
  }

  #wakeNow(): void {
    if (this.#waking) clearImmediate(this.#waking)
    this.#waking = undefined
    this.#wake?.()
    this.#wake = undefined
  }
}
