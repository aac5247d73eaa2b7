/** Finds an image of a store by name, by ID or by a prefix of its ID. */
import { StowageError } from '../errors.js'
import { isDigest } from '../oci/digest.js'
import { familiarReference, formatReference, isReference, parseReference, withDefaultTag } from '../oci/reference.js'
import type { StoredImage } from './image-store.js'

export interface StoredSelection {
  readonly image: StoredImage
  /** The selected names; undefined if the image was selected by its ID, which selects all names. */
  readonly names: readonly string[] | undefined
}

const SHOWN = 10

/**
 * The image in `images` that `text` selects by docker's rules: an ID, a name (`latest` if it has no tag), a name with
 * its digest, a name in a layout's index, or the first digits of an ID. Throws IMAGE_NOT_FOUND, or INVALID_ARGUMENT if
 * several IDs begin with these digits.
 */
export function selectStored(images: readonly StoredImage[], text: string, where: string): StoredSelection {
  const whole = /^[0-9a-f]{64}$/.test(text) ? `sha256:${text}` : text
  const exact = images.find(
    ({ id, digests }) => id === whole || (isDigest(whole) && digests.some(digest => digest.endsWith(`@${whole}`))),
  )
  if (exact) return { image: exact, names: undefined }
  return byName(images, text) ?? byStart(images, text, where) ?? notFound(images, text, where)
}

/** The name to show: its first name, or otherwise the short ID that docker shows. */
export function shownName({
  id,
  names: [name],
  refNames: [refName],
}: Pick<StoredImage, 'id' | 'names' | 'refNames'>): string {
  return name !== undefined
    ? familiarReference(parseReference(name))
    : (refName ?? id.replace(/^sha256:/, '').slice(0, 12))
}

function byName(images: readonly StoredImage[], text: string): StoredSelection | undefined {
  const called = images.find(({ refNames }) => refNames.includes(text))
  if (called) return { image: called, names: [text] }
  if (!isReference(text)) return undefined
  const { domain, path, tag, digest } = withDefaultTag(parseReference(text))
  if (digest === undefined) {
    const full = formatReference({ domain, path, ...(tag === undefined ? {} : { tag }) })
    const image = images.find(({ names }) => names.includes(full))
    return image && { image, names: [full] }
  }
  const image = images.find(({ digests }) => digests.includes(formatReference({ domain, path, digest })))
  const names = image?.names.filter(
    name => isOf(name, domain, path) && (tag === undefined || name === formatReference({ domain, path, tag })),
  )
  return image && names && (names.length > 0 || tag === undefined)
    ? { image, names: names.length > 0 ? names : undefined }
    : undefined
}

function isOf(name: string, domain: string, path: string): boolean {
  const reference = parseReference(name)
  return reference.domain === domain && reference.path === path
}

function byStart(images: readonly StoredImage[], text: string, where: string): StoredSelection | undefined {
  if (!/^(sha256:)?[0-9a-f]{1,64}$/.test(text)) return undefined
  const start = text.startsWith('sha256:') ? text : `sha256:${text}`
  const [image, ...others] = images.filter(({ id }) => id.startsWith(start))
  if (image && others.length > 0) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `the IDs of ${others.length + 1} images in ${where} begin with ${text}`,
      { hint: 'Write more of its digits.' },
    )
  }
  return image && { image, names: undefined }
}

function notFound(images: readonly StoredImage[], text: string, where: string): never {
  const names = images.filter(({ type }) => type === 'image').map(shownName)
  const more = names.length > SHOWN ? `, and ${names.length - SHOWN} more` : ''
  throw new StowageError('IMAGE_NOT_FOUND', `${where} has no image ${JSON.stringify(text)}`, {
    hint: names.length === 0 ? 'It has no images.' : `It has ${names.slice(0, SHOWN).join(', ')}${more}.`,
  })
}
