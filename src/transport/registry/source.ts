/** A registry as a source: one image, `docker://NAME[:TAG|@DIGEST]`. */
import type { Bytes, FetchOptions } from '../../blob/blob-store.js'
import { StowageError } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { isForeignLayer, isIndex, isManifest } from '../../oci/media-type.js'
import { parseReference, type Reference, withDefaultTag } from '../../oci/reference.js'
import type { FoundManifest, RegistryClient, RegistryOptions } from '../../registry/client.js'
import { Registries } from '../../registry/registries.js'
import type { ImageSource, SourceImage } from '../../image/image-source.js'
import { cosignTags } from '../../oci/referrer-tag.js'

/**
 * Opens the image `name` in its registry. If the name has both a tag and a digest, the digest selects the image and the
 * tag stays its name, as in docker. Throws INVALID_REFERENCE; what reading throws comes with the first read.
 */
export async function openRegistrySource(
  name: string,
  options: RegistryOptions | { readonly registries: Registries } = {},
): Promise<ImageSource> {
  const reference = withDefaultTag(parseReference(name))
  const shared = 'registries' in options ? options.registries : undefined
  const registries = shared ?? new Registries(options as RegistryOptions)
  return new RegistrySource(await registries.get(reference.domain), reference, shared ? undefined : registries)
}

class RegistrySource implements ImageSource {
  readonly #client: RegistryClient
  readonly #reference: Reference
  /** The registries that this source opened for itself. */
  readonly #own: Registries | undefined
  readonly #manifests = new Map<string, Uint8Array>()
  #image: Promise<SourceImage> | undefined

  constructor(client: RegistryClient, reference: Reference, own: Registries | undefined) {
    this.#client = client
    this.#reference = reference
    this.#own = own
  }

  get host(): string {
    return this.#client.domain
  }

  async images(options: FetchOptions = {}): Promise<readonly SourceImage[]> {
    this.#image ??= this.#find(options)
    return [await this.#image]
  }

  async has(blob: Descriptor): Promise<boolean> {
    const { path } = this.#reference
    if (this.#manifests.has(blob.digest)) return true
    if (isManifestType(blob)) return (await this.#client.headManifest(path, blob.digest)) !== undefined
    return (await this.#client.hasBlob(path, blob)) || (isForeignLayer(blob.mediaType) && (blob.urls ?? []).length > 0)
  }

  async referrers({ digest }: Descriptor, options: FetchOptions = {}): Promise<readonly SourceImage[]> {
    const { domain, path } = this.#reference
    const found: SourceImage[] = []
    for (const root of await this.#client.referrers(path, digest, options)) {
      const { mediaType, digest: own, size } = root
      found.push({ root: { mediaType, digest: own, size }, names: [{ domain, path, digest: own }] })
    }
    for (const tag of cosignTags(digest)) {
      const root = await this.#client.headManifest(path, tag, options)
      if (root) found.push({ root, names: [{ domain, path, tag }] })
    }
    return found
  }

  async *fetch(blob: Descriptor, options: FetchOptions = {}): Bytes {
    const known = this.#manifests.get(blob.digest)
    if (known) yield known
    else if (isManifestType(blob)) yield await this.#child(blob, options)
    else yield* this.fetchFrom(blob, 0, options)
  }

  async *fetchFrom(blob: Descriptor, offset: number, options: FetchOptions = {}): Bytes {
    try {
      yield* this.#client.blob(this.#reference.path, blob, { ...options, offset })
    } catch (error) {
      const [url, ...others] = isForeignLayer(blob.mediaType) ? (blob.urls ?? []) : []
      if (url === undefined || !(error instanceof StowageError) || error.code !== 'BLOB_MISSING') throw error
      yield* this.#fromElsewhere([url, ...others], blob, offset, options)
    }
  }

  /** Reads a foreign layer from its first URL; if that fails, the next one continues where it stopped. */
  async *#fromElsewhere(urls: readonly string[], blob: Descriptor, offset: number, options: FetchOptions): Bytes {
    let at = offset
    for (const [n, url] of urls.entries()) {
      try {
        for await (const piece of this.#client.external(url, blob, { ...options, downloader: undefined, offset: at })) {
          at += piece.length
          yield piece
        }
        return
      } catch (error) {
        if (options.signal?.aborted || n === urls.length - 1) throw error
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]()
  }

  /** A manifest that an index lists, which the registry may not have. */
  async #child(blob: Descriptor, options: FetchOptions): Promise<Uint8Array> {
    try {
      return (await this.#client.manifest(this.#reference.path, blob.digest, options)).bytes
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'IMAGE_NOT_FOUND') throw error
      throw new StowageError(
        'BLOB_MISSING',
        `${this.#client.domain}/${this.#reference.path} does not have ${blob.digest}`,
        { cause: error },
      )
    }
  }

  async #root(path: string, reference: string, options: FetchOptions): Promise<FoundManifest> {
    try {
      return await this.#client.manifest(path, reference, options)
    } catch (error) {
      if (!(error instanceof StowageError) || error.code !== 'IMAGE_NOT_FOUND') throw error
      const { withNearNames } = await import('../../registry/near-names.js') // rarely needed
      throw await withNearNames(error, this.#client, this.#reference, { signal: options.signal })
    }
  }

  async #find(options: FetchOptions): Promise<SourceImage> {
    const { digest, ...named } = this.#reference
    const { descriptor, bytes } = await this.#root(named.path, digest ?? named.tag ?? 'latest', options)
    this.#manifests.set(descriptor.digest, bytes)
    // Only a name without a tag keeps its digest: what a tag is to name may change at the destination
    return { root: descriptor, names: [named.tag === undefined ? this.#reference : named] }
  }
}

/** Registries serve manifests and other blobs from different endpoints. */
function isManifestType({ mediaType }: Descriptor): boolean {
  return isIndex(mediaType) || isManifest(mediaType)
}
