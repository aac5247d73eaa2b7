/** Makes a sparse index, which lists absent manifests, complete: many registries and engines accept nothing else. */
import { type Descriptor, describe } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { array, fields, type JsonObject, parseJson } from '../oci/json.js'
import { withAbsent, withOriginal } from '../oci/layout.js'
import { isIndex } from '../oci/media-type.js'
import type { Document, ImageContent } from './closure.js'

/** What to do with an index that lists absent manifests: see docs/platforms.md. */
export type SparseForm = 'keep' | 'strip'

/**
 * `image` without its absent manifests. Each index that lists one is rewritten without it and otherwise unchanged; an
 * index left with a single manifest is replaced by that manifest. Equal images give equal bytes.
 */
export function stripAbsent(image: ImageContent): ImageContent {
  if (image.absent.length === 0) return image
  const absent = new Set<Digest>(image.absent.map(({ digest }) => digest))
  const documents = new Map(image.manifests.map(document => [document.descriptor.digest, document]))
  const kept = new Map<Digest, Document>()
  const root = strip(image.root)
  // Each document was kept after all that it lists, the root last
  return root ? { ...image, root, manifests: [...kept.values()], absent: [] } : image

  /** The descriptor that replaces `descriptor`; undefined if nothing is left. */
  function strip(descriptor: Descriptor): Descriptor | undefined {
    if (absent.has(descriptor.digest)) return undefined
    const document = documents.get(descriptor.digest)
    if (!document) return descriptor // a blob that is not a manifest
    if (!isIndex(document.descriptor.mediaType)) {
      kept.set(descriptor.digest, document)
      return descriptor
    }
    const index = fields(parseJson(document.bytes, descriptor.digest), descriptor.digest)
    const children = array(index, 'manifests', descriptor.digest)
    const left = children.flatMap(child => stripChild(child) ?? [])
    if (left.length === 0) return undefined
    if (left.length === children.length && left.every((child, n) => child === children[n])) {
      kept.set(descriptor.digest, document)
      return descriptor
    }
    return left.length === 1 ? onlyOf(left[0]) : rewritten(descriptor, { ...index, manifests: left })
  }

  /** Returns the same object if nothing in it changes. */
  function stripChild(child: unknown): unknown {
    const found = child as Descriptor // parsed as one when the image was read
    const stripped = strip(found)
    if (!stripped || stripped.digest === found.digest) return stripped && child
    const { mediaType, digest, size } = stripped
    return { ...found, mediaType, digest, size }
  }

  function onlyOf(child: unknown): Descriptor {
    const { mediaType, digest, size } = child as Descriptor // as above
    return { mediaType, digest, size }
  }

  function rewritten({ mediaType }: Descriptor, index: JsonObject): Descriptor {
    const bytes = Buffer.from(JSON.stringify(index))
    const descriptor = describe(mediaType, bytes)
    kept.set(descriptor.digest, { descriptor, bytes })
    return descriptor
  }
}

/** Digests of the indexes of `image` that {@link stripAbsent} removes or rewrites. */
export function strippedAway(image: ImageContent): ReadonlySet<Digest> {
  const left = new Set(stripAbsent(image).manifests.map(({ descriptor }) => descriptor.digest))
  return new Set(image.manifests.flatMap(({ descriptor: { digest } }) => (left.has(digest) ? [] : [digest])))
}

/** The indexes that {@link stripAbsent} writes; none if `sparse` is `keep`. */
export function strippedIndexes(image: ImageContent, sparse?: SparseForm): readonly Document[] {
  if (sparse === 'keep') return []
  const own = new Set(image.manifests.map(({ descriptor }) => descriptor.digest))
  return stripAbsent(image).manifests.filter(({ descriptor }) => !own.has(descriptor.digest))
}

/** `image` with its {@link strippedIndexes} among its manifests, for a destination that holds both. */
export function withStripped(image: ImageContent, sparse?: SparseForm): ImageContent {
  const added = strippedIndexes(image, sparse)
  return added.length === 0 ? image : { ...image, manifests: [...added, ...image.manifests] }
}

/**
 * The root as an entry of a layout's index, without a name; with its platform if it is a single image. A sparse index
 * is listed as the complete index made from it, annotated with the original; if `sparse` is `keep`, it is listed
 * itself.
 */
export function rootEntry(image: ImageContent, sparse?: SparseForm): Descriptor {
  const { root, absent } = image
  if (absent.length === 0 || sparse === 'keep') return withAbsent(plainEntry(image), absent)
  return withOriginal(plainEntry(stripAbsent(image)), root, absent)
}

function plainEntry({ root: { mediaType, digest, size }, platforms }: ImageContent): Descriptor {
  const own = platforms.find(({ descriptor }) => descriptor.digest === digest)
  return { mediaType, digest, size, ...(own ? { platform: own.config.platform } : {}) }
}
