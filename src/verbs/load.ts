/** Load: loads the images of a bundle into an engine, a registry, a layout, an archive or a WIM. */
import { type ImageContent, sizeOf } from '../blob/closure.js'
import { strippedAway } from '../blob/stripped.js'
import { type BundleImage, sourceImageOf } from '../bundle/manifest.js'
import { type BundleReader, entriesOf, openBundleReader } from '../bundle/reader.js'
import { abortError, orError, StowageError } from '../errors.js'
import { subjectOf } from '../image/referrers.js'
import { selectImage } from '../image/selection.js'
import type { Loss } from '../layer/to-wim/losses.js'
import type { Digest } from '../oci/digest.js'
import { blobPath } from '../oci/layout.js'
import { formatPlatform, matchesPlatform, parsePlatformSelector, type Platform } from '../oci/platform.js'
import { formatReference, parseReference } from '../oci/reference.js'
import { nameAt } from '../transfer/names.js'
import type { TransferOptions, WimMakingOptions } from '../transfer/options.js'
import { Transfer } from '../transfer/transfer.js'
import { formatLocation, parseLocation, transportOf } from '../transport/location.js'
import { expectDestination } from '../transport/open.js'
import type { DestinationTransport, Location } from '../transport/transport.js'

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
}

/** The result for one image; `error` is set if loading it failed. */
export interface LoadedImage {
  /** Full references. */
  readonly names: readonly string[]
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
}

/**
 * Loads the bundle `path`. Verifies its small files before anything is sent, and its layers while they stream; does not
 * start an image if a layer is missing or has the wrong size. Tries every image, and reports a failure in its `error`.
 * Throws what opening the bundle and the destination throw, IMAGE_NOT_FOUND if no image matches the selection, and
 * ABORTED.
 */
export async function loadBundle(path: string, options: LoadOptions = {}): Promise<LoadResult> {
  const { to = 'docker-daemon:', platforms = [], names = [], signal, onProgress } = options
  const location = parseLocation(to)
  const destination = expectLoadable(location, path)
  const selectors = platforms.map(text => ({ text, selector: parsePlatformSelector(text) }))
  try {
    onProgress?.({ type: 'stage', stage: 'verify', subject: path })
    const { onNotice } = options
    const beside = destination.disk?.(location)
    await using reader = await openBundleReader(path, { beside, signal, onNotice, onProgress })
    const chosen = chooseImages(reader, path, selectors, names)
    if (destination.naming === 'prefix') expectNames(location, chosen)
    // Without a selection, all images of the bundle are loaded, including the referrers
    const referrers = (options.referrers ?? false) && (names.length > 0 || platforms.length > 0)
    await using transfer = new Transfer({ location }, { ...options, referrers })
    await transfer.destination()
    const images: LoadedImage[] = []
    const missing = new Set<Digest>()
    for (const image of chosen) images.push(await load(image, reader, transfer, missing))
    if (images.some(({ id }) => id !== undefined)) await transfer.finish()
    return { path, to: formatLocation(location), images }
  } catch (error) {
    throw abortError(error, signal)
  }

  async function load(
    image: BundleImage,
    reader: BundleReader,
    transfer: Transfer,
    missing: Set<Digest>,
  ): Promise<LoadedImage> {
    const about = {
      names: image.names,
      platforms: image.platforms.map(({ platform }) => formatPlatform(platform)),
      size: image.size,
    }
    const loaded = await orError(async (): Promise<LoadedImage> => {
      const given = image.names.map(name => nameAt(location, parseReference(name)))
      const selected = await transfer.select(reader, sourceImageOf(image), {
        names: given,
        platforms: selectorsOf(image, selectors),
        subject: path,
      })
      for (const { content } of [selected, ...selected.referrers]) expectLayers(reader, content)
      const subject = subjectOf(selected.content, given)
      if (subject && missing.has(subject)) {
        missing.add(selected.content.root.digest)
        const leftOut = `it describes ${subject}, which is not there`
        return { ...about, id: undefined, sent: 0, skipped: 0, leftOut }
      }
      if (names.length === 0 && !destination.artifacts && selected.content.platforms.length === 0)
        return { ...about, id: undefined, sent: 0, skipped: 0, leftOut: 'not a container image' }
      const { names: _names, platforms: taken, ...written } = await transfer.write(selected)
      if (written.strippedFrom) for (const digest of strippedAway(selected.content)) missing.add(digest)
      const loaded = taken ?? selected.content.platforms.map(({ config }) => config.platform)
      return { ...about, platforms: loaded.map(formatPlatform), size: sizeOf(selected.content), ...written }
    }, signal)
    return loaded instanceof StowageError
      ? { ...about, id: undefined, sent: 0, skipped: 0, error: withHint(loaded) }
      : loaded
  }
}

/** A requested platform. */
interface Selector {
  readonly text: string
  readonly selector: Partial<Platform>
}

/** The `selectors` that match the image; not every image of a bundle has every platform. */
function selectorsOf({ platforms }: BundleImage, selectors: readonly Selector[]): readonly string[] {
  return selectors
    .filter(({ selector }) => platforms.some(({ platform }) => matchesPlatform(platform, selector)))
    .map(({ text }) => text)
}

const DAMAGED = 'Copy the bundle again; "stowage verify" names every file that is wrong.'

/** Throws INVALID_ARGUMENT for a location that cannot be written, and for a bundle, which `pack` writes. */
function expectLoadable(location: Location, path: string): DestinationTransport {
  if (transportOf(location).destination?.seals) {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `cannot load to ${formatLocation(location)}: it would be a bundle again`,
      {
        hint: `Pack it: stowage pack bundle:${path} -o ${location.path}.`,
      },
    )
  }
  return expectDestination(location, 'load to')
}

/**
 * In a registry, every image needs a name of its own under `location`. Throws INVALID_ARGUMENT if two images would get
 * the same name, or an image has none.
 */
function expectNames(location: Location, images: readonly BundleImage[]): void {
  const owners = new Map<string, string>()
  for (const { names, root } of images) {
    if (names.length === 0) {
      throw new StowageError('INVALID_ARGUMENT', `the image ${root.digest} has no name, but a registry requires one`, {
        hint: `Copy it by itself: stowage copy bundle:PATH:${root.digest} docker://NAME.`,
      })
    }
    for (const name of names) {
      const moved = formatReference(nameAt(location, parseReference(name)))
      const other = owners.get(moved)
      if (other !== undefined && other !== root.digest) {
        throw new StowageError('INVALID_ARGUMENT', `two images of the bundle would be ${moved}`, {
          hint: 'Load them one by one, each under its own prefix.',
        })
      }
      owners.set(moved, root.digest)
    }
  }
}

/** Adds the hint about a damaged bundle: wrong content always comes from the bundle, wherever it is detected. */
function withHint(error: StowageError): StowageError {
  if (error.hint !== undefined || (error.code !== 'DIGEST_MISMATCH' && error.code !== 'SIZE_MISMATCH')) return error
  return error.withHint(DAMAGED)
}

/** Throws BLOB_MISSING or SIZE_MISMATCH, before anything is sent, if a layer is missing or has the wrong size. */
function expectLayers({ files }: BundleReader, { layers }: ImageContent): void {
  for (const { digest, size } of layers) {
    const path = blobPath(digest)
    const file = files.get(path)
    const hint = DAMAGED
    if (file?.type !== 'file') throw new StowageError('BLOB_MISSING', `${path} is not in the bundle`, { hint })
    if (file.size !== size) {
      throw new StowageError('SIZE_MISMATCH', `expected ${size} bytes in ${path} but found ${file.size}`, { hint })
    }
  }
}

function chooseImages(
  { manifest }: BundleReader,
  path: string,
  selectors: readonly Selector[],
  names: readonly string[],
): readonly BundleImage[] {
  const { images } = manifest
  if (images.length === 0) {
    throw new StowageError('IMAGE_NOT_FOUND', `${path} holds no image`, {
      hint: 'It contains only files, below files/: copy them from there, or use tar -xf if the bundle is a tar.',
    })
  }
  const entries = entriesOf(manifest)
  const wanted = new Set(names.map(name => selectImage(entries, name, path).root.digest))
  const named = names.length === 0 ? images : images.filter(({ root, original = root }) => wanted.has(original.digest))
  const chosen = selectors.length === 0 ? named : named.filter(image => selectorsOf(image, selectors).length > 0)
  if (chosen.length === 0) {
    const there = [
      ...new Set(named.flatMap(({ platforms }) => platforms.map(({ platform }) => formatPlatform(platform)))),
    ]
    throw new StowageError('IMAGE_NOT_FOUND', `${path} has no image for the requested platforms`, {
      hint: `It has images for ${there.join(', ')}.`,
    })
  }
  return chosen
}
