/** What an OCI image layout has, for an inventory. */
import { BlobDirectory } from '../../blob/directory.js'
import type { FetchOptions } from '../../blob/blob-store.js'
import type { Inventory } from '../../image/inventory.js'
import { readInventory } from '../../image/read-inventory.js'
import { groupByRoot, namedEntry } from '../../image/selection.js'
import { formatReference } from '../../oci/reference.js'
import { readLayoutIndex } from './source.js'

/** Throws what {@link readLayoutIndex} throws. Images that are not whole are left out, and `onNotice` is told. */
export async function layoutInventory(
  directory: string,
  { onNotice, ...options }: FetchOptions & { readonly onNotice?: ((sentence: string) => void) | undefined } = {},
): Promise<Inventory> {
  const blobs = new BlobDirectory(directory)
  const images = groupByRoot((await readLayoutIndex(directory)).map(namedEntry))
  const found = await readInventory(blobs, images, async layer => await blobs.holds(layer), {
    ...options,
    onBroken: ({ root, names: [name] }, reason) =>
      onNotice?.(`${name ? formatReference(name) : root.digest} is not whole, and not in the inventory: ${reason}`),
  })
  return { place: `oci:${directory}`, kind: 'blobs', images: found }
}
