/** What two places have, compared. */
import type { BundleManifest } from '../bundle/manifest.js'
import { comparePaths } from '../bundle/checksums.js'
import type { Inventory } from '../image/inventory.js'
import type { Digest } from '../oci/digest.js'

/** What a place has, from an inventory or a bundle: all digests by which the same things may be known elsewhere. */
export interface PlaceContent {
  readonly images: readonly PlaceImage[]
}

interface PlaceImage {
  /** Full references; the ID of an image without a name. */
  readonly names: readonly string[]
  /** Manifests, indexes or configs that identify it. */
  readonly ids: readonly Digest[]
  readonly layers: readonly PlaceLayer[]
  /** Whether it is known only by its config, or only by its manifest, so that it can be told only from its like. */
  readonly known: 'config' | 'manifest' | 'both'
}

interface PlaceLayer {
  readonly digest: Digest
  /** Stored, in bytes. */
  readonly size?: number
  /** Of what is in it. */
  readonly diffId?: Digest
}

/** One name at the two places. */
export interface ImageDifference {
  /** A full reference, or the digest of an image without a name. */
  readonly name: string
  /** `unknown`: it has the name at both, which identify images in ways that cannot be compared. */
  readonly change: 'added' | 'removed' | 'changed' | 'same' | 'unknown'
  /** Its digest at each place. */
  readonly before?: Digest
  readonly after?: Digest
  /** The layers that the first place does not have, and their size in bytes if it is known. */
  readonly newLayers: number
  readonly newSize?: number
}

export interface PlaceDifference {
  /** Sorted by name. */
  readonly images: readonly ImageDifference[]
  readonly layers: LayersDifference
}

/** Layers, each counted once. Sizes are in bytes, of those whose size is known. */
export interface LayersDifference {
  readonly added: number
  readonly addedSize: number
  readonly removed: number
  readonly removedSize: number
  readonly common: number
}

export function contentOfInventory({ kind, images }: Inventory): PlaceContent {
  return {
    images: images.map(({ names, id, layers, configs = [] }) => ({
      names: names.length > 0 ? names : [id],
      ids: [id, ...configs],
      layers: kind === 'layers' ? layers.map(({ digest }) => ({ digest, diffId: digest })) : layers,
      known: kind === 'layers' ? 'config' : configs.length > 0 ? 'both' : 'manifest',
    })),
  }
}

/** What a place has once the bundle was loaded there. */
export function contentOfBundle({ images, assumes }: BundleManifest): PlaceContent {
  return {
    images: [
      ...images.map(({ names, root, original, platforms }) => ({
        names: names.length > 0 ? names : [root.digest],
        ids: [root.digest, ...(original ? [original.digest] : []), ...platforms.map(({ config }) => config)],
        layers: platforms.flatMap(({ layers }) => layers),
        known: 'both' as const,
      })),
      ...(assumes?.images ?? []).map(({ names, roots, configs }) => ({
        names,
        ids: [...roots, ...configs],
        layers: [],
        known: 'both' as const,
      })),
    ],
  }
}

/** How `after` differs from `before`. */
export function comparePlaces(before: PlaceContent, after: PlaceContent): PlaceDifference {
  const held = keysOf(before)
  const [old, now] = [byName(before), byName(after)]
  const images = [...new Set([...old.keys(), ...now.keys()])].sort(comparePaths).map((name): ImageDifference => {
    const [was, is] = [old.get(name), now.get(name)]
    const fresh = eachOnce(is?.layers ?? []).filter(layer => !isHeld(held, layer))
    const sizes = fresh.map(({ size }) => size).filter(size => size !== undefined)
    return {
      name,
      change: changeOf(was, is),
      ...(was?.ids[0] ? { before: was.ids[0] } : {}),
      ...(is?.ids[0] ? { after: is.ids[0] } : {}),
      newLayers: fresh.length,
      ...(sizes.length === fresh.length ? { newSize: sum(sizes) } : {}),
    }
  })
  const [mine, theirs] = [layersOf(before), layersOf(after)]
  const kept = keysOf(after)
  const added = theirs.filter(layer => !isHeld(held, layer))
  const removed = mine.filter(layer => !isHeld(kept, layer))
  return {
    images,
    layers: {
      added: added.length,
      addedSize: sum(added.map(({ size = 0 }) => size)),
      removed: removed.length,
      removedSize: sum(removed.map(({ size = 0 }) => size)),
      common: theirs.length - added.length,
    },
  }
}

function changeOf(was: PlaceImage | undefined, is: PlaceImage | undefined): ImageDifference['change'] {
  if (!was) return 'added'
  if (!is) return 'removed'
  if (was.ids.some(id => is.ids.includes(id))) return 'same'
  return was.known !== is.known && was.known !== 'both' && is.known !== 'both' ? 'unknown' : 'changed'
}

function byName({ images }: PlaceContent): ReadonlyMap<string, PlaceImage> {
  return new Map(images.flatMap(image => image.names.map(name => [name, image] as const)))
}

function layersOf({ images }: PlaceContent): readonly PlaceLayer[] {
  return eachOnce(images.flatMap(({ layers }) => layers))
}

function eachOnce(layers: readonly PlaceLayer[]): readonly PlaceLayer[] {
  return [...new Map(layers.map(layer => [layer.digest, layer])).values()]
}

function keysOf(content: PlaceContent): ReadonlySet<Digest> {
  return new Set(content.images.flatMap(({ layers }) => layers.flatMap(keys)))
}

function isHeld(held: ReadonlySet<Digest>, layer: PlaceLayer): boolean {
  return keys(layer).some(key => held.has(key))
}

function keys({ digest, diffId }: PlaceLayer): readonly Digest[] {
  return diffId === undefined ? [digest] : [digest, diffId]
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0)
}
