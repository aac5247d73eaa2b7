/** A Docker Engine as a source: one image, exported by the engine and copied byte for byte. */
import { counted } from '../../archive/archive-stream.js'
import { spoolArchive } from '../../archive/spooled-archive.js'
import type { Bytes, FetchOptions } from '../../blob/blob-store.js'
import type { BlobDirectory } from '../../blob/directory.js'
import { type EngineCallOptions, engineAt, type EngineClient } from '../../engine/client.js'
import { findExportedImage } from '../../engine/export-image.js'
import { inspectImage, listEngineImages } from '../../engine/inventory.js'
import { type EngineStore, readStore } from '../../engine/store.js'
import { StowageError } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { isDigest } from '../../oci/digest.js'
import { formatReference, parseReference, type Reference, withDefaultTag } from '../../oci/reference.js'
import type { ImageSource, SourceImage } from '../../image/image-source.js'
import type { WaitOptions } from '../../progress.js'

export interface EngineSourceOptions extends WaitOptions {
  /** The engine's address, in the form of `DOCKER_HOST`; defaults to the engine that `docker` would use. */
  readonly host?: string | undefined
  /** Receives every file of the export, which can be as large as the unpacked image. Its owner removes the files. */
  readonly spool: BlobDirectory
}

/**
 * Exports the image `name` (a reference, or an image ID: then it has no name) into `spool`, and reads it from there.
 * Throws IMAGE_NOT_FOUND, BLOB_MISSING if the engine does not have all of it, NO_SPACE, INVALID_REFERENCE, INVALID_TAR,
 * ABORTED, and what connecting throws.
 */
export async function openEngineSource(name: string, options: EngineSourceOptions): Promise<ImageSource> {
  const { host, signal, onProgress, spool } = options
  using client = await engineAt(host, onProgress)
  const store = await readStore(client, { signal })
  const wanted = await findImage(client, store, name, { signal })
  const subject = `the engine's export of ${name}`
  onProgress?.({ type: 'stage', stage: 'read', subject })
  const bytes = client.download(`/images/${wanted.id}/get`, { signal })
  const archive = await spoolArchive(counted(bytes, subject, undefined, onProgress), spool, {
    subject: {
      name: subject,
      hint: 'The engine does not have the complete image: load or pull it again.',
    },
    brokenHint: 'See the log of the engine, and run the command again.',
    signal,
  })
  onProgress?.({ type: 'done', subject })
  const found = await findExportedImage(archive, spool)
  return new EngineSource(spool, { ...found, names: wanted.names })
}

class EngineSource implements ImageSource {
  readonly #blobs: BlobDirectory
  readonly #image: SourceImage

  constructor(blobs: BlobDirectory, image: SourceImage) {
    this.#blobs = blobs
    this.#image = image
  }

  async images(): Promise<readonly SourceImage[]> {
    return [this.#image]
  }

  async has(blob: Descriptor): Promise<boolean> {
    return await this.#blobs.has(blob)
  }

  fetch(blob: Descriptor, options: FetchOptions = {}): Bytes {
    return this.#blobs.fetch(blob, options)
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/**
 * The name or ID to request the image by, and the names it has here. A name takes precedence over an ID that looks like
 * it.
 */
async function findImage(
  client: EngineClient,
  store: EngineStore,
  name: string,
  options: EngineCallOptions,
): Promise<{ id: string; names: readonly Reference[] }> {
  if (!isDigest(name)) {
    const reference = withDefaultTag(parseReference(name))
    const id = formatReference(reference)
    if (await inspectImage(client, store, id, options)) return { id, names: [reference] }
  }
  if (isDigest(name) || /^[0-9a-f]{4,64}$/.test(name)) {
    const image = await inspectImage(client, store, name, options)
    if (image) return { id: image.id, names: [] }
  }
  const held = (await listEngineImages(client, options))
    .flatMap(image => image.names)
    .filter(item => !item.startsWith('<none>'))
  const shown = held.slice(0, 10).join(', ') + (held.length > 10 ? `, and ${held.length - 10} more` : '')
  throw new StowageError('IMAGE_NOT_FOUND', `the engine at ${client.endpoint.name} has no image ${name}`, {
    hint: held.length > 0 ? `It has ${shown}.` : 'It has no images with a name; see `docker images -a`.',
  })
}
