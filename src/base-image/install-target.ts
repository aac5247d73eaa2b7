/** Where base OS images are installed: what is there already, and how one is written so that a failure leaves nothing. */
import { join } from 'node:path'
import { readImage } from '../blob/closure.js'
import { isTarPath } from '../bundle/files.js'
import { type BundleManifest } from '../bundle/manifest.js'
import { openBundleReader } from '../bundle/reader.js'
import type { EngineStore } from '../engine/store.js'
import { abortError, StowageError } from '../errors.js'
import { type HeldIdentity, identityOf } from '../oci/image-identity.js'
import type { Platform } from '../oci/platform.js'
import { formatReference, type Reference } from '../oci/reference.js'
import { nameAt } from '../transfer/names.js'
import type { TransferOptions } from '../transfer/options.js'
import { readSource } from '../transfer/read-source.js'
import { Transfer } from '../transfer/transfer.js'
import { formatLocation, parseLocation, transportOf } from '../transport/location.js'
import { expectDestination } from '../transport/open.js'
import type { DestinationTransport, Location } from '../transport/transport.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import { inspect } from '../verbs/inspect.js'
import { pack } from '../verbs/pack.js'
import { tagImage } from '../verbs/tag.js'

/** An image of the target, as it tells of it. */
export interface HeldBaseImage {
  readonly identity: HeldIdentity
  readonly platform: Platform
  /** Digest of its root; of an engine its ID. */
  readonly id: string
}

export interface PutResult {
  /** How the target calls it. */
  readonly id: string
  readonly sent: number
  readonly skipped: number
}

/** A place that takes one image more, beside those that it has: an engine, a layout, a bundle or a registry. */
export class InstallTarget {
  readonly location: Location
  /** What runs there; undefined for places that run nothing. What it takes it proves itself. */
  readonly engine: EngineStore | undefined
  readonly #destination: DestinationTransport
  readonly #options: TransferOptions

  private constructor(
    location: Location,
    destination: DestinationTransport,
    engine: EngineStore | undefined,
    options: TransferOptions,
  ) {
    this.location = location
    this.engine = engine
    this.#destination = destination
    this.#options = options
  }

  /**
   * `docker-daemon:`, `oci:DIR`, `oci:`, `bundle:PATH` or `docker://HOST[:PORT][/PREFIX]`, as loadBundle() has it. An engine is asked
   * what it is. Throws INVALID_ARGUMENT for other places, and what reaching an engine throws.
   */
  static async open(to: string, options: TransferOptions): Promise<InstallTarget> {
    const location = parseLocation(to)
    const hint = 'For an archive: stowage copy wim:FILE.'
    const destination = expectDestination(location, 'install to', ({ additive }) => additive, hint)
    return new InstallTarget(location, destination, await destination.engine?.(options), options)
  }

  /** A path that temporary files belong beside; undefined if the target has no disk of ours. */
  get disk(): string | undefined {
    return this.#destination.disk?.(this.location)
  }

  toString(): string {
    return formatLocation(this.location)
  }

  /** What an image that is called `name` elsewhere is called here: in a registry behind its prefix. */
  nameHere(name: Reference): Reference {
    return nameAt(this.location, name)
  }

  /** The image that has `name` here; undefined if there is none, or none that can be read. Layers are not looked at. */
  async find(name: Reference): Promise<HeldBaseImage | undefined> {
    const { host, insecure, signal } = this.#options
    try {
      const {
        images: [image],
      } = await inspect(formatLocation(this.#locationOf(name)), { host, insecure, signal })
      const [platform] = image?.platforms ?? []
      if (!image || !platform) return undefined
      const identity = identityOf(platform, platform.platform, platform.layers.length, [name])
      return { identity, platform: platform.platform, id: image.root?.digest ?? image.id ?? '' }
    } catch (error) {
      if (error instanceof StowageError && ABSENT.includes(error.code)) return undefined
      throw error
    }
  }

  /** Gives the image `name` of this place another name. */
  async addName(name: Reference, also: Reference): Promise<void> {
    const { host, signal } = this.#options
    const { store } = transportOf(this.location)
    if (store && !store.sealed)
      await tagImage(formatReference(name), formatReference(also), { store: this.toString(), host, signal })
    else await this.put(formatLocation(this.#locationOf(name)), [name, also])
  }

  /** Writes the one image of `from`, and gives it `names`. When it throws, the place is as it was. */
  async put(from: string, names: readonly Reference[], layer?: WimLayerOptions): Promise<PutResult> {
    const { location } = this
    if (this.#destination.seals) return await this.#pack(location.path, from, names, layer)
    await using transfer = new Transfer({ location, undo: true }, this.#options)
    try {
      await transfer.destination()
      await using reading = await transfer.read(parseLocation(from), { names, layer })
      const [image] = reading.images
      if (!image) throw new StowageError('IMAGE_NOT_FOUND', `${from} holds no image`)
      const { id, sent, skipped } = await transfer.write(image)
      return { id, sent, skipped }
    } catch (error) {
      await transfer.undo()
      throw abortError(error, this.#options.signal)
    }
  }

  /** All that the bundle has, but for what had these names, and the image of `from`. */
  async #pack(
    path: string,
    from: string,
    names: readonly Reference[],
    layer: WimLayerOptions | undefined,
  ): Promise<PutResult> {
    const { platforms, referrers, foreignLayers, signal } = this.#options
    const standing = await manifestOf(path, signal)
    const given = names.map(formatReference)
    const kept = (standing?.images ?? []).flatMap(image => {
      const own = image.names.filter(name => !given.includes(name))
      return own.length === 0 && image.names.length > 0
        ? []
        : [{ image: `bundle:${path}:${image.root.digest}`, names: own }]
    })
    const files = (standing?.files ?? [])
      .filter(file => file.path.startsWith('files/'))
      .map(file => ({ from: join(path, file.path), path: file.path.slice('files/'.length) }))
    const added = { image: from, names: given, platforms, referrers, foreignLayers }
    const whole = { platforms: [], referrers: false, foreignLayers: 'keep' } as const // what is kept stays as it is
    const { packed, manifest } = await pack([...kept, added], path, {
      ...this.#options,
      ...whole,
      files,
      layer,
      update: true,
    })
    const id = packed.find(({ names: own }) => own.includes(given[0] ?? ''))?.root.digest ?? ''
    const before = new Set(standing?.files.map(file => file.path))
    const sent = manifest.files
      .filter(file => file.path.startsWith('blobs/') && !before.has(file.path))
      .reduce((sum, { size }) => sum + size, 0)
    const size = manifest.images.find(({ root }) => root.digest === id)?.size ?? sent
    return { id, sent, skipped: Math.max(size - sent, 0) }
  }

  /** Whether every layer of the image `name` is there: in a layout each is read. An engine's own word counts. */
  async isWhole(name: Reference): Promise<boolean> {
    const location = this.#locationOf(name)
    const told = await transportOf(location).isWhole?.(location)
    if (told !== undefined) return told
    const { host, insecure, signal } = this.#options
    return await readSource(location, { host, insecure, signal }, async source => {
      const [image] = await source.images({ signal })
      if (!image) return false
      const { layers } = await readImage(source, image.root, { absent: image.absent, signal })
      for (const layer of layers) if (!(await source.has(layer))) return false
      return true
    })
  }

  /** Of the image `name` here. */
  #locationOf(name: Reference): Location {
    const { location } = this
    return this.#destination.naming === 'prefix'
      ? { ...location, path: formatReference(name) }
      : { ...location, ref: formatReference(name) }
  }
}

/** Not there, or not in a state that could be read: then it is written anew. */
const ABSENT: readonly string[] = [
  'IMAGE_NOT_FOUND',
  'FILE_NOT_FOUND',
  'NOT_A_LAYOUT',
  'NOT_A_BUNDLE',
  'BLOB_MISSING',
  'DIGEST_MISMATCH',
  'SIZE_MISMATCH',
]

async function manifestOf(path: string, signal: AbortSignal | undefined): Promise<BundleManifest | undefined> {
  try {
    await using reader = await openBundleReader(path, { signal })
    if (isTarPath(path)) {
      throw new StowageError(
        'OUTPUT_EXISTS',
        `${path} is a bundle in a single file, and another image cannot be added to it`,
        {
          hint: `Install into a bundle directory, or into another file and pack both together: stowage pack bundle:${path} … -o BUNDLE.`,
        },
      )
    }
    return reader.manifest
  } catch (error) {
    if (error instanceof StowageError && ['FILE_NOT_FOUND', 'NOT_A_BUNDLE', 'BUNDLE_INVALID'].includes(error.code))
      return undefined // the writer says what is wrong with it
    throw error
  }
}
