/** Which layers the images of a page share, and how large each part of an image is. */
import type { InspectedImage, InspectedPlatform } from '../image/inspection.js'
import { formatPlatform } from '../oci/platform.js'
import { LETTERED, PICTURED, SHOWN } from './contents.js'

/** One image for one platform, as a bar. */
export interface Bar {
  /** Of the image, among all that are shown. */
  readonly image: number
  readonly name: string
  readonly os: string
  readonly platform: string
  /** Its layers, in bytes. */
  readonly size: number
  /** Base first. */
  readonly layers: readonly BarLayer[]
}

export interface BarLayer {
  readonly size: number
  /** Undefined if no other bar has it. */
  readonly part: SharedPart | undefined
  /** A delta leaves it out. */
  readonly left: boolean
}

/** Layers that are together in the same images. */
export interface SharedPart {
  /** `A` for the first in the picture; the smallest have none, if there are more parts than letters. */
  readonly letter: string | undefined
  /** From 0, in the order of the letters. */
  readonly rank: number
  readonly layers: number
  /** Of the layers, each once, in bytes. */
  readonly size: number
  /** How many images for one platform have them, of all that there are. */
  readonly users: number
}

export interface Sharing {
  /** The largest, in the order of the images. */
  readonly bars: readonly Bar[]
  /** How many there are. */
  readonly all: number
  /** Those with a letter. */
  readonly parts: readonly SharedPart[]
  /** What all layers would take if none was shared, and what they take, in bytes. */
  readonly apart: number
  readonly together: number
  /** What of that is left out, in bytes. */
  readonly left: number
  partOf(layer: string | undefined): SharedPart | undefined
}

interface Row extends Omit<Bar, 'layers'> {
  readonly layers: InspectedPlatform['layers']
}

/** `titles`: of the images, in their order. `left`: layers that the bundle leaves out. */
export function sharingOf(
  images: readonly InspectedImage[],
  titles: readonly string[],
  left: ReadonlySet<string>,
): Sharing {
  const rows = images.flatMap(({ platforms }, image) =>
    platforms.map(({ platform, layers }): Row => ({
      image,
      name: titles[image] ?? '',
      os: platform.os,
      platform: formatPlatform(platform),
      size: layers.reduce((sum, layer) => sum + (layer.size ?? 0), 0),
      layers,
    })),
  )
  const users = new Map<string, number>()
  const sizes = new Map<string, number>()
  for (const { layers } of rows) {
    for (const key of new Set(layers.map(layerKey))) users.set(key, (users.get(key) ?? 0) + 1)
    for (const layer of layers) sizes.set(layerKey(layer), layer.size ?? 0)
  }
  const pictured = new Set([...rows].sort((a, b) => b.size - a.size).slice(0, PICTURED))
  const shown = rows.filter(row => pictured.has(row))
  const parts = partsOf(shown, users, sizes)
  return {
    bars: shown.map(({ layers, ...row }) => ({
      ...row,
      layers: [
        ...layers.slice(0, SHOWN.layers).map(layer => ({
          size: layer.size ?? 0,
          part: parts.get(layerKey(layer)),
          left: left.has(layerKey(layer)),
        })),
        ...restOf(layers.slice(SHOWN.layers)),
      ],
    })),
    all: rows.length,
    parts: [...new Set(parts.values())].filter(({ letter }) => letter !== undefined).sort((a, b) => a.rank - b.rank),
    apart: rows.reduce((sum, { size }) => sum + size, 0),
    together: [...sizes.values()].reduce((sum, size) => sum + size, 0),
    left: [...sizes].reduce((sum, [key, size]) => sum + (left.has(key) ? size : 0), 0),
    partOf: layer => (layer === undefined ? undefined : parts.get(layer)),
  }
}

/** Layers for which the picture has no room, as one. */
function restOf(layers: Row['layers']): readonly BarLayer[] {
  if (layers.length === 0) return []
  return [{ size: layers.reduce((sum, { size = 0 }) => sum + size, 0), part: undefined, left: false }]
}

/** What identifies a layer: an engine knows only its diffID. */
export function layerKey({ digest, diffId = '' }: { readonly digest?: string; readonly diffId?: string }): string {
  return digest ?? diffId
}

/** The shared layers of the bars, those with the same users as one part. */
function partsOf(
  rows: readonly Row[],
  users: ReadonlyMap<string, number>,
  sizes: ReadonlyMap<string, number>,
): ReadonlyMap<string, SharedPart> {
  const places = new Map<string, number[]>()
  rows.forEach(({ layers }, n) => {
    for (const key of new Set(layers.map(layerKey))) {
      if ((users.get(key) ?? 0) < 2) continue
      const found = places.get(key)
      if (found) found.push(n)
      else places.set(key, [n])
    }
  })
  const groups = new Map<string, string[]>()
  for (const [key, at] of places) {
    const group = `${users.get(key)} ${at.join(' ')}`
    const found = groups.get(group)
    if (found) found.push(key)
    else groups.set(group, [key])
  }
  const sizeOf = (keys: readonly string[]): number => keys.reduce((sum, key) => sum + (sizes.get(key) ?? 0), 0)
  const made = [...groups.values()].map(keys => ({ keys, size: sizeOf(keys) }))
  const largest = new Set(made.toSorted((a, b) => b.size - a.size).slice(0, LETTERED))
  const parts = new Map<string, SharedPart>()
  // In the order in which they appear, so that the picture begins with A
  const ordered = [...made.filter(group => largest.has(group)), ...made.filter(group => !largest.has(group))]
  ordered.forEach(({ keys, size }, rank) => {
    const letter = rank < LETTERED ? String.fromCharCode('A'.charCodeAt(0) + rank) : undefined
    const part = { letter, rank, layers: keys.length, size, users: users.get(keys[0] ?? '') ?? 0 }
    for (const key of keys) parts.set(key, part)
  })
  return parts
}
