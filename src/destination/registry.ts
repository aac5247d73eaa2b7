/** A registry as destination: blobs first, then manifests, the tag last. Source: OCI distribution-spec, "Push". */
import pMap from 'p-map'
import type { BlobStore, Bytes } from '../blob/blob-store.js'
import { type ImageContent, sizeOf } from '../blob/closure.js'
import { verified } from '../blob/verified.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { formatReference, type Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import type { RegistryClient, RegistryOptions } from '../registry/client.js'
import { Registries } from '../registry/registries.js'
import type { ImageDestination, WrittenImage } from './image-destination.js'

/** Blobs on their way at a time, the biggest first. */
const AT_ONCE = 4

/** Opens the registries that the names of images are in, as they are needed. */
export function openRegistryDestination(options: RegistryOptions | { readonly registries: Registries } = {}): ImageDestination {
  if ('registries' in options) return new RegistryDestination(options.registries, undefined)
  const own = new Registries(options as RegistryOptions)
  return new RegistryDestination(own, own)
}

class RegistryDestination implements ImageDestination {
  readonly #registries: Registries
  readonly #own: Registries | undefined
  /** Repositories of a registry in which we know a blob to be, for mounting. */
  readonly #known = new Map<string, string>()

  constructor(registries: Registries, own: Registries | undefined) {
    this.#registries = registries
    this.#own = own
  }

  async write(
    image: ImageContent, blobs: BlobStore, names: readonly Reference[], { signal, onProgress }: WaitOptions = {},
  ): Promise<WrittenImage> {
    const [first] = names
    if (!first) throw new StowageError('INVALID_ARGUMENT', `the image ${image.root.digest} has no name, and a registry needs one`)
    const places = new Map(names.map(name => [`${name.domain}/${name.path}`, name]))
    const subject = formatReference(first)
    const total = sizeOf(image) * places.size
    let [sent, skipped] = [0, 0]
    const count = (kind: 'sent' | 'skipped', bytes: number): void => {
      if (kind === 'sent') sent += bytes
      else skipped += bytes
      onProgress?.({ type: 'bytes', subject, done: Math.min(sent + skipped, total), total })
    }
    onProgress?.({ type: 'stage', stage: 'copy', subject })
    for (const [place, name] of places) {
      const client = await this.#registries.get(name.domain)
      const tags = names.flatMap(other => (`${other.domain}/${other.path}` === place && other.tag !== undefined ? [other.tag] : []))
      await this.#writeTo(client, name, tags, image, blobs, count, signal)
    }
    onProgress?.({ type: 'done', subject })
    return { names, id: image.root.digest, sent, skipped }
  }

  /** Manifests come after all they name, as registries want it, and tags after everything. */
  async #writeTo(
    client: RegistryClient, { domain, path }: Reference, tags: readonly string[], image: ImageContent, blobs: BlobStore,
    count: (kind: 'sent' | 'skipped', bytes: number) => void, signal: AbortSignal | undefined,
  ): Promise<void> {
    const copy = async (blob: Descriptor, read: () => Bytes): Promise<void> => {
      signal?.throwIfAborted()
      const key = `${domain} ${blob.digest}`
      if (await client.hasBlob(path, blob, { signal })) count('skipped', blob.size)
      else {
        const made = await client.putBlob(path, blob, () => verified(blob, read()), { signal, mountFrom: this.#known.get(key) })
        count(made === 'mounted' ? 'skipped' : 'sent', blob.size)
      }
      this.#known.set(key, path)
    }
    const layers = [...image.layers].sort((a, b) => b.size - a.size)
    await pMap(layers, async layer => await copy(layer, () => blobs.fetch(layer, { signal })), { concurrency: AT_ONCE })
    for (const { descriptor, bytes } of image.configs) await copy(descriptor, () => once(bytes))
    for (const document of image.manifests) {
      await client.putManifest(path, document.descriptor.digest, document, { signal })
      count('sent', document.descriptor.size)
      if (document.descriptor.digest !== image.root.digest) continue
      for (const tag of tags) await client.putManifest(path, tag, document, { signal })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]()
  }
}

async function* once(bytes: Uint8Array): Bytes {
  yield bytes
}
