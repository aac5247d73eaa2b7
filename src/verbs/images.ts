/** Images: lists the images of a store, like `docker images`. */
import { abortError, StowageError } from '../errors.js'
import { familiarReference, parseReference } from '../oci/reference.js'
import type { StoredImage } from '../image/image-store.js'
import { compareTimes, lineageOf } from '../image/lineage.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { selectStored } from '../image/select.js'

export interface ListImagesOptions extends StoreOptions {
  /** Whether to include an engine's intermediate images, and artifacts. */
  readonly all?: boolean | undefined
  /** Patterns for names, NAME or NAME:TAG; `*`, `?` and `[…]` do not match a slash. A name must match one of them. */
  readonly references?: readonly string[] | undefined
  /** true: only images without a name; false: only images with one. */
  readonly dangling?: boolean | undefined
  /** `KEY` or `KEY=VALUE`; an image must have all of them. */
  readonly labels?: readonly string[] | undefined
  /** An image of the store: list only images created before it. */
  readonly before?: string | undefined
  /** An image of the store: list only images created after it. */
  readonly since?: string | undefined
}

export interface ListedImage extends StoredImage {
  /** The image it is based on. */
  readonly base?: StoredImage
}

export interface ImageList {
  /** The store, as a location. */
  readonly store: string
  /** Newest first. With `references`, each image has only the names that match. */
  readonly images: readonly ListedImage[]
}

/**
 * Throws IMAGE_NOT_FOUND if the image `before` or `since` does not exist, INVALID_ARGUMENT for an invalid pattern, and
 * what opening the store throws. An image that cannot be read is listed with the reason.
 */
export async function listImages(options: ListImagesOptions = {}): Promise<ImageList> {
  const { all = false, references = [], dangling, labels = [], before, since, signal } = options
  const patterns = references.map(patternOf)
  try {
    await using store = await openImageStore(options)
    const images = await store.images({ signal })
    const [end, start] = [before, since].map(text =>
      text === undefined ? undefined : selectStored(images, text, store.location).image,
    )
    const lineage = lineageOf(images)
    const listed = images
      .filter(({ type }) => all || type === 'image')
      .filter(image => dangling === undefined || (image.names.length + image.refNames.length === 0) === dangling)
      .filter(({ platforms }) => labels.every(label => platforms.some(platform => hasLabel(platform.labels, label))))
      .filter(image => (!end || isBefore(image, end)) && (!start || isBefore(start, image)))
      .flatMap(image => (patterns.length === 0 ? [image] : withMatchingNames(image, patterns)))
      .map((image): ListedImage => {
        const base = lineage.baseOf(images.find(({ id }) => id === image.id) ?? image)
        return { ...image, ...(base ? { base } : {}) }
      })
    return { store: store.location, images: listed.sort(newestFirst) }
  } catch (error) {
    throw abortError(error, signal)
  }
}

function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const equals = wanted.indexOf('=')
  if (equals < 0) return Object.hasOwn(labels, wanted)
  const key = wanted.slice(0, equals)
  return Object.hasOwn(labels, key) && labels[key] === wanted.slice(equals + 1)
}

function isBefore(a: StoredImage, b: StoredImage): boolean {
  return a.created !== undefined && b.created !== undefined && compareTimes(a.created, b.created) < 0
}

function newestFirst(a: StoredImage, b: StoredImage): number {
  if (a.created === undefined || b.created === undefined)
    return Number(a.created === undefined) - Number(b.created === undefined)
  const [one = a.id, other = b.id] = [a.names[0], b.names[0]]
  return compareTimes(b.created, a.created) || (one < other ? -1 : one > other ? 1 : 0)
}

/** The image with only the names that match; empty if none does. */
function withMatchingNames(image: StoredImage, patterns: readonly RegExp[]): readonly StoredImage[] {
  const names = image.names.filter(name => {
    const { tag: _tag, digest: _digest, ...repository } = parseReference(name)
    return patterns.some(
      pattern => pattern.test(familiarReference(parseReference(name))) || pattern.test(familiarReference(repository)),
    )
  })
  const refNames = image.refNames.filter(name => patterns.some(pattern => pattern.test(name)))
  return names.length + refNames.length > 0 ? [{ ...image, names, refNames }] : []
}

/** A pattern of Go's `path.Match`, as in docker: wildcards do not match a slash. Throws INVALID_ARGUMENT. */
function patternOf(text: string): RegExp {
  const familiar = text.replace(/^docker\.io\/(library\/)?/, '')
  const body = familiar.replace(/\\[\s\S]|\[\^?[^\]]+\]|[\s\S]/g, part => {
    if (part === '*') return '[^/]*'
    if (part === '?') return '[^/]'
    if (part.startsWith('[') && part.length > 2) return part.replace(/\\(?=.$)/, '\\\\')
    const letter = part.length === 2 ? part.slice(1) : part
    return letter.replace(/[\\^$.|+(){}[\]*?/]/g, '\\$&')
  })
  try {
    return new RegExp(`^${body}$`, 's')
  } catch (error) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(text)} is not a pattern of names`, {
      hint: 'Use * for any characters, ? for one character, and [a-c] for a range.',
      cause: error,
    })
  }
}
