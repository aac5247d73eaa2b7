/** Where base OS images are installed: what stands there already, and how one is written so that a failure leaves nothing. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStage, BlobStore } from '../blob/blob-store.js'
import { blobsOf, type ImageContent, readImage } from '../blob/closure.js'
import { BlobDirectory } from '../blob/directory.js'
import { type BundleManifest } from '../bundle/manifest.js'
import { openBundleReader } from '../bundle/reader.js'
import { isTarPath } from '../bundle/files.js'
import { copyContent } from '../verbs/copy.js'
import { engineAt } from '../engine/client.js'
import { giveName } from '../engine/name.js'
import { type EngineStore, readStore } from '../engine/store.js'
import { abortError, fileError, StowageError } from '../errors.js'
import { inspect } from '../verbs/inspect.js'
import type { Digest } from '../oci/digest.js'
import { type HeldIdentity, identityOf } from '../oci/image-identity.js'
import type { Platform } from '../oci/platform.js'
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import { openDestination, openSource } from '../transport/open.js'
import { pack } from '../verbs/pack.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { formatLocation, type Location, parseLocation } from '../transport/location.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import { traceLayout } from '../transport/oci/trace.js'

export interface TargetOptions extends WaitOptions {
  readonly host?: string | undefined
  readonly insecure?: readonly string[] | undefined
}

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

type TargetLocation = Extract<Location, { readonly type: 'docker' | 'docker-daemon' | 'oci' | 'bundle' }>

/** An engine, a layout, a bundle or a registry. */
export class InstallTarget {
  readonly location: TargetLocation
  /** What the engine is, where it is one. */
  readonly store: EngineStore | undefined
  readonly #options: TargetOptions

  private constructor(location: TargetLocation, store: EngineStore | undefined, options: TargetOptions) {
    this.location = location
    this.store = store
    this.#options = options
  }

  /**
   * `docker-daemon:`, `oci:DIR`, `oci:`, `bundle:PATH` or `docker://HOST[:PORT][/PREFIX]`, as loadBundle() has it. An engine is asked what it is. Throws
   * INVALID_ARGUMENT for other places, OUTPUT_EXISTS for a bundle that is one file, and what reaching an engine throws.
   */
  static async open(to: string, options: TargetOptions): Promise<InstallTarget> {
    const location = /^docker:\/\/[^/]+\/?$/.test(to)
      ? ({ type: 'docker', name: to.slice('docker://'.length) } as const)
      : parseLocation(to)
    const named =
      ('ref' in location && location.ref !== undefined) ||
      (location.type === 'docker-daemon' && location.name !== undefined)
    if (
      named ||
      (location.type !== 'docker' &&
        location.type !== 'docker-daemon' &&
        location.type !== 'oci' &&
        location.type !== 'bundle')
    ) {
      throw new StowageError('INVALID_ARGUMENT', `${formatLocation(location)} is no place to install to`, {
        hint: 'Write docker-daemon:, oci:DIR, oci:, bundle:PATH or docker://HOST[/PREFIX], and name no image; to an archive, stowage copy wim:FILE.',
      })
    }
    if (location.type !== 'docker-daemon') return new InstallTarget(location, undefined, options)
    using client = await engineAt(options.host)
    return new InstallTarget(location, await readStore(client, { signal: options.signal }), options)
  }

  toString(): string {
    return formatLocation(this.location)
  }

  /** What an image that is called `name` elsewhere is called here: in a registry behind its prefix. */
  nameHere(name: Reference): Reference {
    if (this.location.type !== 'docker') return name
    const [domain = '', ...prefix] = this.location.name.replace(/\/+$/, '').split('/')
    return parseReference(formatReference({ ...name, domain, path: [...prefix, name.path].join('/') }))
  }

  /** The image that has `name` here; undefined where there is none, or none that can be read. Layers are not looked at. */
  async find(name: Reference): Promise<HeldBaseImage | undefined> {
    try {
      const {
        images: [image],
      } = await inspect(this.#locationOf(name), this.#options)
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
    if (this.location.type === 'docker-daemon') {
      using client = await engineAt(this.#options.host)
      await giveName(client, formatReference(name), also, { signal: this.#options.signal })
      return
    }
    await this.put(this.#locationOf(name), [name, also])
  }

  /** Writes the one image of `from`, and gives it `names`. When it throws, the place is as it was. */
  async put(from: string, names: readonly Reference[], layer?: WimLayerOptions): Promise<PutResult> {
    const { location } = this
    if (location.type === 'bundle') return await this.#pack(location.path, from, names, layer)
    const { host, insecure, signal, onProgress } = this.#options
    await using registries = new Registries({ insecure })
    await using staging = await openStaging(location)
    try {
      await using destination = await openDestination(location, { host, registries, signal, onProgress })
      await using source = await openSource(parseLocation(from), {
        host,
        registries,
        layer,
        name: names[0],
        signal,
        onProgress,
        stage: staging,
        spool: async () => staging.blobs,
      })
      const [image] = await source.images({ signal })
      if (!image) throw new StowageError('IMAGE_NOT_FOUND', `${from} holds no image`)
      const blobs = before(staging.blobs, source)
      const content = await readImage(blobs, image.root, { absent: image.absent, signal })
      staging.expect(content)
      const { id, sent, skipped } = await copyContent(blobs, content, destination, { names, signal, onProgress })
      return { id, sent, skipped }
    } catch (error) {
      await staging.undo()
      throw abortError(error, signal)
    }
  }

  /** All that the bundle has, but for what had these names, and the image of `from`. */
  async #pack(
    path: string,
    from: string,
    names: readonly Reference[],
    layer: WimLayerOptions | undefined,
  ): Promise<PutResult> {
    const { host, insecure, signal, onProgress } = this.#options
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
    const { packed, manifest } = await pack([...kept, { image: from, names: given }], path, {
      files,
      layer,
      host,
      insecure,
      signal,
      onProgress,
      update: true,
    })
    const id = packed.at(-1)?.root.digest ?? ''
    const before = new Set(standing?.files.map(file => file.path))
    const sent = manifest.files
      .filter(file => file.path.startsWith('blobs/') && !before.has(file.path))
      .reduce((sum, { size }) => sum + size, 0)
    const size = manifest.images.find(({ root }) => root.digest === id)?.size ?? sent
    return { id, sent, skipped: Math.max(size - sent, 0) }
  }

  /** Whether every layer of the image `name` is there: in a layout each is read. An engine's own word counts. */
  async isWhole(name: Reference): Promise<boolean> {
    const location = parseLocation(this.#locationOf(name))
    if (location.type === 'docker-daemon') return true
    const { host, insecure, signal } = this.#options
    await using registries = new Registries({ insecure })
    await using staging = await openStaging(undefined)
    await using source = await openSource(location, {
      host,
      registries,
      signal,
      stage: staging,
      spool: async () => staging.blobs,
    })
    const [image] = await source.images({ signal })
    if (!image) return false
    const { layers } = await readImage(source, image.root, { absent: image.absent, signal })
    for (const layer of layers) if (!(await source.has(layer))) return false
    return true
  }

  #locationOf(name: Reference): string {
    const [{ location }, full] = [this, formatReference(name)]
    if (location.type === 'docker') return `docker://${full}`
    if (location.type === 'docker-daemon') return `docker-daemon:${full}`
    return formatLocation({ ...location, ref: full })
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
      throw new StowageError('OUTPUT_EXISTS', `${path} is a bundle in one file, which cannot take another image`, {
        hint: `Install into a bundle that is a directory, or into another file, and pack them together: stowage pack bundle:${path} … -o BUNDLE.`,
      })
    }
    return reader.manifest
  } catch (error) {
    if (error instanceof StowageError && ['FILE_NOT_FOUND', 'NOT_A_BUNDLE', 'BUNDLE_INVALID'].includes(error.code))
      return undefined // the writer says what is wrong with it
    throw error
  }
}

/** `source`, but for what was laid down. */
function before(laid: BlobDirectory, source: BlobStore): BlobStore {
  return {
    has: async blob => (await laid.has(blob)) || (await source.has(blob)),
    async *fetch(blob, options) {
      yield* (await laid.has(blob, options)) ? laid.fetch(blob, options) : source.fetch(blob, options)
    },
  }
}

interface Staging extends BlobStage, AsyncDisposable {
  readonly blobs: BlobDirectory
  /** Says what else will be written. */
  expect(content: ImageContent): void
  /** Takes away what was written, from where it would have stayed. */
  undo(): Promise<void>
}

/** Where a layer is made: in a layout in its very place, else in a directory that goes again. */
async function openStaging(location: Location | undefined): Promise<Staging> {
  const written: Digest[] = []
  const layout = location?.type === 'oci' ? location.directory : undefined
  const temporary =
    layout === undefined
      ? await mkdtemp(join(tmpdir(), 'stowage-install-')).catch((error: unknown) => {
          throw fileError(error, tmpdir())
        })
      : undefined
  const trace = layout === undefined ? undefined : await traceLayout(layout)
  const blobs = new BlobDirectory(layout ?? temporary ?? '')
  return {
    blobs,
    expect(content) {
      written.push(...blobsOf(content).map(({ digest }) => digest))
    },
    async create(produce) {
      const made = await blobs.create(produce)
      written.push(made.digest)
      return made
    },
    async undo() {
      await trace?.undo(written)
    },
    async [Symbol.asyncDispose]() {
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true })
    },
  }
}
