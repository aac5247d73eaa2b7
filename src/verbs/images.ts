/** The images of a place, as `docker images` lists them. */
import { abortError, StowageError } from '../errors.js'
import { familiarReference, parseReference } from '../oci/reference.js'
import type { StoredImage } from '../image/image-store.js'
import { compareTimes, lineageOf } from '../image/lineage.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { selectStored } from '../image/select.js'

export interface ListImagesOptions extends StoreOptions {
  /** Those too that an engine keeps for others, and artifacts. */
  readonly all?: boolean | undefined
  /** NAME or NAME:TAG, with `*`, `?` and `[…]` within one part of a path: names that fit one of them. */
  readonly references?: readonly string[] | undefined
  /** Only those without a name, or only those with one. */
  readonly dangling?: boolean | undefined
  /** `KEY` or `KEY=VALUE`, each of which an image must have. */
  readonly labels?: readonly string[] | undefined
  /** An image of the place: only those made before it. */
  readonly before?: string | undefined
  /** An image of the place: only those made after it. */
  readonly since?: string | undefined
}

export interface ListedImage extends StoredImage {
  /** The image that it is based on. */
  readonly base?: StoredImage
}

export interface ImageList {
  /** As a location is written. */
  readonly store: string
  /** The newest first. With `references`, each with the names that fit alone. */
  readonly images: readonly ListedImage[]
}

/**
 * Throws IMAGE_NOT_FOUND if `before` or `since` is not there, INVALID_ARGUMENT for a pattern that is none, and what opening the place
 * throws. An image that cannot be read is listed, with why.
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
      .flatMap(image => (patterns.length === 0 ? [image] : fitting(image, patterns)))
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

/** The image with those of its names that fit, where any does. */
function fitting(image: StoredImage, patterns: readonly RegExp[]): readonly StoredImage[] {
  const names = image.names.filter(name => {
    const { tag: _tag, digest: _digest, ...repository } = parseReference(name)
    return patterns.some(
      pattern => pattern.test(familiarReference(parseReference(name))) || pattern.test(familiarReference(repository)),
    )
  })
  const refNames = image.refNames.filter(name => patterns.some(pattern => pattern.test(name)))
  return names.length + refNames.length > 0 ? [{ ...image, names, refNames }] : []
}

/** As docker has it, Go's `path.Match`: no letter of a pattern stands for a slash. */
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
      hint: 'Write * and ? for any letters, [a-c] for some.',
      cause: error,
    })
  }
}
