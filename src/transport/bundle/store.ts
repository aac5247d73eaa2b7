/** A bundle as a read-only image store. */
import type { FetchOptions } from '../../blob/blob-store.js'
import { type BundleReader, openBundleReader } from '../../bundle/reader.js'
import { StowageError } from '../../errors.js'
import { namesOnce, parseReference } from '../../oci/reference.js'
import { BlobImages, type IndexedImage } from '../../image/blob-images.js'
import type { ImageStore } from '../../image/image-store.js'

/** Throws what {@link openBundleReader} throws. Methods that would change the bundle throw UNSUPPORTED. */
export async function openBundleStore(path: string, options: FetchOptions = {}): Promise<ImageStore> {
  const reader = await openBundleReader(path, { ...options, layers: false })
  const images = new BlobImages(reader)
  return {
    location: `bundle:${path}`,
    images: async options => await images.images(await indexed(reader), options),
    names: async () => reader.manifest.images.flatMap(image => image.names.map(parseReference)),
    history: async (image, options) => await images.history(await indexed(reader), image, options),
    users: async () => [],
    tag: async () => sealed(path, 'its images cannot be tagged'),
    remove: async () => sealed(path, 'its images cannot be removed'),
    commit: async () => sealed(path, 'it has no containers'),
    [Symbol.asyncDispose]: async () => await reader[Symbol.asyncDispose](),
  }
}

async function indexed(reader: BundleReader): Promise<readonly IndexedImage[]> {
  return (await reader.images()).map(({ root, names }) => ({
    root,
    names: namesOnce(names.filter(({ tag }) => tag !== undefined)),
    refNames: [],
  }))
}

function sealed(path: string, reason: string): never {
  throw new StowageError('UNSUPPORTED', `${path} is a bundle, which is sealed: ${reason}`, {
    hint: 'Pack another bundle, or load this one into an engine or a layout and make the change there.',
  })
}
