/** Load: loads the images of a bundle into an engine, a registry, a layout, an archive or a WIM. */
import type { LogHead } from '../custody/log-file.js'
import { type ImageContent, sizeOf } from '../blob/closure.js'
import { strippedAway } from '../blob/stripped.js'
import type { Finding } from '../bundle/graph.js'
import { type BundleImage, sourceImageOf } from '../bundle/manifest.js'
import { type AssumedImage, expectedImage } from '../bundle/delta.js'
import { type BundleReader, openBundleReader, type Passage } from '../bundle/reader.js'
import { abortError, orError, StowageError } from '../errors.js'
import type { UnnamedImage, WrittenImage } from '../image/image-destination.js'
import { subjectOf } from '../image/referrers.js'
import type { SignatureReport } from '../signature/check.js'
import type { Loss } from '../layer/to-wim/losses.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { formatPlatform, parsePlatformSelector } from '../oci/platform.js'
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import { nameAt } from '../transfer/names.js'
import type { TransferOptions, WimMakingOptions } from '../transfer/options.js'
import type { TransferPlan } from '../transfer/planner.js'
import { type SelectedImage, Transfer } from '../transfer/transfer.js'
import { destinationLocation, formatLocation } from '../transport/location.js'
import type { Location } from '../transport/transport.js'
import type { AskForVolume } from '../volumes/volume-stream.js'
import { chooseImages, expectLoadable, expectNames, selectorsOf } from './load-selection.js'

export interface LoadOptions extends TransferOptions, WimMakingOptions {
  /**
   * `docker-daemon:` (the default), `oci:DIR`, `oci:` for the default store, `docker://HOST[:PORT][/PREFIX]`, which
   * becomes the prefix of every image's name, `oci-archive:FILE`, `docker-archive:FILE`, or `wim:FILE[#NAME]`, which
   * takes one image.
   */
  readonly to?: string | undefined
  /**
   * Load only images that have one of these platforms, `os[/arch[/variant]][:os.version]`, and only those platforms of
   * them.
   */
  readonly platforms?: readonly string[] | undefined
  /** The images to load, as names, tags or digests; defaults to all. */
  readonly names?: readonly string[] | undefined
  /** Where volumes of the bundle may be, besides its path. */
  readonly more?: readonly string[] | undefined
  /**
   * Writes an inventory of what was loaded or found present to this file, if anything was: `pack --have` then leaves it
   * out of the next bundle, also for an engine that does not report its blobs.
   */
  readonly receipt?: string | undefined
  /** Writes the same to a new file in this directory, which must exist: `receipt-TIME-DIGEST.json`. */
  readonly receipts?: string | undefined
  /** How far logs went before, which the receipts then say. */
  readonly logHeads?: readonly LogHead[] | undefined
  /** Asks for a volume that is not there; without it, a set that is not complete is VOLUME_MISSING. */
  readonly askForVolume?: AskForVolume | undefined
}

/** The result for one image; `error` is set if loading it failed. */
export interface LoadedImage {
  /** Its names in the bundle: full references. */
  readonly names: readonly string[]
  /** Its names at the destination, if it was loaded: in a registry, what to pull it by. */
  readonly loadedAs?: readonly string[]
  /** The ID at the destination: an engine's image ID, a layout's root digest. */
  readonly id: string | undefined
  readonly platforms: readonly string[]
  /** The size of all its blobs, in bytes. */
  readonly size: number
  /** Bytes sent, and bytes skipped because the destination already had them. */
  readonly sent: number
  readonly skipped: number
  /** What a WIM cannot represent. */
  readonly lost?: readonly Loss[]
  /** As in {@link WrittenImage}, like the next one. */
  readonly strippedFrom?: Digest
  readonly undelivered?: readonly Digest[]
  /** Why it was not loaded: the destination holds only container images, or does not have what it describes. */
  readonly leftOut?: string
  readonly error?: StowageError
}

export interface LoadResult {
  readonly path: string
  /** The destination, as a location. */
  readonly to: string
  readonly images: readonly LoadedImage[]
  /** The images that a delta leaves out whole, because the destination has them: that was proved. */
  readonly present?: readonly AssumedImage[]
  /** Its signatures, and whether they are by those whom `trust` names; of a stream, nothing is known without `trust`. */
  readonly signatures: SignatureReport
  /** The SHA-256 of its bundle.json, if that was read. */
  readonly digest?: Digest | undefined
  /** What is wrong with files of the bundle that no image needs; `onNotice` was told. */
  readonly doubts: readonly Finding[]
}

/**
 * Loads the bundle `path`. Verifies its small files before anything is sent, and its layers while they stream; does not
 * start an image if a layer is missing or has the wrong size. A bundle that is a stream, or compressed, goes into an
 * engine or an archive while it is read, so that a missing layer is found at its end; its images get their names once
 * its small files have been verified. Tries every image, and reports a failure in its `error`. Throws what opening the
 * bundle and the destination throw, IMAGE_NOT_FOUND if no image matches the selection, BASE_MISSING if the destination does
 * not have what a delta leaves out, and ABORTED.
 */
export async function loadBundle(path: string, options: LoadOptions = {}): Promise<LoadResult> {
  return await withLoading(path, options, true, async loading => {
    await using transfer = new Transfer({ location: loading.location }, loading.options)
    const { keeper } = await transfer.destination()
    const { passage, signatures } = loading.reader
    const present = await provedImages(loading, transfer)
    const images = passage ? await loadPassing(loading, transfer, passage) : await loadAll(loading, transfer)
    if (images.some(({ id }) => id !== undefined)) await transfer.finish()
    const to = formatLocation(loading.location)
    if (options.receipt !== undefined || options.receipts !== undefined) {
      const { writeReceipts } = await import('./receipt.js')
      await writeReceipts(options, { to, ...loading, loaded: images, keeper })
    }
    const { digest, doubts } = loading.reader
    return { path, to, images, ...(present.length > 0 ? { present } : {}), signatures, digest, doubts }
  })
}

async function loadAll(loading: Loading, transfer: Transfer): Promise<readonly LoadedImage[]> {
  const images: LoadedImage[] = []
  const missing = new Set<Digest>()
  const selected = await expectAll(loading, transfer)
  for (const [n, image] of loading.images.entries())
    images.push(await load(image, loading, transfer, missing, selected?.[n]))
  return images
}

/**
 * All images, as far as they can be read, for a destination on disk, which there must be room for. Throws NO_SPACE.
 */
async function expectAll(
  loading: Loading,
  transfer: Transfer,
): Promise<readonly (SelectedImage | undefined)[] | undefined> {
  if (!(await transfer.destination()).expect) return undefined
  const selected: (SelectedImage | undefined)[] = []
  for (const image of loading.images) {
    const each = await orError(async () => await loading.select(image, transfer), loading.options.signal)
    selected.push(each instanceof StowageError ? undefined : each) // else it fails by itself
  }
  await transfer.expect(selected.flatMap(each => (each && !loading.leavesOut(each) ? [each] : [])))
  return selected
}

/** The images that a delta leaves out whole. Throws BASE_MISSING if the destination lacks one, or a layer left out. */
async function provedImages(loading: Loading, transfer: Transfer): Promise<readonly AssumedImage[]> {
  const { location, options, reader, images, present } = loading
  if (!reader.manifest.assumes) return []
  const selected: SelectedImage[] = []
  for (const image of images) {
    const each = await orError(async () => await loading.select(image, transfer), options.signal)
    if (!(each instanceof StowageError)) selected.push(each) // else it fails by itself
  }
  const expected = present.map(image => expectedImage(image, name => nameAt(location, name)))
  await transfer.proveBase(`the delta ${loading.path}`, selected, expected)
  return present
}

/** Writes the images of a stream as they come, and names them once the stream has ended and is found good. */
async function loadPassing(loading: Loading, transfer: Transfer, passage: Passage): Promise<readonly LoadedImage[]> {
  const { signal } = loading.options
  const waiting: { readonly image: BundleImage; readonly outcome: Held | LeftOut | StowageError }[] = []
  try {
    // Otherwise it is not known what else will be needed, so that all is kept
    if (!loading.options.referrers) passage.expect(loading.images)
    for (const image of loading.images) {
      const outcome = await orError(async () => await hold(image, loading, transfer, passage), signal)
      waiting.push({ image, outcome })
    }
    const manifest = await passage.complete()
    const images: LoadedImage[] = []
    for (const { image, outcome } of waiting) {
      // Only bundle.json has all names
      const final = manifest.images.find(({ root }) => root.digest === image.root.digest) ?? image
      const nothing = { ...aboutImage(final), id: undefined, sent: 0, skipped: 0 }
      const named = await orError(async (): Promise<LoadedImage> => {
        if (outcome instanceof StowageError) throw outcome
        if ('leftOut' in outcome) return { ...nothing, ...outcome }
        const { held, content } = outcome
        return loadedImage(final, content, await held.name(namesOf(final, loading.location)))
      }, signal)
      images.push(named instanceof StowageError ? { ...nothing, error: withHint(named) } : named)
    }
    return images
  } finally {
    for (const { outcome } of waiting) if ('held' in outcome) await outcome.held[Symbol.asyncDispose]()
  }
}

interface Held {
  readonly held: UnnamedImage
  readonly content: ImageContent
}

type LeftOut = Required<Pick<LoadedImage, 'leftOut'>>

async function hold(
  image: BundleImage,
  loading: Loading,
  transfer: Transfer,
  passage: Passage,
): Promise<Held | LeftOut> {
  const selected = await loading.select(image, transfer)
  const { content, referrers } = selected
  const images = [content, ...referrers.map(referrer => referrer.content)]
  passage.turnTo(
    image,
    images.flatMap(({ layers }) => layers),
  )
  if (loading.leavesOut(selected)) return { leftOut: NOT_AN_IMAGE }
  return { held: await transfer.hold(selected), content }
}

/** What {@link loadBundle} would do with the same arguments. An image that cannot be loaded has an `error`. */
export async function planLoad(path: string, options: LoadOptions = {}): Promise<TransferPlan> {
  return await withLoading(path, options, false, async loading => {
    const { Planner } = await import('../transfer/planner.js')
    await using planner = new Planner(loading.location, loading.options)
    await planner.open()
    await provedImages(loading, planner.transfer)
    for (const image of loading.images) {
      const failed = await orError(async () => {
        const selected = await loading.select(image, planner.transfer)
        if (!loading.leavesOut(selected)) await planner.addSelected(selected)
      }, options.signal)
      if (failed) planner.addFailed({ ...aboutImage(image), error: withHint(failed) })
    }
    return await planner.result()
  })
}

/** An open bundle and what is to be loaded from it. */
interface Loading {
  readonly location: Location
  readonly options: LoadOptions
  readonly reader: BundleReader
  readonly path: string
  readonly images: readonly BundleImage[]
  /** The images among the selected ones that a delta leaves out. */
  readonly present: readonly AssumedImage[]
  /** Reads the image, except its layers, and checks that these are there. */
  select(image: BundleImage, transfer: Transfer): Promise<SelectedImage>
  /** Whether the destination has no place for the image, which nobody asked for by name. */
  leavesOut(image: SelectedImage): boolean
}

async function withLoading<T>(
  path: string,
  options: LoadOptions,
  layers: boolean,
  work: (loading: Loading) => Promise<T>,
): Promise<T> {
  const {
    to = 'docker-daemon:',
    platforms = [],
    names = [],
    more,
    askForVolume,
    trust,
    signal,
    onNotice,
    onProgress,
  } = options
  const location = destinationLocation(to)
  const destination = expectLoadable(location, path)
  const selectors = platforms.map(text => ({ text, selector: parsePlatformSelector(text) }))
  try {
    onProgress?.({ type: 'stage', stage: 'verify', subject: path })
    const beside = destination.disk?.(location)
    const passing = layers && destination.holds
    await using reader = await openBundleReader(path, {
      layers,
      passing,
      beside,
      more,
      askForVolume,
      trust,
      signal,
      onNotice,
      onProgress,
    })
    const { images, present } = chooseImages(reader.manifest, path, selectors, names)
    if (destination.naming === 'prefix') expectNames(location, images)
    return await work({
      location,
      // Without a selection, all images of the bundle are loaded, including the referrers
      options: {
        ...options,
        referrers: (options.referrers ?? false) && (names.length > 0 || platforms.length > 0),
      },
      reader,
      path,
      images,
      present,
      async select(image, transfer) {
        const selected = await transfer.select(reader, sourceImageOf(image), {
          names: namesOf(image, location),
          platforms: selectorsOf(image, selectors),
          subject: path,
        })
        // What is missing in a stream is known only at its end
        if (!reader.passage) for (const { content } of [selected, ...selected.referrers]) expectLayers(reader, content)
        return selected
      },
      leavesOut: ({ content }) => names.length === 0 && !destination.artifacts && content.platforms.length === 0,
    })
  } catch (error) {
    throw abortError(error, signal)
  }
}

function aboutImage({ names, platforms, size }: BundleImage): Pick<LoadedImage, 'names' | 'platforms' | 'size'> {
  return { names, platforms: platforms.map(({ platform }) => formatPlatform(platform)), size }
}

/** Loads one image. `missing` has the manifests that are not at the destination, and gets those that this one leaves. */
async function load(
  image: BundleImage,
  loading: Loading,
  transfer: Transfer,
  missing: Set<Digest>,
  known: SelectedImage | undefined,
): Promise<LoadedImage> {
  const nothing = { ...aboutImage(image), id: undefined, sent: 0, skipped: 0 }
  const loaded = await orError(async (): Promise<LoadedImage> => {
    const selected = known ?? (await loading.select(image, transfer))
    const { content } = selected
    const subject = subjectOf(content, selected.names)
    if (subject && missing.has(subject)) {
      missing.add(content.root.digest)
      return { ...nothing, leftOut: `it describes ${subject}, which is not there` }
    }
    if (loading.leavesOut(selected)) return { ...nothing, leftOut: NOT_AN_IMAGE }
    const written = await transfer.write(selected)
    if (written.strippedFrom) for (const digest of strippedAway(content)) missing.add(digest)
    return loadedImage(image, content, written)
  }, loading.options.signal)
  return loaded instanceof StowageError ? { ...nothing, error: withHint(loaded) } : loaded
}

const NOT_AN_IMAGE = 'not a container image'

function loadedImage(
  { names }: BundleImage,
  content: ImageContent,
  { names: given, platforms: taken, ...written }: WrittenImage,
): LoadedImage {
  const platforms = (taken ?? content.platforms.map(({ config }) => config.platform)).map(formatPlatform)
  return { names, loadedAs: given.map(formatReference), platforms, size: sizeOf(content), ...written }
}

/** The names of the image at the destination. */
function namesOf({ names }: BundleImage, location: Location): readonly Reference[] {
  return names.map(name => nameAt(location, parseReference(name)))
}

const DAMAGED = 'Copy the bundle again; "stowage verify" names every file that is wrong.'

/** Adds the hint about a damaged bundle: wrong content always comes from the bundle, wherever it is detected. */
function withHint(error: StowageError): StowageError {
  if (error.hint !== undefined || (error.code !== 'DIGEST_MISMATCH' && error.code !== 'SIZE_MISMATCH')) return error
  return error.withHint(DAMAGED)
}

/** Throws BLOB_MISSING or SIZE_MISMATCH, before anything is sent, if a layer is missing or has the wrong size. */
function expectLayers({ files, leftOut }: BundleReader, { layers }: ImageContent): void {
  for (const { digest, size } of layers) {
    const path = blobPath(digest)
    const file = files.get(path)
    if (!file && leftOut?.has(digest)) continue
    const hint = DAMAGED
    if (file?.type !== 'file') throw new StowageError('BLOB_MISSING', `${path} is not in the bundle`, { hint })
    if (file.size !== size) {
      throw new StowageError('SIZE_MISMATCH', `expected ${size} bytes in ${path} but found ${file.size}`, { hint })
    }
  }
}
