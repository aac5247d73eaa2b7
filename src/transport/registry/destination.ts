/** A registry as a destination: blobs first, then manifests, tags last. Source: OCI distribution-spec, "Push". */
import pMap from 'p-map'
import type { BlobStore, Bytes } from '../../blob/blob-store.js'
import { type Document, type ImageContent, sizeOf } from '../../blob/closure.js'
import { wantedBlobs } from '../../blob/fill.js'
import { type SparseForm, stripAbsent } from '../../blob/stripped.js'
import { copyQueued } from '../../blob/queue.js'
import { resumable } from '../../blob/resumable.js'
import { verified } from '../../blob/verified.js'
import { abortError, isInterruption, StowageError } from '../../errors.js'
import type { Digest } from '../../oci/digest.js'
import { isIndex } from '../../oci/media-type.js'
import { formatReference, type Reference } from '../../oci/reference.js'
import type { RegistryClient, RegistryOptions } from '../../registry/client.js'
import { Registries } from '../../registry/registries.js'
import type { ImageDestination, WriteImageOptions, WrittenImage } from '../../image/image-destination.js'

/** Manifests to upload at a time. */
const MANIFESTS = 6

type Count = (kind: 'sent' | 'skipped', bytes: number) => void

interface Writing {
  readonly signal: AbortSignal | undefined
  readonly count: Count
}

/** Opens the registries in the names of the images when they are first needed. */
export function openRegistryDestination(
  options: (RegistryOptions | { readonly registries: Registries }) & { readonly sparse?: SparseForm | undefined } = {},
): ImageDestination {
  const { sparse } = options
  if ('registries' in options) return new RegistryDestination(options.registries, undefined, sparse)
  const own = new Registries(options)
  return new RegistryDestination(own, own, sparse)
}

class RegistryDestination implements ImageDestination {
  readonly #registries: Registries
  readonly #own: Registries | undefined
  readonly #sparse: SparseForm | undefined
  /** A repository that is known to have the blob, by registry and digest: to mount the blob from. */
  readonly #known = new Map<string, string>()

  constructor(registries: Registries, own: Registries | undefined, sparse: SparseForm | undefined) {
    this.#registries = registries
    this.#own = own
    this.#sparse = sparse
  }

  async write(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    { signal, onProgress, jobs }: WriteImageOptions = {},
  ): Promise<WrittenImage> {
    const [first] = names
    if (!first) throw nameless(image.root.digest)
    const places = new Map(names.map(name => [`${name.domain}/${name.path}`, name]))
    const subject = formatReference(first)
    const total = sizeOf(image) * places.size
    let [sent, skipped] = [0, 0]
    const count: Count = (kind, bytes) => {
      if (kind === 'sent') sent += bytes
      else skipped += bytes
      onProgress?.({ type: 'bytes', subject, done: Math.min(sent + skipped, total), total })
    }
    onProgress?.({ type: 'stage', stage: 'copy', subject })
    let delivered = image
    for (const [place, { domain, path }] of places) {
      const tags = names.flatMap(other =>
        `${other.domain}/${other.path}` === place && other.tag !== undefined ? [other.tag] : [],
      )
      const client = await this.#registries.get(domain)
      await this.#writeBlobs(client, path, image, blobs, { jobs, signal, count }).catch((error: unknown) => {
        const failure = abortError(error, signal)
        if (!isInterruption(failure) || sent + skipped === 0) throw failure
        throw resumable(failure, `The blobs that ${domain} has received whole are not sent again.`)
      })
      delivered = await this.#writeImage(client, path, tags, delivered, { signal, count })
    }
    onProgress?.({ type: 'done', subject })
    const { digest } = delivered.root
    return { names, id: digest, sent, skipped, ...(delivered === image ? {} : { strippedFrom: image.root.digest }) }
  }

  /**
   * Writes all blobs except manifests. A blob that does not exist yet is mounted from where it is known to be, or else
   * uploaded.
   */
  async #writeBlobs(
    client: RegistryClient,
    path: string,
    image: ImageContent,
    blobs: BlobStore,
    { jobs, signal, count }: { jobs: number | undefined } & Writing,
  ): Promise<void> {
    const manifests = new Set(image.manifests.map(({ descriptor }) => descriptor.digest))
    const wanted = wantedBlobs(image, blobs).filter(({ blob }) => !manifests.has(blob.digest))
    await copyQueued(
      wanted.map(({ blob, store }) => ({
        blob,
        host: client.domain,
        copy: async together => {
          const key = `${client.domain} ${blob.digest}`
          const known = this.#known.get(key)
          if (known === path || (await client.hasBlob(path, blob, { signal: together }))) {
            count('skipped', blob.size)
          } else {
            const read = (): Bytes => verified(blob, store.fetch(blob, { signal: together }))
            let told = 0
            const made = await client.putBlob(path, blob, read, {
              onSent: size => {
                told += size
                count('sent', size)
              },
              signal: together,
              mountFrom: known,
              place: await store.placeOf?.(blob),
            })
            count(made === 'mounted' ? 'skipped' : 'sent', blob.size - told)
          }
          this.#known.set(key, path)
        },
      })),
      { jobs, signal },
    )
  }

  /**
   * Writes the manifests, tags last, and returns the image as written. A registry that refuses a sparse index gets it
   * without its absent manifests.
   */
  async #writeImage(
    client: RegistryClient,
    path: string,
    tags: readonly string[],
    image: ImageContent,
    writing: Writing,
  ): Promise<ImageContent> {
    try {
      await this.#writeManifests(client, path, tags, image, writing)
      return image
    } catch (error) {
      const refused = error instanceof StowageError && error.code === 'REGISTRY_REFUSED'
      if (image.absent.length === 0 || !refused) throw error
      if (this.#sparse === 'keep') {
        throw error.withHint(
          `${image.absent.length} of the manifests in its index are absent, which this registry does not accept: omit --sparse keep, so that it gets an index without them.`,
        )
      }
      const stripped = stripAbsent(image)
      await this.#writeManifests(client, path, tags, stripped, writing)
      return stripped
    }
  }

  /**
   * Writes each manifest after everything it refers to, as registries require, and tags last: `image.manifests` has the
   * root last.
   */
  async #writeManifests(
    client: RegistryClient,
    path: string,
    tags: readonly string[],
    image: ImageContent,
    { signal, count }: Writing,
  ): Promise<void> {
    const put = async (
      document: Document,
      references: readonly string[] = [document.descriptor.digest],
    ): Promise<void> => {
      for (const reference of references) await client.putManifest(path, reference, document, { signal })
      count('sent', document.descriptor.size)
    }
    const root = image.manifests.find(({ descriptor }) => descriptor.digest === image.root.digest)
    const below = image.manifests.filter(document => document !== root)
    // Manifests that list no other manifest can go in any order
    await pMap(
      below.filter(({ descriptor }) => !isIndex(descriptor.mediaType)),
      async document => await put(document),
      { concurrency: MANIFESTS },
    )
    for (const document of below) if (isIndex(document.descriptor.mediaType)) await put(document)
    if (root) await put(root, tags.length > 0 ? tags : undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]()
  }
}

/** The error of an image that has no name in any repository. */
export function nameless(root: Digest): StowageError {
  return new StowageError('INVALID_ARGUMENT', `the image ${root} has no name, but a registry requires one`)
}
