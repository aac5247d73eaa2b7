/** Removes base OS images by their full names, as `Uninstall-ContainerOSImage -FullName` did. */
import { abortError, orError, StowageError } from '../errors.js'
import { formatFullName } from '../oci/image-identity.js'
import type { Removal, StoredImage } from '../image/image-store.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { expectUnused } from '../verbs/remove.js'
import { selectStored, shownName } from '../image/select.js'
import { patternOf } from './find.js'

export interface UninstallOptions extends StoreOptions {
  /** Remove an image even if stopped containers or other images use it. */
  readonly force?: boolean | undefined
  /** Only report what would be removed, after all checks. */
  readonly whatIf?: boolean | undefined
}

/** The result for one image; `error` is set if it was not removed. */
export interface UninstalledImage {
  /** As given by the caller. */
  readonly name: string
  /** `CN=Microsoft_NanoServer_10.0.14300.1010` */
  readonly fullName?: string
  readonly id?: string
  /** All its names, in full. */
  readonly names: readonly string[]
  /** Names and content in the order of removal; empty with `whatIf`. */
  readonly removed: readonly Removal[]
  readonly error?: StowageError
}

export interface UninstallResult {
  /** The location of the store. */
  readonly store: string
  readonly images: readonly UninstalledImage[]
}

/**
 * Removes base OS images with all their names. Each of `names` is a full name in any case, a pattern with `*` and `?`
 * that matches one full name, or any name or ID. If an image fails, its `error` is set and the next one is tried:
 * IMAGE_NOT_FOUND, IMAGE_IN_USE, INVALID_ARGUMENT for several matches or an image that is not a base OS image. Throws
 * as {@link openImageStore}, and ABORTED.
 */
export async function uninstallImages(
  names: readonly string[],
  options: UninstallOptions = {},
): Promise<UninstallResult> {
  const { force, whatIf = false, signal } = options
  if (names.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no base OS image to uninstall was named')
  try {
    await using store = await openImageStore(options)
    const images: UninstalledImage[] = []
    for (const name of names) {
      const done = await orError(async (): Promise<UninstalledImage> => {
        const stored = await store.images({ signal })
        const image = selectBaseImage(stored, name, store.location)
        await expectUnused(store, stored, image, { force, signal })
        const removed = whatIf ? [] : await store.remove(image, undefined, { force, signal })
        return {
          name,
          fullName: formatFullName(image),
          id: image.id,
          names: [...image.names, ...image.refNames],
          removed,
        }
      }, signal)
      images.push(done instanceof StowageError ? { name, names: [], removed: [], error: done } : done)
    }
    return { store: store.location, images }
  } catch (error) {
    throw abortError(error, signal)
  }
}

function selectBaseImage(stored: readonly StoredImage[], text: string, where: string): StoredImage {
  const bases = stored.filter(({ isOSImage }) => isOSImage)
  const pattern = patternOf(text)
  const exact = bases.filter(image => formatFullName(image).toLowerCase() === text.toLowerCase())
  const [found, ...others] = exact.length > 0 ? exact : bases.filter(image => pattern.test(formatFullName(image)))
  if (found && others.length > 0) {
    const names = [found, ...others].map(
      image => `${formatFullName(image)} (${image.id.replace(/^sha256:/, '').slice(0, 12)})`,
    )
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${names.length} base OS images in ${where} match ${text}: ${names.join(', ')}`,
      { hint: 'Name one, by its full name or its ID.' },
    )
  }
  return found ?? selectByReference(stored, bases, text, where)
}

function selectByReference(
  stored: readonly StoredImage[],
  bases: readonly StoredImage[],
  text: string,
  where: string,
): StoredImage {
  let image: StoredImage
  try {
    image = selectStored(stored, text, where).image
  } catch (error) {
    if (!(error instanceof StowageError) || error.code !== 'IMAGE_NOT_FOUND') throw error
    throw new StowageError('IMAGE_NOT_FOUND', `${where} has no base OS image ${JSON.stringify(text)}`, {
      hint:
        bases.length === 0
          ? 'It has no base OS images.'
          : `It has ${bases.slice(0, 10).map(formatFullName).join(', ')}.`,
      cause: error,
    })
  }
  if (image.isOSImage) return image
  throw new StowageError('INVALID_ARGUMENT', `${shownName(image)} is not a base OS image`, {
    hint: `Remove it with: stowage rmi ${shownName(image)}.`,
  })
}
