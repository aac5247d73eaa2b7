/** The one engine: an image is read whole from a source, and written by a destination. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { BlobStore } from '../blob/blob-store.js'
import { type ImageContent, readImage } from '../blob/closure.js'
import { BlobDirectory } from '../blob/directory.js'
import { withPlainLayers } from '../blob/plain-layers.js'
import { readPlatforms } from '../blob/platforms.js'
import type { ImageDestination, WriteOptions, WrittenImage } from '../image/image-destination.js'
import { abortError, outputError, StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { formatPlatform } from '../oci/platform.js'
import { nameToGive, type Reference } from '../oci/reference.js'
import { Registries } from '../registry/registries.js'
import { openDestination, type OpenDestinationOptions, openSource, type OpenSourceOptions } from '../transport/open.js'
import type { WaitOptions } from '../progress.js'
import type { ImageSource, SourceImage } from '../image/image-source.js'
import { formatLocation, type Location, parseLocation } from '../transport/location.js'
import { findReferrers } from '../image/referrers.js'
import type { WimLayerOptions } from '../transport/wim/source.js'

export interface CopyOptions extends WriteOptions {
  /** Names at the destination instead of those at the source. */
  readonly names?: readonly Reference[] | undefined
}

/**
 * Copies `image` of `source` to `destination`, byte for byte, each blob checked on the way.
 * Throws what reading throws (BLOB_MISSING, DIGEST_MISMATCH, INVALID_MANIFEST …) and what the destination does.
 */
export async function copyImage(
  source: ImageSource,
  image: SourceImage,
  destination: ImageDestination,
  options: CopyOptions = {},
): Promise<WrittenImage> {
  const content = await readImage(source, image.root, { absent: image.absent, signal: options.signal })
  return await copyContent(source, content, destination, { ...options, names: options.names ?? image.names })
}

/** The second half of {@link copyImage}, for one who has read the image already. */
export async function copyContent(
  source: BlobStore,
  content: ImageContent,
  destination: ImageDestination,
  { names = [], ...options }: CopyOptions,
): Promise<WrittenImage> {
  options.signal?.throwIfAborted()
  return await destination.write(content, source, names, options)
}

export interface CopyBetweenOptions extends WaitOptions {
  /** Name of the image at the destination instead of its own, `name[:tag]`. */
  readonly name?: string | undefined
  /** Of an index only these, `os[/arch[/variant]][:os.version]`; where none is named, all that the destination can hold. */
  readonly platforms?: readonly string[] | undefined
  /** Takes along what refers to the image: signatures, SBOMs and attestations, by `subject` or by cosign's tags. */
  readonly referrers?: boolean | undefined
  /** Foreign layers stay what they are (`keep`, the default), or are handed on as any other (`plain`): then the image's digest is another. */
  readonly foreignLayers?: 'keep' | 'plain' | undefined
  /** Blobs under way at a time. */
  readonly jobs?: number | undefined
  /** What a person should know while it goes on, a sentence each: a registry that lets little more be asked of it. */
  readonly onNotice?: ((sentence: string) => void) | undefined
  /** Engine address for `docker-daemon:`. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to speak plain http with; loopback ones need not be named. */
  readonly insecure?: readonly string[] | undefined
  /** How a layer is made of a WIM, and what a WIM is made with. */
  readonly layer?: Omit<WimLayerOptions, 'onSkipped'> | undefined
  readonly wim?: OpenDestinationOptions['wim']
}

export interface CopyResult extends Omit<WrittenImage, 'platforms'> {
  /** What was copied runs on these, `os/arch[/variant][:os.version]`. */
  readonly platforms: readonly string[]
  /** What is about the image and came with it: roots, in the order they were found. */
  readonly referrers: readonly Digest[]
  /** As locations. */
  readonly from: string
  readonly to: string
  /** What `layer.skipUnsupported` left out of a WIM: paths in the layer with the reason. */
  readonly leftOut: readonly string[]
  /** What is doubtful about a layer made of a WIM, a sentence each. */
  readonly warnings: readonly string[]
}

/**
 * Copies the one image of `from` to `to`, both as {@link parseLocation} has them: `copy('oci:layout:v1', 'wim:base.wim')`.
 * What has to be laid down on the way (the export of an engine, a layer that is made of a WIM) is laid beside the
 * destination, and is gone afterwards. Throws IMAGE_NOT_FOUND, INVALID_ARGUMENT where `from` holds several images, and
 * what source and destination throw; then no name has moved.
 */
export async function copy(from: string, to: string, options: CopyBetweenOptions = {}): Promise<CopyResult> {
  const { host, insecure, layer, wim, jobs, signal, onProgress } = options
  const [origin, target] = [parseLocation(from), parseLocation(to)]
  const name = options.name === undefined ? undefined : nameToGive(options.name)
  const { place, names } = placeOf(target)
  if (name && target.type === 'docker') {
    throw new StowageError('INVALID_ARGUMENT', `two names were given: ${options.name} and ${to}`, {
      hint: 'The name in a registry is that of the destination.',
    })
  }
  const { making, leftOut, warnings } = recorded(layer)
  await using registries = new Registries({ insecure, onLimit: options.onNotice })
  let opened: ImageDestination | undefined
  const destination = async (): Promise<ImageDestination> =>
    (opened ??= await openDestination(place, { host, registries, wim, signal, onProgress }))
  await using laidDown = new LaidDown(target, destination)
  try {
    await using source = await openSource(origin, {
      host,
      registries,
      layer: making,
      name,
      platforms: options.platforms,
      signal,
      onProgress,
      stage: laidDown.stage(),
      spool: async () => await laidDown.directory(),
    })
    const [image, ...others] = await source.images({ signal })
    if (!image) throw new StowageError('IMAGE_NOT_FOUND', `${from} holds no image`)
    if (others.length > 0) {
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${from} holds ${others.length + 1} images, and one is copied at a time`,
        {
          hint: `Name one: ${origin.type}:PATH:REF.`,
        },
      )
    }
    const blobs = laidDown.before(source)
    const read = await readPlatforms(blobs, image.root, {
      platforms: options.platforms,
      absent: image.absent,
      name: from,
      signal,
    })
    const content = options.foreignLayers === 'plain' ? withPlainLayers(read) : read
    const given = name ? [name] : (names ?? image.names)
    const referrers = options.referrers ? await findReferrers(source, content, given, { signal }) : []
    const written = await copyContent(blobs, content, await destination(), { names: given, jobs, signal, onProgress })
    for (const referrer of referrers)
      await copyImage(source, referrer, await destination(), { names: referrer.names, jobs, signal })
    await opened?.finish?.()
    const taken = written.platforms ?? content.platforms.map(({ config }) => config.platform)
    return {
      ...written,
      from: formatLocation(origin),
      to: formatLocation(target),
      platforms: taken.map(formatPlatform),
      referrers: referrers.map(({ root }) => root.digest),
      leftOut,
      warnings,
    }
  } catch (error) {
    throw abortError(error, signal)
  } finally {
    await opened?.[Symbol.asyncDispose]()
  }
}

/** `layer` as it is given to sources, and what they tell of the layers that they make. */
export function recorded(layer: CopyBetweenOptions['layer']): {
  readonly making: WimLayerOptions
  readonly leftOut: readonly string[]
  readonly warnings: readonly string[]
} {
  const [leftOut, warnings]: [string[], string[]] = [[], []]
  const onWarning = (warning: string): void => {
    warnings.push(warning)
    layer?.onWarning?.(warning)
  }
  return { making: { ...layer, onSkipped: paths => void leftOut.push(...paths), onWarning }, leftOut, warnings }
}

/** A location for {@link openDestination}, which takes no names, and the name that stands in it. */
function placeOf(location: Location): { readonly place: Location; readonly names: readonly Reference[] | undefined } {
  if (location.type === 'docker') return { place: location, names: [nameToGive(location.name)] }
  if (location.type !== 'docker-daemon' || location.name === undefined) return { place: location, names: undefined }
  return { place: { type: 'docker-daemon', name: undefined }, names: [nameToGive(location.name)] }
}

/** Blobs that are made or unpacked on the way, in a directory beside the destination that is made when it is needed. */
class LaidDown implements AsyncDisposable {
  readonly #target: Location
  readonly #ready: () => Promise<unknown>
  #directory: Promise<BlobDirectory> | undefined
  #temporary: string | undefined

  /** `ready`: opens the destination, which may refuse. */
  constructor(target: Location, ready: () => Promise<unknown>) {
    this.#target = target
    this.#ready = ready
  }

  async directory(): Promise<BlobDirectory> {
    return await (this.#directory ??= this.#make())
  }

  /** A layout takes a layer that is made here at once, as one of its own blobs, once it is known to be a layout. */
  stage(): OpenSourceOptions['stage'] {
    const target = this.#target
    return {
      create: async produce => {
        await this.#ready()
        const directory =
          target.type === 'oci'
            ? (this.#directory = Promise.resolve(new BlobDirectory(target.directory)))
            : this.directory()
        return await (await directory).create(produce)
      },
    }
  }

  /** `source`, but for what was laid down. */
  before(source: ImageSource): BlobStore {
    const held = this.#directory
    if (!held) return source
    return {
      has: async blob => (await (await held).has(blob)) || (await source.has(blob)),
      async *fetch(blob, options) {
        const directory = await held
        yield* (await directory.has(blob, options)) ? directory.fetch(blob, options) : source.fetch(blob, options)
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#temporary !== undefined) await rm(this.#temporary, { recursive: true, force: true })
  }

  async #make(): Promise<BlobDirectory> {
    const target = this.#target
    const beside =
      'file' in target
        ? target.file
        : target.type === 'oci'
          ? target.directory
          : target.type === 'bundle'
            ? target.path
            : undefined
    const where = join(beside === undefined ? tmpdir() : dirname(beside), '.stowage-')
    this.#temporary = await mkdtemp(where).catch((error: unknown) => {
      throw outputError(error, beside ?? where)
    })
    return new BlobDirectory(this.#temporary)
  }
}
