/** Descriptors: media type, digest and size of a blob. Source: OCI image-spec, descriptor.md. */
import { type Digest, digestOf, parseDigest } from './digest.js'
import { fields, type JsonObject, size, string, stringMap } from './json.js'
import { parsePlatform, type Platform } from './platform.js'

export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** In bytes. */
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
  readonly platform?: Platform
  readonly artifactType?: string
  readonly urls?: readonly string[]
}

/** Throws INVALID_MANIFEST with the name of the field. Unknown fields are left out. */
export function parseDescriptor(value: unknown, where: string): Descriptor {
  const object = fields(value, where)
  const annotations = stringMap(object, 'annotations', where)
  return {
    mediaType: string(object, 'mediaType', where),
    digest: parseDigest(object['digest'], `${where}.digest`),
    size: size(object, 'size', where),
    ...(annotations ? { annotations } : {}),
    ...(object['platform'] ? { platform: parsePlatform(object['platform'], `${where}.platform`) } : {}),
    ...(typeof object['artifactType'] === 'string' ? { artifactType: object['artifactType'] } : {}),
    ...parseUrls(object),
  }
}

/** Each blob once, in order of first appearance. */
export function eachOnce<T extends { readonly digest: Digest }>(blobs: readonly T[]): readonly T[] {
  return [...new Map(blobs.map(blob => [blob.digest, blob])).values()]
}

export function describe(mediaType: string, bytes: Uint8Array): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}

function parseUrls(object: JsonObject): { urls?: readonly string[] } {
  const urls = object['urls']
  return Array.isArray(urls) && urls.every(url => typeof url === 'string') ? { urls } : {}
}
