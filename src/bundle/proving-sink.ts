/** Looks into the layers that are written to a bundle, as they come. */
import type { BlobSink, HasOptions, PutOptions, ReadBlob } from '../blob/blob-store.js'
import type { ImageContent } from '../blob/closure.js'
import type { LayerWatch } from '../blob/layer-watch.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { LayerComparison, type LayerProofs, layersToCheck } from './layer-comparison.js'
import { LayerHash } from './layer-hash.js'

/**
 * `sink`, which refuses a layer that is not the tar that the config of an image says: `has` and `put` throw
 * DIFF_ID_MISMATCH.
 */
export class ProvingSink implements BlobSink {
  readonly #sink: BlobSink
  readonly #signal: AbortSignal | undefined
  readonly #layers = new LayerComparison()

  constructor(sink: BlobSink, signal: AbortSignal | undefined) {
    this.#sink = sink
    this.#signal = signal
  }

  /** Says that `image` will be written. Throws DIFF_ID_MISMATCH if one of its layers is known to be wrong. */
  expect(image: ImageContent): void {
    for (const layer of layersToCheck(image)) this.#layers.expect(layer)
    for (const { digest } of image.layers) this.#refuseOther(digest)
  }

  /** Says that the layer was made here, and its diffID with it. */
  made(digest: Digest): void {
    this.#layers.made(blobPath(digest))
  }

  async has(blob: Descriptor, options?: HasOptions): Promise<boolean> {
    return await this.#sink.has(blob, { ...options, watch: this.#watch(blob) })
  }

  async put(blob: Descriptor, read: ReadBlob, options?: PutOptions): Promise<void> {
    await this.#sink.put(blob, read, { ...options, watch: this.#watch(blob) })
  }

  /** Of the layers among `digests`. */
  proofs(digests: Iterable<Digest>): LayerProofs {
    const paths = new Set([...digests].map(blobPath))
    return this.#layers.proofs(paths, 'it was there already, and was not read')
  }

  #watch({ digest }: Descriptor): LayerWatch | undefined {
    const path = blobPath(digest)
    if (!this.#layers.wants(path) || this.#layers.knows(path)) return undefined
    return {
      begin: () => new LayerHash(path, this.#signal),
      found: plain => {
        this.#layers.found(path, digest, plain)
        this.#refuseOther(digest)
      },
    }
  }

  #refuseOther(digest: Digest): void {
    for (const message of this.#layers.mismatchesOf(blobPath(digest))) {
      throw new StowageError('DIFF_ID_MISMATCH', `the layer ${digest} is wrong: ${message}`, {
        hint: 'Engines refuse such an image: it has to be built or copied again. To pack it as it is, use --no-deep.',
      })
    }
  }
}
