/** The order of images in a bundle, and of their blobs. */
import type { NamedImage } from '../archive/heads.js'
import { blobsOf, type ImageContent } from '../blob/closure.js'
import { subjectOf } from '../image/referrers.js'
import { type Descriptor, eachOnce } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { formatReference } from '../oci/reference.js'
import { comparePaths } from './checksums.js'

/**
 * In an order that does not depend on that of the calls: what describes an image after it, then by names, and the names
 * by themselves; images without one come last.
 */
export function inOrder(images: readonly NamedImage[]): readonly NamedImage[] {
  const subjects = new Map(images.map(({ image, names }) => [image.root.digest, subjectOf(image, names)]))
  const depthOf = (digest: Digest, most = subjects.size): number => {
    const subject = subjects.get(digest)
    return subject === undefined || most === 0 ? 0 : 1 + depthOf(subject, most - 1)
  }
  return images
    .map(({ image, names }) => {
      const sorted = names.toSorted((a, b) => comparePaths(formatReference(a), formatReference(b)))
      const depth = depthOf(image.root.digest)
      const key = sorted[0] ? formatReference(sorted[0]) : '\uffff'
      return { depth, key, digest: image.root.digest, image, names: sorted }
    })
    .sort((a, b) => a.depth - b.depth || comparePaths(a.key, b.key) || comparePaths(a.digest, b.digest))
    .map(({ image, names }) => ({ image, names }))
}

/** Each blob once, manifests and configs of all images before the first layer: a tar reader needs them early. */
export function orderOf(images: readonly { readonly image: ImageContent }[]): readonly Descriptor[] {
  const layers = new Set(images.flatMap(({ image }) => image.layers).map(({ digest }) => digest))
  const blobs = eachOnce(images.flatMap(({ image }) => blobsOf(image)))
  return [...blobs.filter(({ digest }) => !layers.has(digest)), ...blobs.filter(({ digest }) => layers.has(digest))]
}
