/** The OCI image layout: file names, and the names its index gives to images. Source: OCI image-spec, image-layout.md. */
import { StowageError } from '../errors.js'
import type { Descriptor } from './descriptor.js'
import { type Digest, hexOf, isDigest } from './digest.js'
import { fields, parseJson } from './json.js'
import { parseManifest } from './manifest.js'
import { isIndex } from './media-type.js'
import { formatReference, isReference, parseReference, type Reference } from './reference.js'

export const LAYOUT_FILE = 'oci-layout'
export const INDEX_FILE = 'index.json'
export const LAYOUT_BYTES: Uint8Array = new TextEncoder().encode('{"imageLayoutVersion":"1.0.0"}')

/** Full reference; read by containerd, Docker's containerd store, nerdctl and podman. */
export const IMAGE_NAME_ANNOTATION = 'io.containerd.image.name'
/** Tag or full reference; read by skopeo, oras and everything that follows the image-spec. */
export const REF_NAME_ANNOTATION = 'org.opencontainers.image.ref.name'

/** What is said of an entry of a layout's index. */
interface Annotated {
  readonly annotations?: Descriptor['annotations'] | undefined
}

/** Ours: digests of the manifests that an index names and that the layout leaves out on purpose, with spaces between them. */
const ABSENT_ANNOTATION = 'stowage.image.absent'

/** Ours: the sparse index that an entry was made from and that the layout holds too: digest, size in bytes, media type. */
const ORIGINAL_ANNOTATION = 'stowage.image.original'

/** The digests that {@link withAbsent} wrote of an entry of a layout's index. */
export function absentOf({ annotations }: Annotated): readonly Digest[] {
  return (annotations?.[ABSENT_ANNOTATION] ?? '').split(' ').filter(isDigest)
}

/** `root` with what is left out of it, and nothing of what was said of that before. */
export function withAbsent({ annotations = {}, ...root }: Descriptor, absent: readonly Descriptor[]): Descriptor {
  const { [ABSENT_ANNOTATION]: _before, ...others } = annotations
  const all =
    absent.length === 0 ? others : { ...others, [ABSENT_ANNOTATION]: absent.map(({ digest }) => digest).join(' ') }
  return Object.keys(all).length === 0 ? root : { ...root, annotations: all }
}

/** The index that {@link withOriginal} wrote of an entry of a layout's index. */
export function originalOf({ annotations }: Annotated): Descriptor | undefined {
  const [digest = '', size = '', mediaType = ''] = (annotations?.[ORIGINAL_ANNOTATION] ?? '').split(' ')
  return isDigest(digest) && /^[0-9]{1,15}$/.test(size) && isIndex(mediaType)
    ? { mediaType, digest, size: Number(size) }
    : undefined
}

/** `root`, which is `original` without the manifests that are `absent`. */
export function withOriginal(root: Descriptor, original: Descriptor, absent: readonly Descriptor[]): Descriptor {
  const { annotations, ...entry } = withAbsent(root, absent)
  const { digest, size, mediaType } = original
  return { ...entry, annotations: { ...annotations, [ORIGINAL_ANNOTATION]: `${digest} ${size} ${mediaType}` } }
}

/** Path of a blob inside a layout, with `/` on every platform: `blobs/sha256/<hex>`. */
export function blobPath(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`
}

/** The descriptors of a layout's `index.json`, one for each image and name. Throws INVALID_MANIFEST. */
export function parseLayoutIndex(bytes: Uint8Array, where: string): readonly Descriptor[] {
  // Docker 25.0.0 to 25.0.2 wrote null for an empty list
  if (fields(parseJson(bytes, where), where)['manifests'] === null) return []
  const index = parseManifest(bytes, where)
  if (index.type !== 'index') throw new StowageError('INVALID_MANIFEST', `${where} is an image manifest, not an index`)
  return index.manifests
}

/** The name a layout's index gives to this image: the full one where it stands, else `ref.name` if that is a reference. */
export function nameOf(descriptor: Annotated): Reference | undefined {
  const full = descriptor.annotations?.[IMAGE_NAME_ANNOTATION]
  if (full !== undefined && isReference(full)) return parseReference(full)
  const name = descriptor.annotations?.[REF_NAME_ANNOTATION]
  // A bare tag ("v1") also parses as a repository name; only one with a path or a tag of its own is a name.
  return name !== undefined && /[/:]/.test(name) && isReference(name) ? parseReference(name) : undefined
}

/**
 * `root` as one entry of `index.json`, named so that every reader finds it: containerd by its full name, skopeo by
 * `refName` (the tag, where no other image of the layout has it; else the full name).
 */
export function namedDescriptor(root: Descriptor, name: Reference, refName: string): Descriptor {
  return {
    ...root,
    annotations: {
      ...root.annotations,
      [IMAGE_NAME_ANNOTATION]: formatReference(name),
      [REF_NAME_ANNOTATION]: refName,
    },
  }
}
