/** Buffers the body of a response until it is read, and pauses the connection while the buffer is full. */
import type { HttpBody } from './exchange.js'

/** Controls the connection that a body comes from. */
export interface BodyControl {
  pause(): void
  resume(): void
  /** Closes the connection. */
  abort(reason: Error): void
}

/** Buffered bytes at which the connection pauses. */
const BUFFER_LIMIT = 512 * 1024
/** Bytes that are passed on at once as a piece. TLS delivers 16 KiB at a time, and each piece has a fixed cost. */
const PIECE = 128 * 1024
/** Bytes of an unwanted body that are read in order to keep the connection. */
const DUMP_LIMIT = 128 * 1024

export class BodyQueue implements HttpBody {
  readonly #control: BodyControl
  readonly #signal: AbortSignal | undefined
  #pieces: Uint8Array[] = []
  #size = 0
  #paused = false
  #end: 'none' | 'whole' | { readonly failure: unknown } = 'none'
  #wake: (() => void) | undefined
  #wakeTimer: NodeJS.Immediate | undefined

  /** Reading throws the reason of `signal` once that is aborted, even if the whole body has arrived. */
  constructor(control: BodyControl, signal: AbortSignal | undefined) {
    this.#control = control
    this.#signal = signal
  }

  push(piece: Uint8Array): void {
    this.#pieces.push(piece)
    this.#size += piece.length
    if (this.#size >= BUFFER_LIMIT && !this.#paused) {
      this.#paused = true
      this.#control.pause()
    }
    if (this.#size >= PIECE) this.#wakeNow()
    else this.#wakeTimer ??= setImmediate(() => this.#wakeNow())
  }

  /** Ends the body: it is complete, or `failure` interrupted it. */
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
      if (size > DUMP_LIMIT) break // closes the connection
    }
  }

  destroy(): void {
    this.#pieces = []
    this.#size = 0
    if (this.#end !== 'none') return
    const failure = new Error('the rest of the response is not needed')
    this.#end = { failure }
    this.#control.abort(failure)
  }

  /** All buffered bytes as one piece; undefined at the end. */
  async #next(): Promise<Uint8Array | undefined> {
    // Wait until some bytes have accumulated or the body has ended
    while (this.#end === 'none' && (this.#size === 0 || (this.#wakeTimer && this.#size < PIECE))) {
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
    this.#signal?.throwIfAborted()
    const [first] = this.#pieces
    if (!first) {
      if (typeof this.#end === 'object') throw this.#end.failure
      return undefined
    }
    const piece = this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces, this.#size)
    this.#pieces = []
    this.#size = 0
    if (this.#paused) {
      this.#paused = false
      this.#control.resume()
    }
    return piece
  }

  #wakeNow(): void {
    if (this.#wakeTimer) clearImmediate(this.#wakeTimer)
    this.#wakeTimer = undefined
    this.#wake?.()
    this.#wake = undefined
  }
}
