/** The config and manifest, in memory, of an image that Stowage creates. Its layer goes to a stage. */
import type { BlobStore, Bytes } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import { type Descriptor, describe } from '../oci/descriptor.js'
import { OCI_CONFIG, OCI_MANIFEST } from '../oci/media-type.js'

/** Holds only what {@link MadeImage.make} created: the code that copies the image finds its layer on the stage. */
export class MadeImage implements BlobStore {
  /** What the image is created from, for messages. */
  readonly #origin: string
  readonly #documents = new Map<string, Uint8Array>()

  constructor(origin: string) {
    this.#origin = origin
  }

  /** The manifest of an image with this config and `layers`, base first. The same input gives the same bytes. */
  make(config: unknown, layers: readonly Descriptor[]): Descriptor {
    return this.#document(OCI_MANIFEST, {
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: this.#document(OCI_CONFIG, config),
      layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    })
  }

  async has(blob: Descriptor): Promise<boolean> {
    return this.#documents.has(blob.digest)
  }

  async *fetch(blob: Descriptor): Bytes {
    const bytes = this.#documents.get(blob.digest)
    if (!bytes)
      throw new StowageError(
        'BLOB_MISSING',
        `${blob.digest} is no manifest or config of the image made from ${this.#origin}`,
      )
    yield bytes
  }

  #document(mediaType: string, value: unknown): Descriptor {
    const bytes = new TextEncoder().encode(JSON.stringify(value))
    const descriptor = describe(mediaType, bytes)
    this.#documents.set(descriptor.digest, bytes)
    return descriptor
  }
}
