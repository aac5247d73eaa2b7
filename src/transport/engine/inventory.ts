/** What an engine has, for an inventory. */
import pMap from 'p-map'
import { engineAt, type EngineCallOptions, type EngineClient } from '../../engine/client.js'
import { inspectImage, listEngineImages, listImageManifests } from '../../engine/inventory.js'
import { readStore } from '../../engine/store.js'
import type { Inventory, InventoryImage } from '../../image/inventory.js'
import { isDigest } from '../../oci/digest.js'
import { formatReference, isReference, parseReference } from '../../oci/reference.js'
import type { WaitOptions } from '../../progress.js'

/** Images to ask about at a time. */
const AT_ONCE = 8

/** Throws ENGINE_UNREACHABLE, ENGINE_PROTOCOL. */
export async function engineInventory(
  place: string,
  { host, signal, onProgress }: WaitOptions & { readonly host?: string | undefined },
): Promise<Inventory> {
  using client = await engineAt(host, onProgress)
  const store = await readStore(client, { signal })
  if (store.kind !== 'containerd') return { place, kind: 'layers', images: await withLayers(client, { signal }) }
  const listed = await listImageManifests(client, store, { signal })
  const images = listed.flatMap(({ id, names, whole = [], absent = [] }): readonly InventoryImage[] =>
    isDigest(id)
      ? [
          {
            names: fullNames(names),
            id,
            layers: [],
            manifests: whole.filter(isDigest),
            absent: absent.filter(isDigest),
          },
        ]
      : [],
  )
  return { place, kind: 'manifests', images }

  async function withLayers(engine: EngineClient, options: EngineCallOptions): Promise<readonly InventoryImage[]> {
    const listed = await listEngineImages(engine, options)
    const found = await pMap(listed, async ({ id }) => await inspectImage(engine, store, id, options), {
      concurrency: AT_ONCE,
    })
    return found.flatMap(image => {
      if (!image || !isDigest(image.id)) return [] // removed in the meantime
      const layers = image.diffIds.filter(isDigest).map(digest => ({ digest }))
      return [{ names: fullNames(image.names), id: image.id, layers }]
    })
  }
}

/** The full forms of the names that an engine shows. */
function fullNames(names: readonly string[]): readonly string[] {
  return [...new Set(names.filter(isReference).map(name => formatReference(parseReference(name))))]
}
