/** Finds an image among those of a source by tag, name or digest. */
import { StowageError } from '../errors.js'
import type { Descriptor } from '../oci/descriptor.js'
import { type Digest, isDigest } from '../oci/digest.js'
import { absentOf, nameOf, originalOf, REF_NAME_ANNOTATION } from '../oci/layout.js'
import {
  familiarReference,
  formatReference,
  isReference,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../oci/reference.js'
import { parseReferrerTag } from '../oci/referrer-tag.js'
import type { SourceImage } from './image-source.js'

/** One entry of an index: an image with one name or none. */
export interface NamedEntry {
  readonly root: Descriptor
  readonly name: Reference | undefined
  /** Its `org.opencontainers.image.ref.name` in the layout's index. */
  readonly refName?: string | undefined
  /** As in {@link SourceImage}. */
  readonly absent?: readonly Digest[] | undefined
  /** Its digest in the layout's index; differs from that of `root` if the index lists what replaces a sparse index. */
  readonly listed?: Digest | undefined
}

/**
 * The one image that `ref` selects, with the names that match: by its digest (all names), its exact `ref.name`, its
 * full or familiar name, or a tag that only one image has. Throws IMAGE_NOT_FOUND, listing the images in `where`, also
 * if several images match.
 */
export function selectImage(entries: readonly NamedEntry[], ref: string, where: string): SourceImage {
  const full = isReference(ref) ? formatReference(withDefaultTag(parseReference(ref))) : undefined
  const rules: readonly ((entry: NamedEntry) => boolean)[] = [
    ({ root, listed }) => isDigest(ref) && (root.digest === ref || listed === ref),
    ({ refName }) => refName === ref,
    ({ name }) => name !== undefined && formatReference(name) === full,
    ({ name }) => name?.tag === ref,
  ]
  for (const rule of rules) {
    const [first, ...others] = groupByRoot(entries.filter(rule))
    if (first && others.length === 0) return first
    if (first) {
      throw notFound(`${others.length + 1} images in ${where} match ${JSON.stringify(ref)}`, entries.filter(rule))
    }
  }
  throw notFound(`${where} has no image ${JSON.stringify(ref)}`, entries)
}

/** The only image. Throws IMAGE_NOT_FOUND if there is none, or if there are several, which it lists. */
export function onlyImage(entries: readonly NamedEntry[], where: string): SourceImage {
  const images = groupByRoot(entries.filter(({ name, refName = name?.tag ?? '' }) => !parseReferrerTag(refName)))
  const [first, ...others] = images.length > 0 ? images : groupByRoot(entries)
  if (!first) throw new StowageError('IMAGE_NOT_FOUND', `${where} holds no image`)
  if (others.length > 0) throw notFound(`${where} holds ${others.length + 1} images, and none was named`, entries)
  return first
}

/**
 * Turns a descriptor of a layout's index into an entry. Its annotations give the names and are not part of the root. If
 * the index lists what replaces a sparse index, the sparse index is the root.
 */
export function namedEntry({ annotations, platform: _platform, ...listed }: Descriptor): NamedEntry {
  return {
    root: originalOf({ annotations }) ?? listed,
    name: nameOf({ annotations }),
    refName: annotations?.[REF_NAME_ANNOTATION],
    absent: absentOf({ annotations }),
    listed: listed.digest,
  }
}

/** Each image once, with all its names, in order. */
export function groupByRoot(entries: readonly NamedEntry[]): readonly SourceImage[] {
  const images = new Map<string, SourceImage & { readonly names: Reference[] }>()
  for (const { root, name, absent } of entries) {
    const image = images.get(root.digest) ?? { root, names: [], absent }
    if (name) image.names.push(name)
    images.set(root.digest, image)
  }
  return [...images.values()]
}

const SHOWN = 10

function notFound(message: string, entries: readonly NamedEntry[]): StowageError {
  const names = [
    ...new Set(entries.map(({ root, name, refName }) => (name ? familiarReference(name) : (refName ?? root.digest)))),
  ]
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''
  const hint = names.length === 0 ? undefined : `Name one of these: ${names.slice(0, SHOWN).join(', ')}${more}.`
  return new StowageError('IMAGE_NOT_FOUND', message, { hint })
}
