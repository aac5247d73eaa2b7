/** How an image of a place was made, what it is based on and what is based on it. */
import { abortError } from '../errors.js'
import type { HistoryStep, StoredImage } from '../image/image-store.js'
import { type DependentTree, lineageOf } from '../image/lineage.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { selectStored } from '../image/select.js'

export interface ImageHistory {
  /** As a location is written. */
  readonly store: string
  readonly image: StoredImage
  /** The newest first. */
  readonly steps: readonly HistoryStep[]
  /** What it is based on, the lowest first; the image itself is the last. */
  readonly chain: readonly StoredImage[]
  /** What is based on it. */
  readonly dependents: readonly DependentTree[]
}

/** Throws IMAGE_NOT_FOUND, and what opening the place and reading the image throws. */
export async function imageHistory(name: string, options: StoreOptions = {}): Promise<ImageHistory> {
  const { signal } = options
  try {
    await using store = await openImageStore(options)
    const images = await store.images({ signal })
    const { image } = selectStored(images, name, store.location)
    const lineage = lineageOf(images)
    return {
      store: store.location,
      image,
      steps: await store.history(image, { signal }),
      chain: lineage.chainOf(image),
      dependents: lineage.treeOf(image).dependents,
    }
  } catch (error) {
    throw abortError(error, signal)
  }
}
