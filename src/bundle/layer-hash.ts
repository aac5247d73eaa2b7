/** Hashes a layer twice in one pass: its bytes as they are, and the tar in them, whose SHA-256 is the diffID. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { decompressed, GROWTH, outgrows } from '../archive/compression.js'
import type { Bytes } from '../blob/blob-store.js'
import type { LayerHasher, Plain } from '../blob/layer-watch.js'
import { StowageError } from '../errors.js'
import { compressionOf, MAGIC_SIZE } from '../oci/compression.js'
import { type Digest, digestFromHex } from '../oci/digest.js'

/** Compressed bytes that wait for the decompressor. */
const AHEAD = 4 * 1024 * 1024

/** A blob that is hashed as it comes. Nothing of it is kept. */
export class LayerHash implements LayerHasher {
  readonly #name: string
  readonly #signal: AbortSignal | undefined
  readonly #digest = createHash('sha256')
  readonly #plain = createHash('sha256')
  #head: Uint8Array | undefined = new Uint8Array()
  #feed: PassThrough | undefined
  #work: Promise<void> | undefined
  #stopped: { readonly reason: string; readonly damaged: boolean } | undefined
  #failure: { readonly error: unknown } | undefined
  #size = 0

  /** `name` is for messages. */
  constructor(name: string, signal?: AbortSignal) {
    this.#name = name
    this.#signal = signal
  }

  async add(piece: Uint8Array): Promise<void> {
    this.#digest.update(piece)
    this.#size += piece.length
    if (!this.#head) {
      await this.#pass(piece)
      return
    }
    this.#head = Buffer.concat([this.#head, piece])
    if (this.#head.length >= MAGIC_SIZE) await this.#begin(this.#head)
  }

  /** The SHA-256 of all that was added, and what is known of the tar in it. Throws ABORTED. */
  async finish(): Promise<{ readonly digest: Digest; readonly plain: Plain }> {
    if (this.#head) await this.#begin(this.#head)
    this.#feed?.end()
    await this.#work
    if (this.#failure) throw this.#failure.error
    const digest = digestFromHex(this.#digest.digest('hex'))
    if (this.#stopped) return { digest, plain: this.#stopped }
    return { digest, plain: { diffId: this.#feed ? digestFromHex(this.#plain.digest('hex')) : digest } }
  }

  async #begin(head: Uint8Array): Promise<void> {
    this.#head = undefined
    const compression = compressionOf(head)
    if (!compression) return
    this.#feed = new PassThrough({ highWaterMark: AHEAD })
    this.#feed.on('error', () => undefined) // that of the decompressor is told
    const bytes = this.#feed as Bytes // a stream of buffers, whose type Node.js does not declare
    this.#work = this.#hashPlain(decompressed(bytes, compression, this.#name, { signal: this.#signal }))
    await this.#pass(head)
  }

  async #pass(piece: Uint8Array): Promise<void> {
    const feed = this.#feed
    if (!feed || this.#stopped || this.#failure || feed.destroyed || feed.write(piece)) return
    await Promise.race([once(feed, 'drain').catch(() => undefined), this.#work])
  }

  async #hashPlain(bytes: Bytes): Promise<void> {
    let size = 0
    try {
      for await (const piece of bytes) {
        this.#plain.update(piece)
        size += piece.length
        if (!outgrows(size, this.#size)) continue
        const reason = `it is over ${GROWTH.times} times as large decompressed, and over ${GROWTH.free} bytes`
        this.#stopped = { reason, damaged: false }
        break
      }
    } catch (error) {
      if (!(error instanceof StowageError) || error.code === 'ABORTED') this.#failure = { error }
      else this.#stopped = { reason: error.message, damaged: error.code !== 'UNSUPPORTED' }
    }
  }
}
