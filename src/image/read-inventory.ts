/** Lists images of a blob store for an inventory, from their manifests. */
import { type BlobStore, type FetchOptions } from '../blob/blob-store.js'
import { readImage } from '../blob/closure.js'
import { isInterruption, StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { isIndex } from '../oci/media-type.js'
import { formatReference } from '../oci/reference.js'
import type { SourceImage } from './image-source.js'
import type { InventoryImage } from './inventory.js'

export interface ReadInventoryOptions extends FetchOptions {
  /** Called with each image that is left out because it is not whole, and why. */
  readonly onBroken?: ((image: SourceImage, reason: string) => void) | undefined
}

/** The whole ones among `images` of `store`. `holds` says whether a layer is there. */
export async function readInventory(
  store: BlobStore,
  images: readonly SourceImage[],
  holds: (layer: Descriptor) => Promise<boolean>,
  { onBroken, ...options }: ReadInventoryOptions = {},
): Promise<readonly InventoryImage[]> {
  const found: InventoryImage[] = []
  for (const image of images) {
    try {
      const { root, platforms, layers, absent } = await readImage(store, image.root, {
        ...options,
        absent: image.absent,
      })
      for (const layer of layers) {
        if (!(await holds(layer))) throw new StowageError('BLOB_MISSING', `the layer ${layer.digest} is not there`)
      }
      found.push({
        names: image.names.map(formatReference),
        id: root.digest,
        layers: layers.map(({ digest, size }) => ({ digest, size })),
        configs: platforms.map(({ manifest }) => manifest.config.digest),
        ...(isIndex(root.mediaType) ? { manifests: platforms.map(({ descriptor }) => descriptor.digest) } : {}),
        ...(absent.length > 0 ? { absent: absent.map(({ digest }) => digest) } : {}),
      })
    } catch (error) {
      if (isInterruption(error) || !(error instanceof StowageError)) throw error
      onBroken?.(image, error.message)
    }
  }
  return found
}
