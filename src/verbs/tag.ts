/** Tag: gives an image in a store another name. */
import { abortError } from '../errors.js'
import { formatReference, nameToGive } from '../oci/reference.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { selectStored } from '../image/select.js'

export interface TaggedImage {
  /** The store, as a location. */
  readonly store: string
  readonly id: string
  /** The new name, in full. */
  readonly name: string
}

/**
 * Gives the image `source` the name `target`, with the tag `latest` if it has none. An image that already has the name
 * loses it, but is not removed. Throws IMAGE_NOT_FOUND, INVALID_REFERENCE, INVALID_ARGUMENT for a name with a digest,
 * UNSUPPORTED for a bundle.
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
