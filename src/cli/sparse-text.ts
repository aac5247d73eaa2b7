/** What is said of an image of which only some platforms were taken. */
import type { BundleImage } from '../bundle/manifest.js'
import type { WrittenImage } from '../image/image-destination.js'
import { formatPlatform } from '../oci/platform.js'
import { familiarNames } from './image-names.js'
import { count } from './render.js'

/** A line for each image of a bundle whose index names platforms that are absent. */
export function packedText(images: readonly BundleImage[]): readonly string[] {
  return images.flatMap(({ names, root, original, platforms, absent = [] }) => {
    if (absent.length === 0) return []
    const has = platforms.map(({ platform }) => formatPlatform(platform)).join(', ')
    const what = `${familiarNames(names)}: only ${has || 'some'} of its platforms; ${count(absent.length, 'manifest')} left behind`
    if (!original) {
      return [`${what}. Its index ${root.digest} still names them, and many registries and engines refuse it.`]
    }
    return [
      `${what}. ${root.digest} loads everywhere; the original index ${original.digest} is in the bundle beside it.`,
    ]
  })
}

/** Lines about an image that its destination took in another form; empty if it has it as it was. */
export function deliveredText(
  name: string,
  { id, strippedFrom, undelivered = [] }: Pick<WrittenImage, 'id' | 'strippedFrom' | 'undelivered'>,
): readonly string[] {
  return [
    ...(strippedFrom
      ? [
          `${name}: the destination refused the index ${strippedFrom}, which names absent platforms. It has ${id} instead.`,
        ]
      : []),
    ...undelivered.map(
      digest => `${name}: ${digest} was not delivered: it describes an index that the destination does not have`,
    ),
  ]
}
