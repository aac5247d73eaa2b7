/** Lists the images of a blob store with an index; shared by layouts and bundles. */
import pMap from 'p-map'
import type { BlobStore, FetchOptions } from '../blob/blob-store.js'
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Reference } from '../oci/reference.js'
import type { HistoryStep, StoredImage } from './image-store.js'
import { readStored, type StoredContent, storedImage } from './read-stored.js'

/** The number of images to read at a time. */
const AT_ONCE = 16

/** One image, under all its names. */
export interface IndexedImage {
  readonly root: Descriptor
  readonly names: readonly Reference[]
  readonly refNames: readonly string[]
}

/** Reads each image only once, because the content of a digest does not change. */
export class BlobImages {
  readonly #blobs: BlobStore
  readonly #read = new Map<string, StoredContent>()

  constructor(blobs: BlobStore) {
    this.#blobs = blobs
  }

  async images(indexed: readonly IndexedImage[], options: FetchOptions = {}): Promise<readonly StoredImage[]> {
    return await pMap(
      indexed,
      async ({ root, names, refNames }) => storedImage(root, names, refNames, await this.#content(root, options)),
      { concurrency: AT_ONCE },
    )
  }

  /** Throws what reading the image throws, IMAGE_NOT_FOUND if it is not in `indexed`. */
  async history(
    indexed: readonly IndexedImage[],
    { id }: StoredImage,
    options: FetchOptions = {},
  ): Promise<readonly HistoryStep[]> {
    const found = indexed.find(({ root }) => root.digest === id)
    if (!found) throw new StowageError('IMAGE_NOT_FOUND', `the image ${id} no longer exists`)
    const { facts, steps } = await this.#content(found.root, options)
    if (facts.error) throw facts.error
    return steps
  }

  async #content(root: Descriptor, options: FetchOptions): Promise<StoredContent> {
    const known = this.#read.get(root.digest)
    if (known) return known
    const content = await readStored(this.#blobs, root, options)
    if (!content.facts.error) this.#read.set(root.digest, content)
    return content
  }
}
