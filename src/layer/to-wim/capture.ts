/** Drives the addon's capture of layers into a WIM. */
import { setImmediate } from 'node:timers/promises'
import { abortError, StowageError } from '../../errors.js'
import { digestFromHex } from '../../oci/digest.js'
import type { NativeCaptureEvent, NativeCaptureJob, NativeCaptureOptions } from '../../wim/addon.js'
import { binding, nativeError } from '../../wim/binding.js'
import type { LayerFacts, LayerSource } from '../read/read-layer.js'

/** Options of {@link Capture.layer}. */
export interface CaptureLayerOptions {
  /** 1 at the numbers of the entries whose content is needed; undefined for all entries below `roots`. */
  readonly keep: Uint8Array | undefined
  readonly roots: readonly string[]
  /** See `native/layer/layer_capture.h`. */
  readonly onBatch: (batch: Buffer) => void
  readonly onBytes: (size: number) => void
}

/** Bytes to queue in the addon. */
const AHEAD = 4 * 1024 * 1024
const PIECE = 512 * 1024

/** A WIM that is being written. The caller disposes of it. */
export class Capture implements Disposable {
  readonly #job: NativeCaptureJob
  readonly #signal: AbortSignal | undefined
  readonly #cancel = (): void => this.#job.cancel()
  #room = true
  #ended = false
  #failure: { readonly error: unknown } | undefined
  #facts: LayerFacts | undefined
  #size: number | undefined
  #wake = (): void => undefined
  #wakeFeed = (): void => undefined

  constructor(options: NativeCaptureOptions, signal: AbortSignal | undefined) {
    this.#signal = signal
    const create = binding().CaptureJob
    this.#job = new create(options, event => this.#onEvent(event))
    signal?.addEventListener('abort', this.#cancel, { once: true })
    if (signal?.aborted) this.#cancel()
  }

  /** Captures one layer. Throws what reading the layer throws, LAYER_CORRUPT, NO_SPACE, ABORTED. */
  async layer(
    { name, bytes }: LayerSource,
    { keep, roots, onBatch, onBytes }: CaptureLayerOptions,
  ): Promise<LayerFacts> {
    this.#facts = undefined
    this.#room = true
    this.#job.begin(name, { keep, roots })
    const pieces = bytes[Symbol.asyncIterator]()
    const fed = this.#feed(pieces, onBytes).catch((error: unknown) => this.#stop(error))
    for (;;) {
      const batch = this.#failure ? undefined : this.#job.take()
      if (batch) {
        try {
          onBatch(batch)
        } catch (error) {
          this.#stop(error)
        }
        await setImmediate() // leave time for other work on the event loop
      } else if (this.#facts || this.#ended) {
        break
      } else {
        await new Promise<void>(resolve => (this.#wake = resolve))
      }
    }
    if (this.#failure || !this.#facts) {
      void pieces.return?.()?.catch(() => undefined) // not awaited, because the source may be waiting for input
      this.#fail(name)
    }
    await fed
    return this.#facts
  }

  /** Writes the end of the WIM, and returns the size of the file. Throws NO_SPACE, WIM_CORRUPT, ABORTED. */
  async seal(end: Parameters<NativeCaptureJob['seal']>[0], name: string): Promise<number> {
    this.#job.seal(end)
    while (!this.#ended) await new Promise<void>(resolve => (this.#wake = resolve))
    return this.#size ?? this.#fail(name)
  }

  /** Cancels the job if it is running, and waits for it to end. */
  [Symbol.dispose](): void {
    this.#signal?.removeEventListener('abort', this.#cancel)
    this.#job.close()
  }

  #onEvent({ room, layer, result, error }: NativeCaptureEvent): void {
    if (room) this.#room = true
    if (layer) {
      const { compression, digest, diffId, uncompressedSize, globals } = layer
      this.#facts = {
        compression,
        digest: digestFromHex(digest),
        size: layer.size,
        diffId: digestFromHex(diffId),
        uncompressedSize,
        globalHeaders: globals,
      }
    }
    this.#size = result
    if (error !== undefined) this.#failure ??= { error }
    if (result !== undefined || error !== undefined) this.#ended = true
    this.#wake()
    this.#wakeFeed()
  }

  /** Passes the bytes to the addon as fast as it processes them. */
  async #feed(pieces: AsyncIterator<Uint8Array>, onBytes: (size: number) => void): Promise<void> {
    for (let next = await pieces.next(); !next.done && !this.#ended; next = await pieces.next()) {
      for (let at = 0; at < next.value.length; at += PIECE) {
        if (this.#job.push(next.value.subarray(at, at + PIECE)) > AHEAD) this.#room = false
      }
      onBytes(next.value.length)
      while (!this.#room && !this.#ended) await new Promise<void>(resolve => (this.#wakeFeed = resolve))
      if (this.#ended) return
    }
    if (!this.#ended) this.#job.finish()
  }

  /** Records an error on the JavaScript side. The job then ends with ABORTED, after it has closed the file. */
  #stop(error: unknown): void {
    this.#failure ??= { error }
    this.#job.cancel()
  }

  #fail(name: string): never {
    const error = this.#failure?.error ?? new StowageError('ABORTED', 'interrupted before the end')
    throw abortError(nativeError(error, name), this.#signal)
  }
}
