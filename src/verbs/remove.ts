/** Remove: removes names and images from a store. An image in use is kept, and the error names its users. */
import { abortError, orError, StowageError } from '../errors.js'
import type { ImageStore, ImageUser, Removal, RemoveOptions, StoredImage } from '../image/image-store.js'
import { lineageOf } from '../image/lineage.js'
import { defaultStore } from '../transport/default-store.js'
import { parseLocation, transportOf } from '../transport/location.js'
import { openImageStore, type StoreOptions } from '../transport/open.js'
import { selectStored, type StoredSelection, shownName } from '../image/select.js'

export interface RemoveImagesOptions extends StoreOptions {
  /**
   * Whether to remove an image that stopped containers or other images use, or that is given by ID and has several
   * names.
   */
  readonly force?: boolean | undefined
  /** Whether an engine also removes the nameless images that it is based on; defaults to true. */
  readonly prune?: boolean | undefined
}

/** The result for one name; `error` is set if it was not removed. */
export interface RemovedImage {
  /** The name as the caller gave it. */
  readonly name: string
  readonly id?: string
  /** What was removed, in order. */
  readonly removed: readonly Removal[]
  readonly error?: StowageError
}

export interface RemoveResult {
  /** The store, as a location. */
  readonly store: string
  readonly images: readonly RemovedImage[]
}

/**
 * Removes `names`, and an image together with its last name; an ID removes the image and its name. Tries every one, and
 * reports a failure in its `error`: IMAGE_NOT_FOUND, IMAGE_IN_USE, UNSUPPORTED for a bundle, ENGINE_REFUSED with the
 * engine's message. Throws what opening the store throws, INVALID_ARGUMENT, ABORTED.
 */
export async function removeImages(names: readonly string[], options: RemoveImagesOptions = {}): Promise<RemoveResult> {
  const { force, prune, signal } = options
  if (names.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no image was named to remove')
  try {
    await using store = await openImageStore(options)
    const images: RemovedImage[] = []
    for (const name of names) {
      const done = await orError(async (): Promise<RemovedImage> => {
        const held = await store.images({ signal })
        const selected = selectStored(held, name, store.location)
        return {
          name,
          id: selected.image.id,
          removed: await removeSelected(store, held, selected, { force, prune, signal }),
        }
      }, signal)
      images.push(done instanceof StowageError ? { name, removed: [], error: done } : done)
    }
    return { store: store.location, images }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** `held` is the list of all images in the store. Throws IMAGE_IN_USE. */
async function removeSelected(
  store: ImageStore,
  held: readonly StoredImage[],
  { image, names }: StoredSelection,
  { force = false, prune, signal }: RemoveOptions,
): Promise<readonly Removal[]> {
  const all = [...image.names, ...image.refNames]
  if (names?.length !== undefined && names.length < all.length)
    return await store.remove(image, names, { prune, signal })
  if (!names && all.length > 1 && !force) {
    throw new StowageError(
      'IMAGE_IN_USE',
      `${shownName({ ...image, names: [], refNames: [] })} has ${all.length} names: ${shownNames(image).join(', ')}`,
      {
        hint: 'Name those to remove, or remove all of them with --force.',
      },
    )
  }
  await expectUnused(store, held, image, { force, signal })
  return await store.remove(image, names, { force, prune, signal })
}

/**
 * Throws IMAGE_IN_USE naming everything in the way: the containers created from `image`, the images of `held` based on
 * it, and the containers created from those. `force` overrides all but running containers of `image` itself.
 */
export async function expectUnused(
  store: ImageStore,
  held: readonly StoredImage[],
  image: StoredImage,
  { force = false, signal }: Pick<RemoveOptions, 'force' | 'signal'>,
): Promise<void> {
  const users = await store.users(image, { signal })
  const running = users.filter(isRunning)
  if (force && running.length === 0) return
  const lineage = lineageOf(held)
  const dependents = force
    ? []
    : lineage
        .dependentsOf(held.find(({ id }) => id === image.id) ?? image)
        .toSorted((a, b) => lineage.chainOf(b).length - lineage.chainOf(a).length) // what can be removed first, first
  if (users.length === 0 && dependents.length === 0) return
  const above: ImageUser[] = []
  for (const each of dependents) above.push(...(await store.users(each, { signal })))

  const name = shownName(image)
  const facts: string[] = []
  if (users.length > 0)
    facts.push(`${name} is used by ${counted(users.length, 'container')}: ${users.map(shownUser).join(', ')}`)
  if (dependents.length > 0) {
    const based = `${counted(dependents.length, 'image')} ${dependents.length === 1 ? 'is' : 'are'} based on`
    facts.push(`${based} ${users.length > 0 ? 'it' : name}: ${dependents.map(shownName).join(', ')}`)
  }
  if (above.length > 0) {
    const those = dependents.length === 1 ? 'that image' : 'those images'
    facts.push(`${counted(above.length, 'container')} of ${those}: ${above.map(shownUser).join(', ')}`)
  }
  const [live, idle] = [[...users, ...above].filter(isRunning), [...users, ...above].filter(user => !isRunning(user))]
  const commands = [
    ...(live.length > 0 ? [`docker rm -f ${live.map(user => user.name).join(' ')}`] : []),
    ...(idle.length > 0 && !force ? [`docker rm ${idle.map(user => user.name).join(' ')}`] : []),
    ...(dependents.length > 0 ? [`stowage rmi ${dependents.flatMap(shownNames).join(' ')}${storeOption(store)}`] : []),
  ]
  const forced =
    running.length > 0 ? '' : `; or use --force${dependents.length > 0 ? ', which leaves images intact' : ''}`
  throw new StowageError('IMAGE_IN_USE', facts.join('; '), {
    hint: `Remove first: ${commands.join('; ')}${forced}.`,
  })
}

function isRunning({ state }: ImageUser): boolean {
  return ['running', 'paused', 'restarting', 'removing'].includes(state)
}

/** What selects the same store on the command line; the engine is the default. */
function storeOption({ location }: ImageStore): string {
  const { scheme, path } = parseLocation(location)
  if (!transportOf({ scheme, path }).onDisk) return ''
  return ` --store ${path === defaultStore() ? `${scheme}:` : location}`
}

/** Each name of an image, or else its ID. */
function shownNames(image: StoredImage): readonly string[] {
  const all = [...image.names, ...image.refNames]
  if (all.length === 0) return [shownName(image)]
  return all.map(name => shownName({ ...image, names: image.names.includes(name) ? [name] : [], refNames: [name] }))
}

function shownUser({ id, name, state }: ImageUser): string {
  return `${name} (${id.slice(0, 12)}, ${state})`
}

function counted(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
