/** What a pack leaves out because the destination of the bundle has it. */
import { leftOutOf } from '../bundle/delta.js'
import type { HeldPlace, Leaving } from '../delta/held.js'
import type { SelectedImage } from '../transfer/transfer.js'

/** What the inventories and bundles `have` say. Throws what reading them throws. */
export async function readPlaces(
  have: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly HeldPlace[]> {
  if (have.length === 0) return []
  const { readHeld } = await import('../delta/held.js') // rarely used
  const places: HeldPlace[] = []
  for (const path of have) places.push(await readHeld(path, { signal }))
  return places
}

/** What a bundle of `images` leaves out. Throws BASE_MISSING if a delta among their sources leaves out what it needs. */
export async function leaveOut<Image extends SelectedImage>(
  images: readonly Image[],
  places: readonly HeldPlace[],
): Promise<Leaving<Image>> {
  const leaving =
    places.length === 0
      ? { assumes: undefined, carried: images }
      : (await import('../delta/held.js')).leavingOf(images, places)
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
