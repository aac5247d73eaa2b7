/** Load: the images of a bundle into an engine, or to a place on disk. */
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
   * `docker-daemon:` (the default), `oci:DIR`, `oci:` for the default store, `docker://HOST[:PORT][/PREFIX]`, where every image
   * gets its name behind that, `oci-archive:FILE`, `docker-archive:FILE`, or `wim:FILE[#NAME]`, which takes one image.
   */
  readonly to?: string | undefined
  /** Only images that have one of these, `os[/arch[/variant]][:os.version]`, and of those only these platforms. */
  readonly platforms?: readonly string[] | undefined
  /** Only these images: names, tags or digests. All without it. */
  readonly names?: readonly string[] | undefined
}

/** What became of one image; `error` stands where it was not loaded. */
export interface LoadedImage {
  /** Full references. */
  readonly names: readonly string[]
  /** How the destination calls it: an engine's image ID, a layout's root digest. */
  readonly id: string | undefined
  readonly platforms: readonly string[]
  /** Of all its blobs, in bytes. */
  readonly size: number
  /** Bytes sent, and bytes left out because the destination had them. */
  readonly sent: number
  readonly skipped: number
  /** What a WIM has no place for. */
  readonly lost?: readonly Loss[]
  /** As {@link WrittenImage} has them. */
  readonly strippedFrom?: Digest
  readonly undelivered?: readonly Digest[]
  /** Why it was not tried, where it was not: it is not a container image, and the destination holds nothing else. */
  readonly leftOut?: string
  readonly error?: StowageError
}

export interface LoadResult {
  readonly path: string
  /** Where the images went, as a location. */
  readonly to: string
  readonly images: readonly LoadedImage[]
}

/**
 * Loads the bundle `path`. Its small files are checked before anything is sent, its layers while they stream; an image with
 * a file missing or too short is not begun. Every image is tried: what failed is in its `error`.
 * Throws for the whole what opening the bundle and the destination throw, IMAGE_NOT_FOUND for a choice that fits no image,
 * and ABORTED.
 */
export async function loadBundle(path: string, options: LoadOptions = {}): Promise<LoadResult> {
  const { to = 'docker-daemon:', platforms = [], names = [], signal, onProgress } = options
  const location = parseLocation(to)
  const destination = expectLoadable(location, path)
  const selectors = platforms.map(parsePlatformSelector)
  try {
    onProgress?.({ type: 'stage', stage: 'verify', subject: path })
    await using reader = await openBundleReader(path, { signal })
    const chosen = chooseImages(reader, path, selectors, names)
    if (destination.naming === 'prefix') expectNames(location, chosen)
    // Every image of the bundle is chosen already, and what refers to one is an image of its own there
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
        platforms: selectorsOf(image, platforms),
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

/** Those of `platforms` that the image has: not every image of a bundle need have all. */
function selectorsOf(image: BundleImage, platforms: readonly string[]): readonly string[] {
  return platforms.filter(text => {
    const selector = parsePlatformSelector(text)
    return image.platforms.some(({ platform }) => matchesPlatform(platform, selector))
  })
}

const DAMAGED = 'Copy the bundle again; "stowage verify" names every file that is wrong.'

/** Throws INVALID_ARGUMENT for a location that takes no images, and for a bundle, which is packed. */
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
 * In a registry every image needs a name of its own behind `location`. Throws INVALID_ARGUMENT if two images would get one name,
 * or one has none.
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

/** What is wrong with the content is wrong with the bundle, wherever on the way it was found. */
function withHint(error: StowageError): StowageError {
  if (error.hint !== undefined || (error.code !== 'DIGEST_MISMATCH' && error.code !== 'SIZE_MISMATCH')) return error
  return error.withHint(DAMAGED)
}

/** Nothing of an image is sent when a layer is known to be missing or of the wrong size. */
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
  selectors: readonly Partial<Platform>[],
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
  const fits = ({ platforms }: BundleImage) =>
    platforms.some(({ platform }) => selectors.some(selector => matchesPlatform(platform, selector)))
  const chosen = selectors.length === 0 ? named : named.filter(fits)
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
