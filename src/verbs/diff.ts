/** Diff: compares the images and layers of two bundles, inventories or places. */
import { stat } from 'node:fs/promises'
import { openBundleReader } from '../bundle/reader.js'
import { isInventoryFile, readInventoryFile } from '../delta/held.js'
import {
  comparePlaces,
  contentOfBundle,
  contentOfInventory,
  type PlaceContent,
  type PlaceDifference,
} from '../delta/places.js'
import { abortError } from '../errors.js'
import { type InventoryOptions, readInventoryOf } from './inventory.js'

export interface DiffResult extends PlaceDifference {
  readonly from: string
  readonly to: string
}

/**
 * How `to` differs from `from`: each is a bundle, the file of an inventory, or a place for takeInventory(). Layers are
 * compared by their digests and diffIDs, as far as both are known. Throws what reading them throws.
 */
export async function diffPlaces(from: string, to: string, options: InventoryOptions = {}): Promise<DiffResult> {
  try {
    const [before, after] = [await contentOf(from, options), await contentOf(to, options)]
    return { from, to, ...comparePlaces(before, after) }
  } catch (error) {
    throw abortError(error, options.signal)
  }
}

async function contentOf(place: string, options: InventoryOptions): Promise<PlaceContent> {
  const path = place.replace(/^bundle:/, '')
  if (path === place && !(await exists(path)) && /^[a-z][a-z-]*:/.test(place))
    return contentOfInventory(await readInventoryOf(place, options))
  if (await isInventoryFile(path)) return contentOfInventory((await readInventoryFile(path, options)).inventory)
  await using reader = await openBundleReader(path, { layers: false, signal: options.signal })
  return contentOfBundle(reader.manifest)
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}
