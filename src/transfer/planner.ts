/** Finds out what a copy would do, without writing anything: the dry run of every command that copies images. */
import pMap from 'p-map'
import { join } from 'node:path'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import type { OutputSize } from '../archive/output-size.js'
import { type Room, roomAt } from '../archive/space.js'
import type { BlobStore } from '../blob/blob-store.js'
import { blobsOf, type ImageContent, sizeOf } from '../blob/closure.js'
import { temporaryDirectory } from '../blob/workspace.js'
import type { StowageError } from '../errors.js'
import { type DestinationSurvey, type Measure, measureBlobs, type PlannedWriting } from '../image/destination-survey.js'
import type { ImageDestination, WrittenImage } from '../image/image-destination.js'
import type { Digest } from '../oci/digest.js'
import { formatPlatform, parsePlatformSelector } from '../oci/platform.js'
import { formatReference, type Reference } from '../oci/reference.js'
import { formatLocation, transportOf } from '../transport/location.js'
import { makesLayer } from '../transport/open.js'
import type { Location } from '../transport/transport.js'
import type { TransferOptions } from './options.js'
import { type Reading, type SelectedImage, type Selection, Transfer } from './transfer.js'

/** What would happen to one image. */
export interface PlannedImage {
  /** The index of what asked for it; left out for an image of a bundle. */
  readonly request?: number
  /** The location it comes from, as given; left out for an image of a bundle. */
  readonly location?: string
  /** Full references, at the destination. */
  readonly names: readonly string[]
  readonly platforms: readonly string[]
  /** Of its root; left out if it is known only when the image is exported or made. */
  readonly digest?: Digest
  readonly mediaType?: string
  /** All its blobs, in bytes; an engine's own figure for an image that it would export, and an estimate for one made from a WIM. */
  readonly size?: number
  /** Bytes that would be sent, and bytes that are there already; left out if they are not known. */
  readonly send?: number
  readonly present?: number
  /** Set if these two are estimates. */
  readonly estimate?: true
  /** Why it would fail. */
  readonly error?: StowageError
}

export interface TransferPlan {
  /** The destination, as a location; left out if none was given. */
  readonly to?: string
  readonly images: readonly PlannedImage[]
  /** Totals, in bytes. */
  readonly send: number
  readonly present: number
  /** Whether all sizes are known and exact; otherwise `send` counts only what is known. */
  readonly exact: boolean
  /** What is there in the end; left out for a destination that exists already, such as a store. */
  readonly output?: OutputSize
  /** Left out if the destination is not on a disk of this machine. */
  readonly room?: Room
  /** Whether what is written would be read back; left out if that cannot be. */
  readonly verify?: boolean
}

/** Sources to read at a time: manifests and configs are small, so latency dominates. */
const READ_AT_ONCE = 6

/** A {@link Transfer} whose destination only measures. The caller disposes of it. */
export class Planner implements AsyncDisposable {
  readonly transfer: Transfer
  readonly #location: Location | undefined
  readonly #options: TransferOptions
  readonly #images: PlannedImage[] = []
  #survey: Promise<DestinationSurvey | undefined> | undefined
  /** Bytes of carried files. */
  #files = 0
  #made = 0

  /** `location` is the destination; without one, everything would be sent. */
  constructor(location: Location | undefined, options: TransferOptions) {
    this.#location = location
    this.#options = options
    const destination: ImageDestination = {
      write: async (image, { leftOut }, names) => await this.#measure(image, names, leftOut),
      [Symbol.asyncDispose]: async () => undefined,
    }
    this.transfer = new Transfer({ location, destination, layers: false }, options)
  }

  /** Opens the destination, and throws what that throws. */
  async open(): Promise<void> {
    await (this.#survey ??= this.#open())
  }

  /** Plans the images of `from`. An image that would be exported or made is only described. */
  async add(from: Location, selection: Selection = {}): Promise<void> {
    await this.addAll([{ from, selection }])
  }

  /**
   * Plans the images of several locations, which are read at the same time, in their order; of those images, what
   * `carried` returns, which gets all of them.
   */
  async addAll(
    requests: readonly { readonly from: Location; readonly selection: Selection }[],
    carried: (images: readonly SelectedImage[]) => Promise<ReadonlyMap<SelectedImage, SelectedImage>> = async images =>
      new Map(images.map(image => [image, image])),
  ): Promise<void> {
    const readings: Reading[] = []
    try {
      const read = await pMap(
        requests,
        async ({ from, selection }) => {
          const described = await this.#describe(from, selection)
          const reading = described ? undefined : await this.transfer.read(from, selection)
          if (reading) readings.push(reading)
          return { from, described, reading }
        },
        { concurrency: READ_AT_ONCE },
      )
      const chosen = await carried(read.flatMap(({ reading }) => reading?.images ?? []))
      for (const [request, { from, described = [], reading }] of read.entries()) {
        const first = this.#images.length
        this.#images.push(...described)
        for (const image of reading?.images ?? []) {
          const kept = chosen.get(image)
          if (kept) await this.addSelected(kept)
        }
        const location = formatLocation(from)
        this.#images.push(...this.#images.splice(first).map(image => ({ request, location, ...image })))
      }
    } finally {
      for (const reading of readings) await reading[Symbol.asyncDispose]()
    }
  }

  /** Plans one image that was read already. */
  async addSelected(image: SelectedImage): Promise<void> {
    await this.transfer.proveBase('the delta', [image])
    await this.transfer.write(image, { silent: true })
  }

  /** Plans `size` bytes of files besides the images. */
  addFiles(size: number): void {
    this.#files += size
  }

  addFailed(image: PlannedImage): void {
    this.#images.push(image)
  }

  /** How many images have a layer that would be made. */
  get made(): number {
    return this.#made
  }

  /** Bytes of images whose sizes are estimates; undefined if one has a size that is not known at all. */
  get estimated(): number | undefined {
    const guessed = this.#images.filter(({ digest, error }) => digest === undefined && !error)
    return guessed.some(({ send }) => send === undefined)
      ? undefined
      : guessed.reduce((sum, { send = 0 }) => sum + send, 0)
  }

  /** The plan; `writing`: what it takes, if that is not what the destination says of the images. */
  async result(writing?: PlannedWriting): Promise<TransferPlan> {
    const images = this.#images
    const total = (key: 'send' | 'present'): number => images.reduce((sum, image) => sum + (image[key] ?? 0), 0)
    const send = total('send') + this.#files
    const exact = images.every(image => image.error || (image.send !== undefined && !image.estimate))
    const to = this.#location
    const { output, need, advice } = writing ?? (await this.#writing(send))
    const disk = to && transportOf(to).destination?.disk?.(to)
    const where = to?.path === STANDARD_STREAM ? join(await temporaryDirectory(), 'x') : disk
    const room = where === undefined ? undefined : await roomAt(where, need, advice)
    const least = this.estimated === undefined ? { certainty: 'at least' as const } : {}
    return {
      ...(to ? { to: formatLocation(to) } : {}),
      images,
      send,
      present: total('present'),
      exact,
      ...(output ? { output: { ...output, ...least } } : {}),
      ...(room ? { room } : {}),
    }
  }

  async #writing(send: number): Promise<PlannedWriting> {
    const survey = await this.#survey
    return (
      (await survey?.writing?.(this.estimated ?? 0)) ?? {
        // A WIM is made anew of the layers
        need: { sizes: [send], estimate: true },
      }
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#survey?.catch(() => undefined))?.[Symbol.asyncDispose]() // the caller has the error
    await this.transfer[Symbol.asyncDispose]()
  }

  async #open(): Promise<DestinationSurvey | undefined> {
    if (!this.#location) return undefined
    const { host, sparse, signal } = this.#options
    const { registries } = this.transfer
    return await transportOf(this.#location).destination?.survey?.(this.#location, { host, registries, sparse, signal })
  }

  async #measure(
    image: ImageContent,
    names: readonly Reference[],
    leftOut: BlobStore['leftOut'],
  ): Promise<WrittenImage> {
    const { signal } = this.#options
    const survey = await (this.#survey ??= this.#open())
    const { send, present, estimate }: Measure = survey
      ? await survey.measure(image, names, { signal, leftOut })
      : await measureBlobs(blobsOf(image), () => false)
    this.#images.push({
      names: names.map(formatReference),
      platforms: image.platforms.map(({ config }) => formatPlatform(config.platform)),
      digest: image.root.digest,
      mediaType: image.root.mediaType,
      size: sizeOf(image),
      send,
      present,
      ...(estimate ? { estimate } : {}),
    })
    return { names, id: image.root.digest, sent: send, skipped: present }
  }

  /** Describes images whose manifests would be made on the way; undefined for any others. */
  async #describe(
    from: Location,
    { names = [], platforms = this.#options.platforms, expectCount }: Selection,
  ): Promise<readonly PlannedImage[] | undefined> {
    const { source, inspect } = transportOf(from)
    const made = await makesLayer(from)
    if (!inspect || (source?.manifests !== 'unread' && !made)) return undefined
    const { host, signal } = this.#options
    const { registries } = this.transfer
    const selectors = (platforms ?? []).map(parsePlatformSelector)
    const found = await inspect(from, { host, signal, registries, selectors, platforms: platforms ?? [] })
    if (found) expectCount?.(found.length)
    if (found && made) this.#made += found.length
    return found?.map(image => {
      const size = image.size ?? image.wim?.layerSize
      return {
        names: names.length > 0 ? names.map(formatReference) : image.names,
        platforms: image.platforms.map(({ platform }) => formatPlatform(platform)),
        ...(size === undefined ? {} : { size, send: size, estimate: true }),
      }
    })
  }
}
