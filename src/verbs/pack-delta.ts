/** What a pack leaves out because the destination of the bundle has it. */
import { leftOutOf } from '../bundle/delta.js'
import type { HeldPlace, Leaving } from '../delta/held.js'
import { StowageError } from '../errors.js'
import type { SelectedImage } from '../transfer/transfer.js'
import type { PackOptions } from './pack-requests.js'

/**
 * What each site has that a delta is for: the first what `have` says together, each other one what one of `alsoFor` says.
 * None if the bundle is whole. Throws INVALID_ARGUMENT for `alsoFor` without `have`, and what reading them throws.
 */
export async function readSites({
  have = [],
  alsoFor = [],
  signal,
}: PackOptions): Promise<readonly (readonly HeldPlace[])[]> {
  if (have.length === 0 && alsoFor.length === 0) return []
  if (have.length === 0)
    throw new StowageError('INVALID_ARGUMENT', 'a delta that is also for another site needs what the first one has', {
      hint: 'Name it: --have FILE.',
    })
  const { readHeld } = await import('../delta/held.js') // rarely used
  const sites: HeldPlace[][] = []
  for (const paths of [have, ...alsoFor.map(path => [path])]) {
    const places: HeldPlace[] = []
    for (const path of paths) places.push(await readHeld(path, { signal }))
    sites.push(places)
  }
  return sites
}

/** What a bundle of `images` leaves out. Throws BASE_MISSING if a delta among their sources leaves out what it needs. */
export async function leaveOut<Image extends SelectedImage>(
  images: readonly Image[],
  sites: readonly (readonly HeldPlace[])[],
): Promise<Leaving<Image>> {
  const leaving =
    sites.length === 0
      ? { assumes: undefined, carried: images }
      : (await import('../delta/held.js')).leavingOf(images, sites)
  const left = new Set(leaving.assumes?.layers.map(({ digest }) => digest))
  for (const { blobs, content } of leaving.carried) {
    const lost = content.layers.find(({ digest }) => blobs.leftOut?.has(digest) && !left.has(digest))
    if (lost) throw leftOutOf('its source', lost)
  }
  return leaving
}

/** The images that are carried, without the layers that are left out, by what they are whole. */
export function withoutLayers({ assumes, carried }: Leaving<SelectedImage>): ReadonlyMap<SelectedImage, SelectedImage> {
  const left = new Set(assumes?.layers.map(({ digest }) => digest))
  const there = new Set(carried)
  const reduced = (image: SelectedImage): SelectedImage => ({
    ...image,
    content: { ...image.content, layers: image.content.layers.filter(({ digest }) => !left.has(digest)) },
    referrers: image.referrers.filter(each => there.has(each)).map(reduced),
  })
  return new Map(carried.map(image => [image, reduced(image)]))
}
