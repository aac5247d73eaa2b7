/** The copy engine behind every command: reads images from sources and writes them to one destination. */
import type { Verified } from '../archive/read-back.js'
import type { BlobStage, BlobStore } from '../blob/blob-store.js'
import { blobsOf, type ImageContent } from '../blob/closure.js'
import type { BlobDirectory } from '../blob/directory.js'
import { withPlainLayers } from '../blob/plain-layers.js'
import { readPlatforms } from '../blob/platforms.js'
import { stripAbsent, strippedAway } from '../blob/stripped.js'
import { Workspace } from '../blob/workspace.js'
import { StowageError } from '../errors.js'
import type { ExpectedImage } from '../image/destination-survey.js'
import type { UnnamedImage, ImageDestination, WrittenImage } from '../image/image-destination.js'
import type { ImageSource, SourceImage } from '../image/image-source.js'
import { findReferrers } from '../image/referrers.js'
import type { Digest } from '../oci/digest.js'
import type { Reference } from '../oci/reference.js'
import { Waits } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { formatLocation, transportOf } from '../transport/location.js'
import { openDestination, openSource } from '../transport/open.js'
import type { DestinationTrace, Location } from '../transport/transport.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import { expectBase, findMissingBase } from './left-out.js'
import type { TransferOptions, WimMakingOptions } from './options.js'

/** One selected image, read except for its layers, and the store that has its blobs. */
export interface SelectedImage {
  readonly blobs: BlobStore
  readonly content: ImageContent
  /** The names it gets at the destination. */
  readonly names: readonly Reference[]
  /** The root at the source; differs from the root of `content` if one platform was selected. */
  readonly root: Digest
  /** The referrers to copy with it, in the order in which they were found. */
  readonly referrers: readonly SelectedImage[]
  /** Of a referrer: the manifest or index that it describes. */
  readonly subject?: Digest
  /** Roots of referrers that are not copied, because `content` no longer has the index that they describe. */
  readonly undelivered?: readonly Digest[]
}

/** What to copy from a source; each option overrides that of the transfer. */
export interface Selection {
  /**
   * The names at the destination, which replace those at the source; the first also names an image that has no name.
   */
  readonly names?: readonly Reference[] | undefined
  readonly platforms?: readonly string[] | undefined
  readonly referrers?: boolean | undefined
  readonly foreignLayers?: 'keep' | 'plain' | undefined
  readonly layer?: WimLayerOptions | undefined
  /** Throws if `count` images cannot be copied; called before any of them is read. */
  readonly expectCount?: ((count: number) => void) | undefined
}

/** An open source with the images selected from it. The caller disposes of it once they are written. */
export interface Reading extends AsyncDisposable {
  readonly images: readonly SelectedImage[]
}

export interface TransferTarget {
  /** Left out if images are only read. */
  readonly location?: Location | undefined
  /** The destination at `location` if it is already open; its opener disposes of it. */
  readonly destination?: ImageDestination
  /** Whether `undo()` is to remove what was written. */
  readonly undo?: boolean
  /** Whether a created layer goes to the destination at once (the default), if that has a stage. */
  readonly stage?: boolean
  /** Whether layers will be read (the default). */
  readonly layers?: boolean
  /** Whether to read back what was written; the transport of `location` must be able to. */
  readonly verify?: boolean | undefined
}

/** Copies to one destination. Disposing of it closes the destination and the connections to registries. */
export class Transfer implements AsyncDisposable {
  readonly registries: Registries
  readonly #target: TransferTarget
  readonly #options: TransferOptions & WimMakingOptions
  readonly #written: Digest[] = []
  /** Roots of images of deltas for which the destination has the rest. */
  readonly #proved = new Set<Digest>()
  #destination: Promise<ImageDestination> | undefined
  #trace: DestinationTrace | undefined

  constructor(target: TransferTarget, options: TransferOptions & WimMakingOptions = {}) {
    this.#target = target
    this.#options = options
    const { insecure, tlsSkipVerify, onNotice, onProgress } = options
    this.registries = new Registries({ insecure, tlsSkipVerify, onNotice, onProgress })
  }

  /** Opens the destination on the first call; later calls return the same one. */
  async destination(): Promise<ImageDestination> {
    return await (this.#destination ??= this.#open())
  }

  /**
   * Opens `from` and reads the selected images, except their layers. Throws IMAGE_NOT_FOUND and what the source throws.
   */
  async read(from: Location, selection: Selection = {}): Promise<Reading> {
    const { host, signal, onProgress } = this.#options
    const { names = [], layer, platforms = this.#options.platforms } = selection
    const { location } = this.#target
    const beside = location && transportOf(location).destination?.disk?.(location)
    const workspace = new Workspace(beside)
    let source: ImageSource | undefined
    let staged: BlobDirectory | undefined
    const dispose = async (): Promise<void> => {
      await source?.[Symbol.asyncDispose]()
      await workspace[Symbol.asyncDispose]()
    }
    try {
      source = await openSource(from, {
        host,
        registries: this.registries,
        onNotice: this.#options.onNotice,
        trust: this.#options.trust,
        layer,
        name: names[0],
        platforms,
        signal,
        onProgress,
        stage: this.#stage(async () => (staged = await workspace.blobs())),
        spool: async () => await ((await this.#ownSpool()) ?? workspace.blobs()),
        beside,
        layers: this.#target.layers,
      })
      const found = await source.images({ signal })
      if (found.length === 0) throw new StowageError('IMAGE_NOT_FOUND', `${formatLocation(from)} holds no image`)
      selection.expectCount?.(found.length)
      const images: SelectedImage[] = []
      for (const image of found) {
        const blobs = staged ? overlaid(staged, source) : source
        images.push(await this.select(source, image, { ...selection, subject: formatLocation(from), blobs }))
      }
      return { images, [Symbol.asyncDispose]: dispose }
    } catch (error) {
      await dispose()
      throw error
    }
  }

  /**
   * Reads one image of an open source, with the selected platforms, its referrers and the choice for foreign layers.
   * `subject` is what messages call it.
   */
  async select(
    source: ImageSource,
    image: SourceImage,
    selection: Selection & { readonly subject?: string; readonly blobs?: BlobStore } = {},
  ): Promise<SelectedImage> {
    const { signal } = this.#options
    const { names = [], subject: name, blobs = source } = selection
    const {
      platforms = this.#options.platforms,
      referrers = this.#options.referrers,
      foreignLayers = this.#options.foreignLayers,
    } = selection
    const read = await readPlatforms(blobs, image.root, {
      platforms,
      absent: image.absent,
      name,
      keepIndex: referrers,
      signal,
    })
    const given = names.length > 0 ? names : image.names
    const found: SelectedImage[] = []
    for (const { subject, ...each } of referrers ? await findReferrers(source, read, given, { signal }) : []) {
      const content = await readPlatforms(source, each.root, { absent: each.absent, signal })
      found.push({ blobs: source, content, names: each.names, root: each.root.digest, referrers: [], subject })
    }
    const plain = foreignLayers === 'plain' ? withPlainLayers(read) : read
    const strip = this.#options.sparse === 'strip'
    const content = strip ? stripAbsent(plain) : plain
    const { kept, undelivered } = splitReferrers(found, strip ? strippedAway(plain) : new Set())
    return { blobs, content, names: given, root: image.root.digest, referrers: kept, undelivered }
  }

  /**
   * Proves that the destination has what the sources of `images` leave out, which deltas do, and `expected` besides.
   * `delta` names the source in messages. Throws BASE_MISSING, and UNSUPPORTED for a destination that needs images whole.
   */
  async proveBase(
    delta: string,
    images: readonly SelectedImage[],
    expected: readonly ExpectedImage[] = [],
  ): Promise<void> {
    const { location } = this.#target
    if (!location) return
    const all = images.flatMap(image => [image, ...image.referrers]).filter(({ root }) => !this.#proved.has(root))
    const missing = await findMissingBase(location, this.registries, all, expected, this.#options)
    expectBase(missing, delta, formatLocation(location))
    for (const { root } of all) this.#proved.add(root)
  }

  /**
   * To be called before the first of several images is written, with all of them. Throws NO_SPACE if the destination
   * knows that there is no room for them.
   */
  async expect(images: readonly SelectedImage[]): Promise<void> {
    const destination = await this.destination()
    const all = images.flatMap(image => [image, ...image.referrers])
    await destination.expect?.(all.map(({ content, names, undelivered }) => ({ image: content, names, undelivered })))
  }

  /**
   * Writes an image, then its referrers. `silent` means that the caller reports the progress. Throws what the
   * destination throws; if a referrer fails, the image is already written.
   */
  async write(image: SelectedImage, { silent = false }: { readonly silent?: boolean } = {}): Promise<WrittenImage> {
    const { blobs, content, names, referrers, undelivered = [] } = image
    if (!this.#target.destination) await this.proveBase('the delta', [image])
    const { jobs, signal } = this.#options
    const onProgress = silent ? undefined : this.#options.onProgress
    const destination = await this.destination()
    signal?.throwIfAborted()
    this.#written.push(...blobsOf(content).map(({ digest }) => digest))
    const written = await destination.write(content, blobs, names, { jobs, signal, onProgress, undelivered })
    const split = splitReferrers(referrers, written.strippedFrom ? strippedAway(content) : new Set())
    for (const each of split.kept) await destination.write(each.content, each.blobs, each.names, { jobs, signal })
    const left = [...undelivered, ...split.undelivered]
    return left.length === 0 ? written : { ...written, undelivered: left }
  }

  /**
   * Like {@link write}, but the image and its referrers get their names later. Throws TypeError if the destination has
   * no `hold()`.
   */
  async hold({ blobs, content, names, referrers, undelivered = [] }: SelectedImage): Promise<UnnamedImage> {
    const { jobs, signal, onProgress } = this.#options
    const destination = await this.destination()
    if (!destination.hold) throw new TypeError('this destination names an image when it writes it')
    signal?.throwIfAborted()
    const held = await destination.hold(content, blobs, names, { jobs, signal, onProgress, undelivered })
    const others: { readonly held: UnnamedImage; readonly names: readonly Reference[] }[] = []
    const dispose = async (): Promise<void> => {
      for (const each of [...others].reverse()) await each.held[Symbol.asyncDispose]()
      await held[Symbol.asyncDispose]()
    }
    try {
      for (const each of referrers) {
        const referrer = await destination.hold(each.content, each.blobs, each.names, { jobs, signal })
        others.push({ held: referrer, names: each.names })
      }
    } catch (error) {
      await dispose()
      throw error
    }
    return {
      async name(wanted) {
        const written = await held.name(wanted)
        for (const each of others) await each.held.name(each.names)
        return undelivered.length === 0 ? written : { ...written, undelivered }
      },
      [Symbol.asyncDispose]: dispose,
    }
  }

  /**
   * Completes the destination after the last image: an archive is valid only after this call. Returns what was read back,
   * if it was.
   */
  async finish(): Promise<Verified | undefined> {
    const { location } = this.#target
    const { onProgress } = this.#options
    using _wait = new Waits(onProgress, location ? formatLocation(location) : 'the destination').begin('write')
    return await (await this.#destination)?.finish?.()
  }

  /** After a failure, removes what was written since the destination was opened, if the target has `undo` set. */
  async undo(): Promise<void> {
    await this.#trace?.undo(this.#written)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const opened = await this.#destination?.catch(() => undefined) // the caller has already received the error
    if (opened && opened !== this.#target.destination) await opened[Symbol.asyncDispose]()
    await this.registries[Symbol.asyncDispose]()
  }

  async #open(): Promise<ImageDestination> {
    const { location, destination, undo = false, verify = false } = this.#target
    if (destination) return destination
    if (!location) throw new TypeError('a transfer without a destination only reads')
    const { host, wim, sparse, signal, onProgress } = this.#options
    if (undo) this.#trace = await transportOf(location).destination?.trace?.(location)
    return await openDestination(location, {
      host,
      registries: this.registries,
      wim,
      sparse,
      verify,
      signal,
      onProgress,
    })
  }

  /** Puts a created layer straight into the destination if that has a stage, otherwise into `elsewhere`. */
  #stage(elsewhere: () => Promise<BlobStage>): BlobStage {
    return {
      create: async produce => {
        const own = (this.#target.stage ?? true) ? (await this.destination()).stage : undefined
        const stage = own ?? (await elsewhere())
        const created = await stage.create(produce)
        this.#written.push(created.digest)
        return created
      },
    }
  }

  /** The spool of the destination, if it has one: a bundle keeps spooled blobs on its own medium. */
  async #ownSpool(): Promise<BlobDirectory | undefined> {
    const { location } = this.#target
    if (!location || !transportOf(location).destination?.spools) return undefined
    return await (await this.destination()).spool?.()
  }
}

/**
 * Splits off the referrers that describe something in `missing`, or describe such a referrer. Each referrer comes after
 * what it describes.
 */
function splitReferrers(
  referrers: readonly SelectedImage[],
  missing: ReadonlySet<Digest>,
): { readonly kept: readonly SelectedImage[]; readonly undelivered: readonly Digest[] } {
  const lost = new Set(missing)
  const kept = referrers.filter(({ subject, root }) => {
    if (subject === undefined || !lost.has(subject)) return true
    lost.add(root)
    return false
  })
  return { kept, undelivered: referrers.filter(each => !kept.includes(each)).map(({ root }) => root) }
}

/** Reads blobs from `workspace` if it has them, otherwise from `store`. */
function overlaid(workspace: BlobDirectory, store: BlobStore): BlobStore {
  return {
    host: store.host,
    has: async blob => (await workspace.has(blob)) || (await store.has(blob)),
    async *fetch(blob, options) {
      yield* (await workspace.has(blob, options)) ? workspace.fetch(blob, options) : store.fetch(blob, options)
    },
  }
}
