/** What a place has once a bundle was loaded there, for an inventory. */
import type { Inventory, InventoryImage } from '../image/inventory.js'
import { isIndex } from '../oci/media-type.js'
import type { AssumedImage } from './delta.js'
import type { BundleImage } from './manifest.js'

/** What `place` has: `images`, each whole, and `assumed`, which a delta left out. */
export function bundleInventory(
  place: string,
  images: readonly BundleImage[],
  assumed: readonly AssumedImage[] = [],
): Inventory {
  return { place, kind: 'blobs', images: [...images.map(ofImage), ...assumed.flatMap(ofAssumed)] }
}

function ofImage({ names, root, original = root, platforms, absent }: BundleImage): InventoryImage {
  const layers = new Map(platforms.flatMap(platform => platform.layers).map(layer => [layer.digest, layer]))
  return {
    names,
    id: original.digest,
    layers: [...layers.values()].map(({ digest, size }) => ({ digest, size })),
    configs: platforms.map(({ config }) => config),
    ...(isIndex(original.mediaType) ? { manifests: platforms.map(({ manifest }) => manifest) } : {}),
    ...(absent ? { absent } : {}),
  }
}

/** Its layers are not known, but its digest says which they are. */
function ofAssumed({ names, roots: [id], configs, manifests, absent }: AssumedImage): readonly InventoryImage[] {
  if (id === undefined) return []
  return [{ names, id, layers: [], configs, ...(manifests ? { manifests } : {}), ...(absent ? { absent } : {}) }]
}
