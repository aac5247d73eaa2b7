/** Packs the bundle that an images file describes, and writes or follows a lock that makes the result reproducible. */
import pMap from 'p-map'
import type { BundleImage } from '../bundle/manifest.js'
import { StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { formatReference, parseReference } from '../oci/reference.js'
import type { PlannedImage, TransferPlan } from '../transfer/planner.js'
import { pack, type PackResult } from '../verbs/pack.js'
import type { PackedImage, PackImage, PackOptions } from '../verbs/pack-requests.js'
import { formatLocation } from '../transport/location.js'
import type { Location } from '../transport/transport.js'
import { Faults, type Position } from './document.js'
import { type ImagesFile, isRepository, type ListKind, type WimEntry } from './entries.js'
import { readImagesFile } from './images-file.js'
import {
  expectFiles,
  expectWritable,
  type Lock,
  type LockedEntry,
  lockedEntries,
  type LockedImage,
  lockPathOf,
  readLock,
  writeLock,
} from './lock.js'
import { readSource } from '../transfer/read-source.js'
import {
  expectDistinct,
  hasIds,
  hasRef,
  idOf,
  mayMakeLayer,
  reachedAs,
  type ResolvedImage,
  type ResolvedImages,
  resolveFiles,
  resolveImages,
  TagCache,
} from './resolve.js'

export interface PackImagesFileOptions extends Omit<PackOptions, 'names'> {
  /** Images in addition to those of the file. They are not in the lock. */
  readonly images?: readonly (string | PackImage)[] | undefined
  /** Path of the lock; by default `images.lock` beside `images.yaml`. */
  readonly lock?: string | undefined
  /** Pack exactly what the lock records, instead of resolving tags and writing the lock. */
  readonly locked?: boolean | undefined
}

export interface PackImagesFileResult extends PackResult {
  /** Path of the lock that was written or followed; undefined for a list on standard input without `lock`. */
  readonly lock: string | undefined
  /** What the list was recognized as. */
  readonly list: ListKind
}

/** One image that would be packed. */
export interface PlannedListImage extends PlannedImage {
  /** Where the list asks for it; undefined if it was named beside the list. */
  readonly at?: Position
}

export interface ImagesFilePlan extends TransferPlan {
  readonly path: string
  /** What the list was recognized as. */
  readonly list: ListKind
  readonly images: readonly PlannedListImage[]
  /** Paths in the bundle. */
  readonly files: readonly {
    readonly path: string
    readonly from: string
    readonly size: number
    readonly digest: Digest
  }[]
}

/**
 * Packs what the images file `path` lists into the bundle `output`, and writes the lock when the bundle is complete.
 * With `locked`, the images are those of the lock, read by digest, and no tags are resolved. Throws IMAGES_FILE_INVALID
 * and IMAGE_NOT_FOUND with a line for each fault, LOCK_MISMATCH if file, lock and sources disagree, and what {@link
 * pack} throws.
 */
export async function packImagesFile(
  path: string,
  output: string,
  options: PackImagesFileOptions = {},
): Promise<PackImagesFileResult> {
  const { images: additional = [], lock: given, locked = false, ...packing } = options
  const lockPath = given ?? lockPathOf(path)
  const file = await readImagesFile(path)
  const lock = locked ? await readLock(lockPath) : undefined
  const writesLock = !lock && (path !== '-' || given !== undefined)
  if (writesLock) await expectWritable(lockPath)
  const entries = lock && lockedEntries(file, lock, lockPath)
  const resolved = entries ? await lockedImages(file, entries, lockPath, options) : await resolveImages(file, options)
  const requests = resolved.images.map(image => requestOf(image))
  const files = resolved.files.flatMap(({ from, path: to }) => (to === undefined ? [] : [{ from, path: to }]))
  const result = await pack([...requests, ...additional], output, {
    ...reachedAs(file, packing),
    ...(files.length > 0 ? { files } : {}),
    ...(entries
      ? {
          accept: packed =>
            expectPacked(file, entries, lockedEntries(file, lockOf(file, resolved, packed), lockPath), lockPath),
        }
      : {}),
  })
  if (writesLock) await writeLock(lockPath, lockOf(file, resolved, result.packed, result.manifest.images))
  return { ...result, lock: writesLock || lock ? lockPath : undefined, list: file.kind }
}

/** What {@link packImagesFile} would do; `output` may be left out. Reads manifests and configs only. */
export async function planImagesFile(
  path: string,
  output: string | undefined,
  options: PackImagesFileOptions = {},
): Promise<ImagesFilePlan> {
  const { images: additional = [], lock: lockPath = lockPathOf(path), locked = false, ...packing } = options
  const file = await readImagesFile(path)
  const resolved = locked
    ? await lockedImages(file, lockedEntries(file, await readLock(lockPath), lockPath), lockPath, options)
    : await resolveImages(file, options)
  const files = resolved.files.flatMap(({ path: to, ...found }) => (to === undefined ? [] : [{ ...found, to }]))
  const { planPack } = await import('../verbs/pack-plan.js')
  const plan = await planPack([...resolved.images.map(requestOf), ...additional], output, {
    ...reachedAs(file, packing),
    files: files.map(({ from, to }) => ({ from, path: to })),
  })
  return {
    path,
    list: file.kind,
    ...plan,
    images: plan.images.map(image => {
      const at = resolved.images[image.request ?? -1]?.entry.at
      return at ? { ...image, at } : image
    }),
    files: files.map(({ to, from, size, digest }) => ({ path: `files/${to}`, from, size, digest })),
  }
}

function requestOf({ entry, location, names }: ResolvedImage): PackImage {
  const own = names === undefined ? {} : { names }
  if (!('referrers' in entry)) return { image: location, ...own, layer: entry.layer }
  return {
    image: location,
    ...own,
    ...(entry.platforms ? { platforms: entry.platforms } : {}),
    ...(entry.referrers ? { referrers: true } : {}),
  }
}

async function rootsOf(place: Location, options: PackImagesFileOptions): Promise<readonly Digest[]> {
  try {
    return (await readSource(place, options, async source => await source.images(options))).map(
      ({ root }) => root.digest,
    )
  } catch (error) {
    if (error instanceof StowageError && error.code === 'IMAGE_NOT_FOUND') return []
    throw error
  }
}

const RELOCK_HINT = 'Restore what was locked, or pack without --locked to write a new lock.'

function positionOf({ path }: ImagesFile, { at }: ImagesFile['images'][number] | WimEntry): string {
  return `${path}:${at.line}:${at.column}`
}

/** The images of the lock. Throws IMAGE_NOT_FOUND if any no longer exists, LOCK_MISMATCH if any has changed. */
async function lockedImages(
  file: ImagesFile,
  entries: ReadonlyMap<object, LockedEntry>,
  lockPath: string,
  options: PackImagesFileOptions,
): Promise<ResolvedImages> {
  // `faults` for what no longer exists, `changed` for what exists but differs from the lock
  const [faults, changed] = [new Faults(file.path), new Faults(file.path)]
  await using registries = new TagCache(reachedAs(file, options))
  const context = { file, lockPath, options, registries, faults }
  const images = await pMap(
    file.images,
    async (entry): Promise<readonly ResolvedImage[]> => {
      const { location } = entry
      const locked = entries.get(entry)?.images ?? []
      if (hasIds(location)) {
        const id = await idOf(location, options)
        const lockedId = locked[0]?.id
        if (id !== lockedId)
          changed.add(entry.at, `${formatLocation(location)} is ${id} in the engine, but ${lockedId} in ${lockPath}`)
      }
      const found = await pMap(locked, async image => await lockedImage(entry, image, context), { concurrency: 6 })
      return found.flat()
    },
    { concurrency: 6 },
  )
  const { images: wims, files } = await resolveFiles(file, faults, options)
  faults.throwIfAny()
  expectFiles(file, entries, files, changed)
  const all = [
    ...images.flat(),
    ...wims.map(image => ({ ...image, names: entries.get(image.entry)?.images[0]?.names ?? image.names ?? [] })),
  ]
  expectDistinct(all, files, changed)
  try {
    changed.throwIfAny()
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    throw new StowageError('LOCK_MISMATCH', error.message, { hint: RELOCK_HINT })
  }
  return { images: all, files }
}

interface LockContext {
  readonly file: ImagesFile
  readonly lockPath: string
  readonly options: PackImagesFileOptions
  readonly registries: TagCache
  /** Gets a fault for an image that no longer exists. */
  readonly faults: Faults
}

/** One image of the lock; none, with a fault, if the registry no longer has it. Throws LOCK_MISMATCH. */
async function lockedImage(
  entry: ImagesFile['images'][number],
  image: LockedImage,
  { file, lockPath, options, registries, faults }: LockContext,
): Promise<readonly ResolvedImage[]> {
  const { location } = entry
  const gone = `, as recorded in ${lockPath}, which no longer exists`
  const resolved = {
    entry,
    written: image.location,
    names: image.names,
    ...(image.tag === undefined ? {} : { tag: image.tag }),
    digest: image.digest,
    mediaType: image.mediaType,
    ...(image.id === undefined ? {} : { id: image.id }),
  }
  if (!isRepository(location)) {
    const place = hasRef(location) ? { ...location, ref: image.digest } : location
    const exists = mayMakeLayer(location) || hasIds(location) || (await rootsOf(place, options)).includes(image.digest)
    if (!exists) faults.add(entry.at, `${image.location} was ${image.digest}${gone}`, { missing: true })
    return [{ ...resolved, location: formatLocation(place) }]
  }
  const { domain, path } = parseReference(location.path)
  const repository = `docker://${formatReference({ domain, path })}`
  if (image.location !== repository && ![':', '@'].some(mark => image.location.startsWith(`${repository}${mark}`))) {
    throw new StowageError(
      'LOCK_MISMATCH',
      `${positionOf(file, entry)}: ${lockPath} has ${image.location} for this entry, which is another repository`,
      { hint: RELOCK_HINT },
    )
  }
  const own = new Faults(file.path)
  const found = await registries.find({ domain, path, digest: image.digest }, entry, entry.at, own)
  if (found) return [{ ...resolved, location: `${repository}@${image.digest}` }]
  const name = image.location.slice('docker://'.length)
  faults.add(entry.at, `${name} was ${image.digest}${gone}`, { missing: true })
  return []
}

/** The lock for what was packed, with the sizes that `described` gives. */
function lockOf(
  file: ImagesFile,
  { images, files }: ResolvedImages,
  packed: readonly PackedImage[],
  described: readonly BundleImage[] = [],
): Lock {
  const sizes = new Map(described.map(({ root, original = root, size }) => [original.digest, size]))
  const of = (entry: ImagesFile['images'][number] | WimEntry | ImagesFile['files'][number]): LockedEntry => ({
    request: entry.request,
    images: images
      .filter(image => image.entry === entry)
      .flatMap(image =>
        packed
          .filter(each => each.image === image.location && sameNames(image.names, each.names))
          .map(({ root, names, platforms }) => ({
            location: image.written,
            ...(image.tag === undefined ? {} : { tag: image.tag }),
            names,
            digest: image.digest ?? root.digest,
            mediaType: image.mediaType ?? root.mediaType,
            platforms,
            size: sizes.get(root.digest) ?? 0,
            ...(image.id === undefined ? {} : { id: image.id }),
          })),
      ),
    files: files
      .filter(each => each.entry === entry)
      .map(({ from, path, size, digest }) => ({ path: path ?? from.split(/[\\/]/).at(-1) ?? from, size, digest })),
  })
  return { images: file.images.map(of), wims: file.wims.map(of), files: file.files.map(of) }
}

function sameNames(wanted: readonly string[] | undefined, found: readonly string[]): boolean {
  return (
    wanted === undefined ||
    wanted.length === 0 ||
    (wanted.length === found.length && wanted.every(name => found.includes(name)))
  )
}

/** Checks that layers made while packing (from a WIM or an engine's export) match the lock. Throws LOCK_MISMATCH. */
function expectPacked(
  file: ImagesFile,
  locked: ReadonlyMap<object, LockedEntry>,
  packed: ReadonlyMap<object, LockedEntry>,
  lockPath: string,
): void {
  const faults: string[] = []
  for (const entry of [...file.images, ...file.wims]) {
    const found = new Set(packed.get(entry)?.images.map(({ digest }) => digest))
    for (const { location, digest } of locked.get(entry)?.images ?? []) {
      if (!found.has(digest))
        faults.push(
          `${positionOf(file, entry)}: ${location} is ${digest} in ${lockPath}, but was packed as ${[...found].join(', ')}`,
        )
    }
  }
  if (faults.length === 0) return
  throw new StowageError('LOCK_MISMATCH', faults.join('\n'), {
    hint: 'The layer was made by another version of Stowage or another engine. Pack without --locked to write a new lock.',
  })
}
