/** Image manifests and indexes, read from their bytes. Source: OCI image-spec, manifest.md and image-index.md. */
import { StowageError } from '../errors.js'
import { type Descriptor, parseDescriptor } from './descriptor.js'
import { array, fields, type JsonObject, optionalArray, optionalString, parseJson } from './json.js'
import { isIndex, isManifest, OCI_INDEX, OCI_MANIFEST } from './media-type.js'

export interface ImageManifest {
  readonly type: 'manifest'
  readonly mediaType: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  /** The image that a signature, an SBOM or the like refers to. */
  readonly subject?: Descriptor
  readonly artifactType?: string
}

export interface ImageIndex {
  readonly type: 'index'
  readonly mediaType: string
  readonly manifests: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly artifactType?: string
}

/** The largest manifest or index we read, in bytes: the distribution-spec says 4 MiB, older tools write larger ones. */
export const MANIFEST_LIMIT = 16 * 1024 * 1024

/**
 * Reads a manifest or an index. `mediaType`, if given, is the type in its descriptor; the manifest must agree with it.
 * Throws INVALID_MANIFEST with the name of the field in `where`.
 */
export function parseManifest(bytes: Uint8Array, where: string, mediaType?: string): ImageManifest | ImageIndex {
  return manifestOf(fields(parseJson(bytes, where), where), where, mediaType)
}

/** {@link parseManifest} for JSON that is parsed already. */
export function manifestOf(object: JsonObject, where: string, mediaType?: string): ImageManifest | ImageIndex {
  const own = optionalString(object, 'mediaType', where)
  if (own !== undefined && mediaType !== undefined && own !== mediaType) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `${where}.mediaType: expected ${mediaType}, as its descriptor says, but found ${own}`,
    )
  }
  const type = own ?? mediaType ?? (object['manifests'] === undefined ? OCI_MANIFEST : OCI_INDEX)
  const about = {
    ...(object['subject'] ? { subject: parseDescriptor(object['subject'], `${where}.subject`) } : {}),
    ...(typeof object['artifactType'] === 'string' ? { artifactType: object['artifactType'] } : {}),
  }
  if (isIndex(type)) {
    const manifests = array(object, 'manifests', where).map((item, n) =>
      parseDescriptor(item, `${where}.manifests[${n}]`),
    )
    return { type: 'index', mediaType: type, manifests, ...about }
  }
  if (!isManifest(type)) {
    throw new StowageError('INVALID_MANIFEST', `${where}.mediaType: ${type} is neither an image manifest nor an index`)
  }
  return {
    type: 'manifest',
    mediaType: type,
    config: parseDescriptor(object['config'], `${where}.config`),
    layers: optionalArray(object, 'layers', where).map((item, n) => parseDescriptor(item, `${where}.layers[${n}]`)),
    ...about,
  }
}
