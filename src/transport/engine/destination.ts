/**
 * A Docker Engine as a destination: loads each image in one stream under a temporary name, checks it, then names it.
 */
import type { BlobStore, FetchOptions, LeftOutBlob } from '../../blob/blob-store.js'
import type { ImageContent } from '../../blob/closure.js'
import { type EngineCallOptions, engineAt, type EngineClient } from '../../engine/client.js'
import {
  type HeldImage,
  inspectImage,
  listImageManifests,
  MANIFESTS_API,
  readChains,
  sharedLayers,
} from '../../engine/inventory.js'
import { loadArchive } from '../../engine/load-archive.js'
import { checkCompression, layersToSend, type LoadPlan, planEngineLoad } from '../../engine/load-plan.js'
import { giveName } from '../../engine/name.js'
import { checkAnswer, findFlaw } from '../../engine/proof.js'
import { type EngineStore, readStore } from '../../engine/store.js'
import { leftTags, temporaryTag } from '../../engine/temporary-tag.js'
import { abortError, StowageError } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import type { Digest } from '../../oci/digest.js'
import { isIndex } from '../../oci/media-type.js'
import { formatPlatform } from '../../oci/platform.js'
import { familiarReference, formatReference, namesOnce, type Reference, withDefaultTag } from '../../oci/reference.js'
import type { OnProgress, WaitOptions } from '../../progress.js'
import type { DestinationSurvey, ExpectedImage, Measure, MeasureOptions } from '../../image/destination-survey.js'
import type { ImageDestination, ImageKeeper, UnnamedImage, WrittenImage } from '../../image/image-destination.js'

export interface EngineDestinationOptions extends WaitOptions {
  /** The engine's address, in the form of `DOCKER_HOST`; defaults to the engine that `docker` would use. */
  readonly host?: string | undefined
}

/**
 * Connects to the engine and asks for its kind. `signal` and `onProgress` apply to every `write()` that has none of its
 * own. Throws INVALID_ARGUMENT for an invalid address, ENGINE_UNREACHABLE, ENGINE_PROTOCOL.
 *
 * `write()` also throws PLATFORM_MISMATCH, UNSUPPORTED, ENGINE_REFUSED, LOAD_NOT_PROVED and what reading the blobs
 * throws. It does not give the image those `names` that have a digest but no tag: an engine creates them itself, or
 * cannot hold them. An image without a name is loaded without one, and identified by its ID.
 */
export async function openEngineDestination(
  options: EngineDestinationOptions = {},
): Promise<ImageDestination & DestinationSurvey> {
  const { host, signal, onProgress } = options
  const client = await engineAt(host, onProgress)
  try {
    return new EngineDestination(client, await readStore(client, { signal }), { signal, onProgress })
  } catch (error) {
    client[Symbol.dispose]()
    throw error
  }
}

class EngineDestination implements ImageDestination, DestinationSurvey {
  readonly #client: EngineClient
  readonly #store: EngineStore
  readonly #defaults: WaitOptions
  /** Layer chains in the store: those found before the first image, and those of the images loaded since. */
  #chains: string[][] | undefined
  /** Manifests that a containerd store had at first. */
  #whole: ReadonlySet<string> | undefined
  /** Whether an image has got its names. */
  #named = false

  constructor(client: EngineClient, store: EngineStore, defaults: WaitOptions) {
    this.#client = client
    this.#store = store
    this.#defaults = defaults
  }

  get keeper(): ImageKeeper {
    const { engine, api, platform, kind } = this.#store
    return {
      engine,
      api: `1.${api}`,
      platform: formatPlatform(platform),
      store: kind,
      host: this.#client.endpoint.name,
      proved: [
        'id',
        'layers',
        'platform',
        ...(kind === 'containerd' && api >= MANIFESTS_API ? ['content' as const] : []),
      ],
    }
  }

  async write(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options: WaitOptions = {},
  ): Promise<WrittenImage> {
    await using held = await this.hold(image, blobs, names, options)
    return await held.name(names)
  }

  /** An image with a name is held under a temporary tag beside it. */
  async hold(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options: WaitOptions = {},
  ): Promise<UnnamedImage> {
    const { signal = this.#defaults.signal, onProgress = this.#defaults.onProgress } = options
    const [first] = tagsOf(names)
    const subject = first ? familiarReference(first) : image.root.digest
    try {
      const plan = planEngineLoad(image, this.#store, subject)
      const platforms = plan.platforms.map(({ config }) => config.platform)
      const total = sizeOf([...documentsOf(plan), ...plan.layers])
      const loaded = (await this.#holds(plan, { signal }))
        ? undefined
        : await this.#load({ plan, blobs, name: first, subject, signal, onProgress })
      if (loaded) this.#chains?.push([...plan.main.config.diffIds])
      let named = false
      return {
        name: async wanted => {
          const tags = tagsOf(wanted)
          try {
            signal?.throwIfAborted()
            await this.#giveNames(loaded?.name ?? plan.id, tags, { signal })
            named = true
            if (loaded?.temporary) await this.#remove(loaded.name)
            this.#named = true
          } catch (error) {
            throw abortError(error, signal)
          }
          onProgress?.({ type: 'done', subject })
          const sent = loaded?.sent ?? 0
          return { names: tags, id: plan.id, sent, skipped: total - sent, platforms }
        },
        [Symbol.asyncDispose]: async () => {
          if (!named && loaded?.removable) await this.#remove(loaded.name).catch(ignoreVerdict)
        },
      }
    } catch (error) {
      throw abortError(error, signal)
    }
  }

  async measure(
    image: ImageContent,
    names: readonly Reference[],
    { signal = this.#defaults.signal, leftOut }: MeasureOptions = {},
  ): Promise<Measure> {
    const subject = names[0] ? familiarReference(names[0]) : image.root.digest
    const plan = planEngineLoad(image, this.#store, subject)
    const total = sizeOf([...documentsOf(plan), ...plan.layers])
    if (await this.#holds(plan, { signal })) return { send: 0, present: total }
    const held = await this.#heldLayers(plan, { signal })
    const layers = layersToSend(plan, held).filter(({ digest }) => !leftOut?.has(digest))
    checkCompression(layers, this.#store, subject)
    this.#chains?.push([...plan.main.config.diffIds])
    const send = sizeOf([...documentsOf(plan), ...layers])
    return { send, present: total - send }
  }

  async lacking(
    image: ImageContent,
    names: readonly Reference[],
    leftOut: ReadonlyMap<Digest, LeftOutBlob>,
    { signal = this.#defaults.signal }: FetchOptions = {},
  ): Promise<readonly Digest[]> {
    const plan = planEngineLoad(image, this.#store, names[0] ? familiarReference(names[0]) : image.root.digest)
    const wanted = plan.layers.filter(({ digest }) => leftOut.has(digest))
    if (wanted.length === 0 || (await this.#holds(plan, { signal }))) return []
    if (this.#store.kind !== 'containerd') {
      const held = await this.#heldLayers(plan, { signal })
      return layersToSend(plan, held).flatMap(({ digest }) => (leftOut.has(digest) ? [digest] : []))
    }
    const whole = (this.#whole ??= await this.#wholeManifests({ signal }))
    return wanted.flatMap(({ digest }) =>
      leftOut.get(digest)?.manifests?.some(manifest => whole.has(manifest)) ? [] : [digest],
    )
  }

  async unnamed(
    { names, roots, manifests = [], configs }: ExpectedImage,
    { signal = this.#defaults.signal }: FetchOptions = {},
  ): Promise<readonly Reference[]> {
    const ids: readonly string[] = this.#store.kind === 'containerd' ? roots : configs
    const tags = tagsOf(names)
    if (tags.length === 0) {
      // It can have no name there
      const found = await Promise.all(
        ids.map(async id => await inspectImage(this.#client, this.#store, id, { signal })),
      )
      return found.some(image => image && isWhole(image)) ? [] : names
    }
    const lost: Reference[] = []
    for (const name of tags) {
      const found = await inspectImage(this.#client, this.#store, formatReference(name), { signal })
      if (!found || !ids.includes(found.id) || !isWhole(found)) lost.push(name)
    }
    return lost

    function isWhole({ whole }: HeldImage): boolean {
      return whole === undefined || manifests.every(manifest => whole.has(manifest))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // Only now: what a killed run has loaded need not be sent again
      if (this.#named) for (const name of await leftTags(this.#client)) await this.#remove(name)
    } catch (error) {
      if (!(error instanceof StowageError)) throw error // the images are there, and the next run tries again
    } finally {
      this.#client[Symbol.dispose]()
    }
  }

  /** Whether the image is already there and complete, so that nothing needs to be sent. */
  async #holds(plan: LoadPlan, options: EngineCallOptions): Promise<boolean> {
    // An older containerd store does not report whether every platform of an index is there.
    if (this.#store.kind === 'containerd' && this.#store.api < MANIFESTS_API && isIndex(plan.root.mediaType))
      return false
    return (await findFlaw(this.#client, this.#store, plan, plan.id, options)) === undefined
  }

  /** Loads and checks the image. */
  async #load(job: LoadJob): Promise<Loaded> {
    const { plan, blobs, name: wanted, signal } = job
    const held = await this.#heldLayers(plan, { signal })
    const known = await inspectImage(this.#client, this.#store, plan.id, { signal })
    const temporary = wanted && { ...wanted, tag: await temporaryTag() }
    const name = temporary ? formatReference(temporary) : plan.id
    // Without a temporary name, it is removed only if it was not there before.
    const removable = temporary !== undefined || !known
    try {
      const sent = await this.#send(job, held, temporary).catch(async (error: unknown) => {
        // The layers that were counted on may have been removed since: send all layers.
        if (held === 0 || !isVerdict(error) || !(await haveAll(blobs, layersToSend(plan, 0)))) throw error
        return await this.#send(job, 0, temporary)
      })
      return { name, sent, temporary: temporary !== undefined, removable }
    } catch (error) {
      if (removable) await this.#remove(name).catch(ignoreVerdict)
      throw error
    }
  }

  /** Sends one stream without the lowest `held` layers, and checks the result. */
  async #send(job: LoadJob, held: number, temporary: Reference | undefined): Promise<number> {
    const { plan, blobs, subject, signal, onProgress } = job
    // A containerd store was asked for what is left out before anything was sent
    const layers = layersToSend(plan, held).filter(({ digest }) => !blobs.leftOut?.has(digest))
    checkCompression(layers, this.#store, subject)
    blobs.forgo?.(plan.layers.filter(layer => !layers.includes(layer)))
    const total = sizeOf([...documentsOf(plan), ...layers])
    let done = sizeOf(documentsOf(plan))
    onProgress?.({ type: 'stage', stage: 'load', subject })
    const archive = loadArchive(plan, layers, temporary, blobs, {
      signal,
      onBytes: size => {
        done += size
        onProgress?.({ type: 'bytes', subject, done, total })
      },
    })
    checkAnswer(await this.#client.upload('/images/load?quiet=1', archive, { signal }), subject)
    onProgress?.({ type: 'stage', stage: 'prove', subject })
    const name = temporary ? formatReference(temporary) : plan.id
    const flaw = await findFlaw(this.#client, this.#store, plan, name, { signal })
    if (flaw === undefined) return total
    throw new StowageError('LOAD_NOT_PROVED', `the engine accepted ${subject}, but it is not complete there: ${flaw}`, {
      hint: 'No name was moved, and what was loaded was removed. See the log of the engine; a full disk is a common cause.',
    })
  }

  /** Digests of the manifests and indexes that a containerd store has whole. */
  async #wholeManifests(options: EngineCallOptions): Promise<ReadonlySet<string>> {
    const listed = await listImageManifests(this.#client, this.#store, options)
    return new Set(
      listed.flatMap(({ id, whole, absent = [] }) => [...(absent.length === 0 ? [id] : []), ...(whole ?? [])]),
    )
  }

  async #heldLayers(plan: LoadPlan, options: EngineCallOptions): Promise<number> {
    // A containerd store keeps blobs, but does not report which.
    if (this.#store.kind === 'containerd') return 0
    this.#chains ??= await readChains(this.#client, this.#store, options)
    return sharedLayers(this.#chains, plan.main.config.diffIds)
  }

  /** Gives the image all of `tags` or none: if one fails, the earlier ones return to the images that had them. */
  async #giveNames(image: string, tags: readonly Reference[], options: EngineCallOptions): Promise<void> {
    const moved: { readonly tag: Reference; readonly before: string | undefined }[] = []
    try {
      for (const tag of tags) {
        const before = (await inspectImage(this.#client, this.#store, formatReference(tag), options))?.id
        await giveName(this.#client, image, tag)
        moved.push({ tag, before })
      }
    } catch (error) {
      for (const { tag, before } of moved.reverse()) {
        await (before === undefined ? this.#remove(formatReference(tag)) : giveName(this.#client, before, tag)).catch(
          ignoreVerdict,
        )
      }
      throw error
    }
  }

  /** Removes a name, and the image with it if that was its last. A name that does not exist is not an error. */
  async #remove(name: string): Promise<void> {
    if ((await this.#client.find(`/images/${name}/json`)) === undefined) return
    await this.#client.call('DELETE', `/images/${name}?noprune=1`)
  }
}

interface LoadJob {
  readonly plan: LoadPlan
  readonly blobs: BlobStore
  /** Whose repository gets a temporary tag; undefined for an image without a name. */
  readonly name: Reference | undefined
  /** The image's name in messages and progress. */
  readonly subject: string
  readonly signal: AbortSignal | undefined
  readonly onProgress: OnProgress | undefined
}

interface Loaded {
  /** What the engine knows it by. */
  readonly name: string
  /** Whether that is a temporary tag. */
  readonly temporary: boolean
  /** Whether it may be removed: it was not there before. */
  readonly removable: boolean
  /** Bytes of blobs. */
  readonly sent: number
}

/** The names that an engine accepts: each once, with a tag and without a digest. */
function tagsOf(names: readonly Reference[]): readonly Reference[] {
  const tagged = names.map(withDefaultTag).filter(name => name.tag !== undefined)
  return namesOnce(tagged.map(({ digest: _digest, ...name }) => name))
}

function documentsOf({ documents }: LoadPlan): readonly Descriptor[] {
  return documents.map(({ descriptor }) => descriptor)
}

function sizeOf(blobs: readonly Descriptor[]): number {
  return blobs.reduce((sum, blob) => sum + blob.size, 0)
}

async function haveAll(store: BlobStore, blobs: readonly Descriptor[]): Promise<boolean> {
  for (const blob of blobs) if (!(await store.has(blob))) return false
  return true
}

/** Whether the engine itself rejected the image, so that another attempt with all layers may succeed. */
function isVerdict(error: unknown): boolean {
  return error instanceof StowageError && (error.code === 'ENGINE_REFUSED' || error.code === 'LOAD_NOT_PROVED')
}

/** During cleanup, an engine that is unreachable or refuses must not hide the original error. */
function ignoreVerdict(error: unknown): void {
  if (!isVerdict(error) && !(error instanceof StowageError && error.code === 'ENGINE_UNREACHABLE')) throw error
}
