/** The OCI image layout: its file names, and the image names in its index. Source: OCI image-spec, image-layout.md. */
import { StowageError } from '../errors.js'
import type { Descriptor } from './descriptor.js'
import { type Digest, hexOf, isDigest } from './digest.js'
import { fields, LIST_VALUE_LIMIT, parseJson, record, shown, string } from './json.js'
import { manifestOf } from './manifest.js'
import { isIndex } from './media-type.js'
import { formatReference, isReference, parseReference, type Reference } from './reference.js'

export const LAYOUT_FILE = 'oci-layout'
export const INDEX_FILE = 'index.json'
export const LAYOUT_BYTES: Uint8Array = new TextEncoder().encode('{"imageLayoutVersion":"1.0.0"}')

/** A full reference; read by containerd, Docker's containerd store, nerdctl and podman. */
export const IMAGE_NAME_ANNOTATION = 'io.containerd.image.name'
/** A tag or a full reference; read by skopeo, oras and every tool that follows the image-spec. */
export const REF_NAME_ANNOTATION = 'org.opencontainers.image.ref.name'

/** The annotations of an entry of a layout's index. */
interface Annotated {
  readonly annotations?: Descriptor['annotations'] | undefined
}

/**
 * Stowage's own: digests, separated by spaces, of manifests that an index names and the layout leaves out on purpose.
 */
const ABSENT_ANNOTATION = 'stowage.image.absent'

/**
 * Stowage's own: the sparse index an entry was derived from, which the layout also holds: digest, size in bytes, media
 * type.
 */
const ORIGINAL_ANNOTATION = 'stowage.image.original'

/** The digests that {@link withAbsent} recorded in an entry of a layout's index. */
export function absentOf({ annotations }: Annotated): readonly Digest[] {
  return (annotations?.[ABSENT_ANNOTATION] ?? '').split(' ').filter(isDigest)
}

/** `root` with `absent` recorded as the manifests left out of it, in place of any earlier record. */
export function withAbsent({ annotations = {}, ...root }: Descriptor, absent: readonly Descriptor[]): Descriptor {
  const { [ABSENT_ANNOTATION]: _before, ...others } = annotations
  const all =
    absent.length === 0 ? others : { ...others, [ABSENT_ANNOTATION]: absent.map(({ digest }) => digest).join(' ') }
  return Object.keys(all).length === 0 ? root : { ...root, annotations: all }
}

/** The index that {@link withOriginal} recorded in an entry of a layout's index. */
export function originalOf({ annotations }: Annotated): Descriptor | undefined {
  const [digest = '', size = '', mediaType = ''] = (annotations?.[ORIGINAL_ANNOTATION] ?? '').split(' ')
  return isDigest(digest) && /^[0-9]{1,15}$/.test(size) && isIndex(mediaType)
    ? { mediaType, digest, size: Number(size) }
    : undefined
}

/** `root` with `original` recorded: `root` is `original` without the manifests in `absent`. */
export function withOriginal(root: Descriptor, original: Descriptor, absent: readonly Descriptor[]): Descriptor {
  const { annotations, ...entry } = withAbsent(root, absent)
  const { digest, size, mediaType } = original
  return { ...entry, annotations: { ...annotations, [ORIGINAL_ANNOTATION]: `${digest} ${size} ${mediaType}` } }
}

/** Path of a blob inside a layout, with `/` on every platform: `blobs/sha256/<hex>`. */
export function blobPath(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`
}

/** The descriptors in a layout's `index.json`, one per image and name. Throws INVALID_MANIFEST. */
export function parseLayoutIndex(bytes: Uint8Array, where: string): readonly Descriptor[] {
  const object = fields(parseJson(bytes, where, LIST_VALUE_LIMIT), where)
  if (object['manifests'] === null) return [] // as Docker 25.0.0 to 25.0.2 wrote an empty list
  const index = manifestOf(object, where)
  if (index.type !== 'index') throw new StowageError('INVALID_MANIFEST', `${where} is an image manifest, not an index`)
  return index.manifests
}

/**
 * The image name in an entry of a layout's index: the full name if there is one, else `ref.name` if it is a reference.
 */
export function nameOf(descriptor: Annotated): Reference | undefined {
  const full = descriptor.annotations?.[IMAGE_NAME_ANNOTATION]
  if (full !== undefined && isReference(full)) return parseReference(full)
  const name = descriptor.annotations?.[REF_NAME_ANNOTATION]
  // A bare tag ("v1") also parses as a repository name; only text with a "/" or a ":" is a name
  return name !== undefined && /[/:]/.test(name) && isReference(name) ? parseReference(name) : undefined
}

/**
 * `root` as one entry of `index.json`, named so that every reader finds it: containerd by its full name, skopeo by
 * `refName` (the tag if no other image of the layout has it, otherwise the full name).
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

/** Checks the layout version, which every OCI reader requires. Throws INVALID_MANIFEST. */
export function checkLayout(bytes: Uint8Array): void {
  const version = string(record(parseJson(bytes, LAYOUT_FILE), LAYOUT_FILE), 'imageLayoutVersion', LAYOUT_FILE)
  if (version === '1.0.0') return
  throw new StowageError(
    'INVALID_MANIFEST',
    `${LAYOUT_FILE}: expected imageLayoutVersion 1.0.0 but found ${shown(version)}`,
  )
}
