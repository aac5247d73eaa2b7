/** Load: the images of a bundle into an engine, or to a place on disk. */
import { type ImageContent, readImage } from '../blob/closure.js'
import { type BundleReader, openBundleReader } from '../bundle/reader.js'
import type { BundleImage } from '../bundle/manifest.js'
import { copyContent } from './copy.js'
import type { ImageDestination, WriteOptions } from '../image/image-destination.js'
import { abortError, orError, StowageError } from '../errors.js'
import type { Loss } from '../layer/to-wim/losses.js'
import { blobPath } from '../oci/layout.js'
import { formatPlatform, matchesPlatform, parsePlatformSelector, type Platform } from '../oci/platform.js'
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import { openDestination } from '../transport/open.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { formatLocation, parseLocation } from '../transport/location.js'
import { selectImage } from '../image/selection.js'

export interface LoadOptions extends WaitOptions {
  /**
   * `docker-daemon:` (the default), `oci:DIR`, `oci:` for the default store, `docker://HOST[:PORT][/PREFIX]`, where every image
   * gets its name behind that, `oci-archive:FILE`, `docker-archive:FILE`, or `wim:FILE[#NAME]`, which takes one image.
   */
  readonly to?: string | undefined
  /** Registries (`host[:port]`) to speak plain http with; loopback ones need not be named. */
  readonly insecure?: readonly string[] | undefined
  /** Blobs under way at a time. */
  readonly jobs?: number | undefined
  /** Engine address; without it the engine that `docker` would speak to. */
  readonly host?: string | undefined
  /** Only images that have one of these, `os[/arch[/variant]][:os.version]`. */
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
  /** Why it was not tried, where it was not: it is no container image, and the destination holds nothing else. */
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
  const { to = 'docker-daemon:', host, platforms = [], names = [], signal, onProgress } = options
  const location = parseLocation(to)
  if (location.type === 'bundle') {
    throw new StowageError(
      'INVALID_ARGUMENT',
      `${formatLocation(location)} is no place to load images to: it would be a bundle again`,
      {
        hint: `Pack it: stowage pack bundle:${path} -o ${location.path}.`,
      },
    )
  }
  const selectors = platforms.map(parsePlatformSelector)
  try {
    onProgress?.({ type: 'stage', stage: 'verify', subject: path })
    await using reader = await openBundleReader(path, { signal })
    const chosen = chooseImages(reader, path, selectors, names)
    const rename = location.type === 'docker' ? namesIn(location.name, chosen) : parseReference
    await using registries = new Registries({ insecure: options.insecure })
    await using destination = await openDestination(location, { host, registries, signal, onProgress })
    const images: LoadedImage[] = []
    const only = names.length === 0 && HOLDS_IMAGES_ONLY.includes(location.type)
    for (const image of chosen) {
      images.push(
        await load(reader, image, destination, { rename, imagesOnly: only, jobs: options.jobs, signal, onProgress }),
      )
    }
    if (images.some(({ id }) => id !== undefined)) await destination.finish?.()
    return { path, to: formatLocation(location), images }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** Places that hold container images, and no signatures, SBOMs or other artifacts. */
const HOLDS_IMAGES_ONLY: readonly string[] = ['docker-daemon', 'docker-archive', 'wim']

const DAMAGED = 'Copy the bundle again; "stowage verify" names every file that is wrong.'

async function load(
  reader: BundleReader,
  image: BundleImage,
  destination: ImageDestination,
  { rename, imagesOnly, jobs, ...options }: WriteOptions & { rename: (name: string) => Reference; imagesOnly: boolean },
): Promise<LoadedImage> {
  const about = {
    names: image.names,
    platforms: image.platforms.map(({ platform }) => formatPlatform(platform)),
    size: image.size,
  }
  const loaded = await orError(async (): Promise<LoadedImage> => {
    const content = await readImage(reader, image.root, { ...options, absent: image.absent })
    expectLayers(reader, content)
    if (imagesOnly && content.platforms.length === 0)
      return { ...about, id: undefined, sent: 0, skipped: 0, leftOut: 'no container image' }
    const { id, sent, skipped, lost, platforms } = await copyContent(reader, content, destination, {
      ...options,
      jobs,
      names: image.names.map(rename),
    })
    return {
      ...about,
      ...(platforms ? { platforms: platforms.map(formatPlatform) } : {}),
      id,
      sent,
      skipped,
      ...(lost ? { lost } : {}),
    }
  }, options.signal)
  return loaded instanceof StowageError
    ? { ...about, id: undefined, sent: 0, skipped: 0, error: withHint(loaded) }
    : loaded
}

/**
 * What the names of `images` become behind `place`, `host[:port][/prefix]`: the repository without its own host. Throws
 * INVALID_ARGUMENT where two images would get one name, or one has none.
 */
function namesIn(place: string, images: readonly BundleImage[]): (name: string) => Reference {
  const [domain = '', ...prefix] = place.replace(/\/+$/, '').split('/')
  const moved = (name: string): Reference => {
    const { tag, digest, path } = parseReference(name)
    return parseReference(
      formatReference({
        domain,
        path: [...prefix, path].join('/'),
        ...(tag ? { tag } : {}),
        ...(digest ? { digest } : {}),
      }),
    )
  }
  const owners = new Map<string, string>()
  for (const { names, root } of images) {
    if (names.length === 0) {
      throw new StowageError('INVALID_ARGUMENT', `the image ${root.digest} has no name, and a registry needs one`, {
        hint: `Copy it by itself: stowage copy bundle:PATH:${root.digest} docker://NAME.`,
      })
    }
    for (const name of names) {
      const other = owners.get(formatReference(moved(name)))
      if (other !== undefined && other !== root.digest) {
        throw new StowageError(
          'INVALID_ARGUMENT',
          `two images of the bundle would be ${formatReference(moved(name))}`,
          {
            hint: 'Load them one by one, each behind a prefix of its own.',
          },
        )
      }
      owners.set(formatReference(moved(name)), root.digest)
    }
  }
  return moved
}

/** What is wrong with the content is wrong with the bundle, wherever on the way it was found. */
function withHint(error: StowageError): StowageError {
  if (error.hint !== undefined || (error.code !== 'DIGEST_MISMATCH' && error.code !== 'SIZE_MISMATCH')) return error
  return new StowageError(error.code, error.message, { hint: DAMAGED, cause: error.cause })
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
  { manifest: { images } }: BundleReader,
  path: string,
  selectors: readonly Partial<Platform>[],
  names: readonly string[],
): readonly BundleImage[] {
  if (images.length === 0) {
    throw new StowageError('IMAGE_NOT_FOUND', `${path} holds no image`, {
      hint: 'It carries files alone, below files/: copy them from there, or with tar -xf where the bundle is a tar.',
    })
  }
  const entries = images.flatMap(image => {
    const references = image.names.map(parseReference)
    return (references.length > 0 ? references : [undefined]).map(name => ({ root: image.root, name }))
  })
  const wanted = new Set(names.map(name => selectImage(entries, name, path).root.digest))
  const named = names.length === 0 ? images : images.filter(image => wanted.has(image.root.digest))
  const fits = ({ platforms }: BundleImage) =>
    platforms.some(({ platform }) => selectors.some(selector => matchesPlatform(platform, selector)))
  const chosen = selectors.length === 0 ? named : named.filter(fits)
  if (chosen.length === 0) {
    const there = [
      ...new Set(named.flatMap(({ platforms }) => platforms.map(({ platform }) => formatPlatform(platform)))),
    ]
    throw new StowageError('IMAGE_NOT_FOUND', `${path} has no image for the platforms that were asked for`, {
      hint: `It has images for ${there.join(', ')}.`,
    })
  }
  return chosen
}
