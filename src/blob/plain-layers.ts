/**
 * Converts foreign layers to plain ones: the same bytes with a distributable media type. Source: OCI image-spec,
 * layer.md.
 */
import { type Descriptor, describe } from '../oci/descriptor.js'
import { array, fields, type JsonObject, optionalArray, parseJson } from '../oci/json.js'
import { isForeignLayer, isIndex, isManifest } from '../oci/media-type.js'
import type { Document, ImageContent } from './closure.js'

/**
 * `image` with its foreign layers converted to plain ones. Their manifests and the indexes above them are rewritten, so
 * the image has another digest. An image without foreign layers is returned unchanged.
 */
export function withPlainLayers(image: ImageContent): ImageContent {
  if (!image.layers.some(({ mediaType }) => isForeignLayer(mediaType))) return image
  const anew = new Map<string, Descriptor>()
  const manifests = image.manifests.map(document => rewrite(document, anew))
  const moved = <T extends Descriptor>(blob: T): T => {
    const other = anew.get(blob.digest)
    return other ? { ...blob, digest: other.digest, size: other.size } : blob
  }
  return {
    ...image,
    root: moved(image.root),
    manifests,
    // The layer descriptors keep their URLs, from which the layers can be downloaded
    platforms: image.platforms.map(({ descriptor, ...platform }) => ({ descriptor: moved(descriptor), ...platform })),
  }
}

/** Manifests come after everything they refer to, so their children have been rewritten already. */
function rewrite({ descriptor, bytes }: Document, anew: Map<string, Descriptor>): Document {
  const where = descriptor.digest
  const object = fields(parseJson(bytes, where), where)
  const key = isIndex(descriptor.mediaType) ? 'manifests' : 'layers'
  let changed = false
  const change = (value: unknown): unknown => {
    const entry = fields(value, where)
    const { mediaType, digest } = entry
    const other = typeof digest === 'string' ? anew.get(digest) : undefined
    if (other) {
      changed = true
      return { ...entry, digest: other.digest, size: other.size }
    }
    if (isIndex(descriptor.mediaType) || typeof mediaType !== 'string' || !isForeignLayer(mediaType)) return entry
    changed = true
    const { urls: _urls, ...rest } = entry
    return { ...rest, mediaType: plainType(mediaType) }
  }
  if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) return { descriptor, bytes }
  const list = (isIndex(descriptor.mediaType) ? array(object, key, where) : optionalArray(object, key, where)).map(
    change,
  )
  if (!changed) return { descriptor, bytes }
  const written = Buffer.from(JSON.stringify({ ...object, [key]: list } satisfies JsonObject))
  const made = { ...descriptor, ...describe(descriptor.mediaType, written) }
  anew.set(descriptor.digest, made)
  return { descriptor: made, bytes: written }
}

/**
 * `…layer.nondistributable.v1.tar+gzip` and Docker's `…image.rootfs.foreign.diff.tar.gzip` without the foreign part.
 */
function plainType(mediaType: string): string {
  return mediaType.replace('.nondistributable.', '.').replace('.foreign.', '.')
}
