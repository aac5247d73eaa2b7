/**
 * The target that base OS images are installed into: finds existing images, and writes one without traces if it fails.
 */
import { join } from 'node:path'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
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
import { accessOf, type TransferOptions } from '../transfer/options.js'
import { readSource } from '../transfer/read-source.js'
import { Transfer } from '../transfer/transfer.js'
import { destinationLocation, formatLocation, parseLocation, transportOf } from '../transport/location.js'
import { expectDestination } from '../transport/open.js'
import type { DestinationTransport, Location } from '../transport/transport.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import { inspect } from '../verbs/inspect.js'
import { pack } from '../verbs/pack.js'
import { tagImage } from '../verbs/tag.js'

/** An image in the target. */
export interface HeldBaseImage {
  readonly identity: HeldIdentity
  readonly platform: Platform
  /** Digest of its root; in an engine, its image ID. */
  readonly id: string
}

export interface PutResult {
  /** The ID in the target. */
  readonly id: string
  readonly sent: number
  readonly skipped: number
}

/** A location that images can be added to: an engine, a layout, a bundle or a registry. */
export class InstallTarget {
  readonly location: Location
  /** The engine; undefined for other locations. An engine verifies what it loads itself. */
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
   * Opens `docker-daemon:`, `oci:DIR`, `oci:`, `bundle:PATH` or `docker://HOST[:PORT][/PREFIX]`, as in loadBundle().
   * Throws INVALID_ARGUMENT for other locations, and errors from connecting to an engine.
   */
  static async open(to: string, options: TransferOptions): Promise<InstallTarget> {
    const location = destinationLocation(to)
    if (location.path === STANDARD_STREAM)
      throw new StowageError('INVALID_ARGUMENT', `cannot install to ${to}: the result is read again to check it`, {
        hint: 'Install into a bundle directory.',
      })
    const hint = 'For an archive: stowage copy wim:FILE.'
    const destination = expectDestination(location, 'install to', ({ additive }) => additive, hint)
    return new InstallTarget(location, destination, await destination.engine?.(options), options)
  }

  /** A path beside which temporary files belong; undefined if the target is not on a local disk. */
  get disk(): string | undefined {
    return this.#destination.disk?.(this.location)
  }

  toString(): string {
    return formatLocation(this.location)
  }

  /** The name in the target for an image called `name`: in a registry, with its prefix. */
  nameHere(name: Reference): Reference {
    return nameAt(this.location, name)
  }

  /** The image with this name; undefined if there is none, or if it cannot be read. Its layers are not checked. */
  async find(name: Reference): Promise<HeldBaseImage | undefined> {
    try {
      const {
        images: [image],
      } = await inspect(formatLocation(this.#locationOf(name)), accessOf(this.#options))
      const [platform] = image?.platforms ?? []
      if (!image || !platform) return undefined
      const identity = identityOf(platform, platform.platform, platform.layers.length, [name])
      return { identity, platform: platform.platform, id: image.root?.digest ?? image.id ?? '' }
    } catch (error) {
      if (error instanceof StowageError && ABSENT.includes(error.code)) return undefined
      throw error
    }
  }

  /** Adds the name `also` to the image `name`. */
  async addName(name: Reference, also: Reference): Promise<void> {
    const { host, signal } = this.#options
    const { store } = transportOf(this.location)
    if (store && !store.sealed)
      await tagImage(formatReference(name), formatReference(also), { store: this.toString(), host, signal })
    else await this.put(formatLocation(this.#locationOf(name)), [name, also])
  }

  /** Writes the only image of `from` under `names`. On an error, the target is unchanged. */
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

  /** Repacks the bundle with its images and the image of `from`, which replaces images that had only these names. */
  async #pack(
    path: string,
    from: string,
    names: readonly Reference[],
    layer: WimLayerOptions | undefined,
  ): Promise<PutResult> {
    const { platforms, referrers, foreignLayers, signal } = this.#options
    const existing = await manifestOf(path, signal)
    const given = names.map(formatReference)
    const kept = (existing?.images ?? []).flatMap(image => {
      const own = image.names.filter(name => !given.includes(name))
      return own.length === 0 && image.names.length > 0
        ? []
        : [{ image: `bundle:${path}:${image.root.digest}`, names: own }]
    })
    const files = (existing?.files ?? [])
      .filter(file => file.path.startsWith('files/'))
      .map(file => ({ from: join(path, file.path), path: file.path.slice('files/'.length) }))
    const added = { image: from, names: given, platforms, referrers, foreignLayers }
    const unchanged = { platforms: [], referrers: false, foreignLayers: 'keep' } as const // for the kept images
    const { packed, manifest } = await pack([...kept, added], path, {
      ...this.#options,
      ...unchanged,
      files,
      layer,
      update: true,
    })
    const id = packed.find(({ names: own }) => own.includes(given[0] ?? ''))?.root.digest ?? ''
    const before = new Set(existing?.files.map(file => file.path))
    const sent = manifest.files
      .filter(file => file.path.startsWith('blobs/') && !before.has(file.path))
      .reduce((sum, { size }) => sum + size, 0)
    const size = manifest.images.find(({ root, original = root }) => original.digest === id)?.size ?? sent
    return { id, sent, skipped: Math.max(size - sent, 0) }
  }

  /** Whether the image has all its layers. In a layout each is read; an engine's own answer is used. */
  async isWhole(name: Reference): Promise<boolean> {
    const location = this.#locationOf(name)
    const answer = await transportOf(location).isWhole?.(location)
    if (answer !== undefined) return answer
    const { signal } = this.#options
    return await readSource(location, accessOf(this.#options), async source => {
      const [image] = await source.images({ signal })
      if (!image) return false
      const { layers } = await readImage(source, image.root, { absent: image.absent, signal })
      for (const layer of layers) if (!(await source.has(layer))) return false
      return true
    })
  }

  /** The location of the image `name` in the target. */
  #locationOf(name: Reference): Location {
    const { location } = this
    return this.#destination.naming === 'prefix'
      ? { ...location, path: formatReference(name) }
      : { ...location, ref: formatReference(name) }
  }
}

/** Codes for an image that does not exist or cannot be read, and is therefore written again. */
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
    await using reader = await openBundleReader(path, { signal, layers: false })
    if (isTarPath(path)) {
      throw new StowageError('OUTPUT_EXISTS', `${path} is a bundle in a single file, to which no image can be added`, {
        hint: `Install into a bundle directory, or into another file and pack both together: stowage pack bundle:${path} … -o BUNDLE.`,
      })
    }
    return reader.manifest
  } catch (error) {
    if (error instanceof StowageError && ['FILE_NOT_FOUND', 'NOT_A_BUNDLE', 'BUNDLE_INVALID'].includes(error.code))
      return undefined // the writer reports what is wrong
    throw error
  }
}
