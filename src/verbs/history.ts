/** History: the build steps of a stored image, the images it is based on and the images based on it. */
import { abortError } from '../errors.js'
import type { HistoryStep, StoredImage } from '../image/image-store.js'
import { type DependentTree, lineageOf } from '../image/lineage.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { selectStored } from '../image/select.js'

export interface ImageHistory {
  /** The store, as a location. */
  readonly store: string
  readonly image: StoredImage
  /** The build steps, newest first. */
  readonly steps: readonly HistoryStep[]
  /** The images it is based on, lowest first; the image itself is the last. */
  readonly chain: readonly StoredImage[]
  /** The images based on it. */
  readonly dependents: readonly DependentTree[]
}

/** Throws IMAGE_NOT_FOUND, and what opening the store and reading the image throw. */
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
