/** Determines which images of a store are based on which, by their layer chains. */
import { chainIds } from '../oci/chain.js'
import type { StoredImage } from './image-store.js'

/** An image with the images based on it. */
export interface DependentTree {
  readonly image: StoredImage
  readonly dependents: readonly DependentTree[]
}

export interface Lineage {
  /** The image with the longest layer chain that is a proper prefix of the chain of `image`. */
  baseOf(image: StoredImage): StoredImage | undefined
  /** `image` and all images it is based on, lowest first. */
  chainOf(image: StoredImage): readonly StoredImage[]
  /** All images whose layer chain on at least one platform has that of `image` as a proper prefix. */
  dependentsOf(image: StoredImage): readonly StoredImage[]
  treeOf(image: StoredImage): DependentTree
}

/**
 * If several images have the same chain, the base is the one that is a base OS image, or else has a name, or else is
 * the oldest.
 */
export function lineageOf(images: readonly StoredImage[]): Lineage {
  const shown = images.filter(({ type }) => type === 'image')
  const chains = new Map(shown.map(image => [image, image.platforms.map(({ diffIds }) => chainIds(diffIds))]))
  const whole = new Map<string, StoredImage>()
  for (const image of [...shown].sort(lowerFirst)) {
    for (const chain of chains.get(image) ?? []) {
      const last = chain.at(-1)
      if (last !== undefined && !whole.has(last)) whole.set(last, image)
    }
  }
  const bases = new Map<StoredImage, StoredImage>()
  for (const image of shown) {
    const below = chains.get(image)?.[0]?.slice(0, -1) ?? []
    const base = below
      .toReversed()
      .map(chain => whole.get(chain))
      .find(found => found !== undefined && found !== image)
    if (base) bases.set(image, base)
  }
  const above = new Map<StoredImage, StoredImage[]>()
  for (const [image, base] of bases) above.set(base, [...(above.get(base) ?? []), image])
  const treeOf = (image: StoredImage): DependentTree => ({ image, dependents: (above.get(image) ?? []).map(treeOf) })
  return {
    baseOf: image => bases.get(image),
    chainOf(image) {
      const chain = [image]
      for (let base = bases.get(image); base; base = bases.get(base)) chain.unshift(base)
      return chain
    },
    dependentsOf(image) {
      const own = new Set((chains.get(image) ?? []).flatMap(chain => chain.at(-1) ?? []))
      return shown.filter(
        other =>
          other !== image && (chains.get(other) ?? []).some(chain => chain.slice(0, -1).some(each => own.has(each))),
      )
    },
    treeOf,
  }
}

function lowerFirst(a: StoredImage, b: StoredImage): number {
  return (
    Number(b.isOSImage) - Number(a.isOSImage) ||
    Number(isNamed(b)) - Number(isNamed(a)) ||
    compareTimes(a.created, b.created)
  )
}

function isNamed({ names, refNames }: StoredImage): boolean {
  return names.length + refNames.length > 0
}

/** Negative if `a` is earlier; a missing time is later than every time. */
export function compareTimes(a: string | undefined, b: string | undefined): number {
  const [one, other] = [a, b].map(time =>
    time === undefined || Number.isNaN(Date.parse(time)) ? Number.MAX_SAFE_INTEGER : Date.parse(time),
  )
  return (one ?? 0) - (other ?? 0)
}
