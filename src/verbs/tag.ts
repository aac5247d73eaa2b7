/** One more name for an image of a place. */
import { abortError } from '../errors.js'
import { formatReference, nameToGive } from '../oci/reference.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { selectStored } from '../image/select.js'

export interface TaggedImage {
  /** As a location is written. */
  readonly store: string
  readonly id: string
  /** The new name, in full. */
  readonly name: string
}

/**
 * Gives the image `source` the name `target`, `latest` where it has no tag. Another image that has the name loses it, and stays.
 * Throws IMAGE_NOT_FOUND, INVALID_REFERENCE, INVALID_ARGUMENT for a name with a digest, UNSUPPORTED for a bundle.
 */
export async function tagImage(source: string, target: string, options: StoreOptions = {}): Promise<TaggedImage> {
  const { signal } = options
  const name = nameToGive(target)
  try {
    await using store = await openImageStore(options)
    const { image } = selectStored(await store.images({ signal }), source, store.location)
    await store.tag(image, name, { signal })
    return { store: store.location, id: image.id, name: formatReference(name) }
  } catch (error) {
    throw abortError(error, signal)
  }
}
