/** A Docker Engine as destination: each image in one stream under a temporary name, proved, and only then named. */
import { randomBytes } from 'node:crypto'
import type { BlobStore } from '../../blob/blob-store.js'
import type { ImageContent } from '../../blob/closure.js'
import { type EngineCallOptions, engineAt, type EngineClient } from '../../engine/client.js'
import { inspectImage, MANIFESTS_API, readChains, sharedLayers } from '../../engine/inventory.js'
import { loadArchive } from '../../engine/load-archive.js'
import { checkCompression, layersToSend, type LoadPlan, planLoad } from '../../engine/load-plan.js'
import { giveName } from '../../engine/name.js'
import { checkAnswer, findFlaw } from '../../engine/proof.js'
import { type EngineStore, readStore } from '../../engine/store.js'
import { abortError, StowageError } from '../../errors.js'
import type { Descriptor } from '../../oci/descriptor.js'
import { isIndex } from '../../oci/media-type.js'
import { familiarReference, formatReference, namesOnce, type Reference, withDefaultTag } from '../../oci/reference.js'
import type { OnProgress, WaitOptions } from '../../progress.js'
import type { ImageDestination, WrittenImage } from '../../image/image-destination.js'

export interface EngineDestinationOptions extends WaitOptions {
  /** Address of the engine, as `DOCKER_HOST` has it; without it the engine that `docker` would speak to. */
  readonly host?: string | undefined
}

/**
 * Connects to the engine and asks what it is. `signal` and `onProgress` hold for every `write()` that has none of its own.
 * Throws INVALID_ARGUMENT for an address that is none, ENGINE_UNREACHABLE, ENGINE_PROTOCOL.
 *
 * `write()` also throws PLATFORM_MISMATCH, UNSUPPORTED, ENGINE_REFUSED, LOAD_NOT_PROVED and what reading the blobs throws.
 * Of `names` those with a digest and no tag are not given: an engine makes them itself, or cannot hold them.
 * An image without a name is loaded without one, and called by its ID.
 */
export async function openEngineDestination(options: EngineDestinationOptions = {}): Promise<ImageDestination> {
  const { host, signal, onProgress } = options
  const client = await engineAt(host)
  try {
    return new EngineDestination(client, await readStore(client, { signal }), { signal, onProgress })
  } catch (error) {
    client[Symbol.dispose]()
    throw error
  }
}

class EngineDestination implements ImageDestination {
  readonly #client: EngineClient
  readonly #store: EngineStore
  readonly #defaults: WaitOptions
  /** Layer chains of the store, as found before the first image and grown by each that was loaded. */
  #chains: string[][] | undefined

  constructor(client: EngineClient, store: EngineStore, defaults: WaitOptions) {
    this.#client = client
    this.#store = store
    this.#defaults = defaults
  }

  async write(
    image: ImageContent,
    blobs: BlobStore,
    names: readonly Reference[],
    options: WaitOptions = {},
  ): Promise<WrittenImage> {
    const { signal = this.#defaults.signal, onProgress = this.#defaults.onProgress } = options
    const tags = tagsOf(names)
    const subject = tags[0] ? familiarReference(tags[0]) : image.root.digest
    try {
      const plan = planLoad(image, this.#store, subject)
      const platforms = plan.platforms.map(({ config }) => config.platform)
      const total = sizeOf([...plan.documents.map(document => document.descriptor), ...plan.layers])
      if (await this.#holds(plan, { signal })) {
        await this.#giveNames(plan.id, tags, { signal })
        onProgress?.({ type: 'done', subject })
        return { names: tags, id: plan.id, sent: 0, skipped: total, platforms }
      }
      const sent = await this.#load({ plan, blobs, tags, subject, signal, onProgress })
      this.#chains?.push([...plan.main.config.diffIds])
      onProgress?.({ type: 'done', subject })
      return { names: tags, id: plan.id, sent, skipped: total - sent, platforms }
    } catch (error) {
      throw abortError(error, signal)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]()
  }

  /** Whether the image is there and whole, so that nothing needs to be sent. */
  async #holds(plan: LoadPlan, options: EngineCallOptions): Promise<boolean> {
    // An older containerd store does not tell whether every platform of an index is there.
    if (this.#store.kind === 'containerd' && this.#store.api < MANIFESTS_API && isIndex(plan.root.mediaType))
      return false
    return (await findFlaw(this.#client, this.#store, plan, plan.id, options)) === undefined
  }

  /** Loads, proves and names the image; gives the bytes of blobs that were sent. */
  async #load(job: LoadJob): Promise<number> {
    const { plan, tags, signal } = job
    const held = await this.#heldLayers(plan, { signal })
    const known = await inspectImage(this.#client, this.#store, plan.id, { signal })
    const temporary = tags[0] && { ...tags[0], tag: `stowage-${randomBytes(8).toString('hex')}` }
    const name = temporary ? formatReference(temporary) : plan.id
    try {
      const sent = await this.#send(job, held, temporary).catch(async (error: unknown) => {
        // What was counted on may have been removed meanwhile: the whole image does not depend on it.
        if (held === 0 || !isVerdict(error)) throw error
        return await this.#send(job, 0, temporary)
      })
      signal?.throwIfAborted()
      await this.#giveNames(name, tags, { signal })
      if (temporary) await this.#remove(name)
      return sent
    } catch (error) {
      // An image without a name of ours goes only if it was not there before.
      if (temporary || !known) await this.#remove(name).catch(ignoreVerdict)
      throw error
    }
  }

  /** One stream and its proof, with the lowest `held` layers left out. */
  async #send(job: LoadJob, held: number, temporary: Reference | undefined): Promise<number> {
    const { plan, blobs, subject, signal, onProgress } = job
    const layers = layersToSend(plan, held)
    checkCompression(layers, this.#store, subject)
    const documents = plan.documents.map(document => document.descriptor)
    const total = sizeOf([...documents, ...layers])
    let done = sizeOf(documents)
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

  async #heldLayers(plan: LoadPlan, options: EngineCallOptions): Promise<number> {
    // containerd's store keeps blobs, and does not tell which.
    if (this.#store.kind === 'containerd') return 0
    this.#chains ??= await readChains(this.#client, this.#store, options)
    return sharedLayers(this.#chains, plan.main.config.diffIds)
  }

  /** Gives all of `tags` to the image, or none: when one fails, those before it go back to what they were. */
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

  /** Takes a name away, and the image with it if that was its last; one that is not there is no error. */
  async #remove(name: string): Promise<void> {
    if ((await this.#client.find(`/images/${name}/json`)) === undefined) return
    await this.#client.call('DELETE', `/images/${name}?noprune=1`)
  }
}

interface LoadJob {
  readonly plan: LoadPlan
  readonly blobs: BlobStore
  readonly tags: readonly Reference[]
  /** What messages and progress call the image. */
  readonly subject: string
  readonly signal: AbortSignal | undefined
  readonly onProgress: OnProgress | undefined
}

/** The names that an engine can be told: each once, tagged, without a digest. */
function tagsOf(names: readonly Reference[]): readonly Reference[] {
  const tagged = names.map(withDefaultTag).filter(name => name.tag !== undefined)
  return namesOnce(tagged.map(({ digest: _digest, ...name }) => name))
}

function sizeOf(blobs: readonly Descriptor[]): number {
  return blobs.reduce((sum, blob) => sum + blob.size, 0)
}

/** Whether the engine itself said no, so that another try with more content may do. */
function isVerdict(error: unknown): boolean {
  return error instanceof StowageError && (error.code === 'ENGINE_REFUSED' || error.code === 'LOAD_NOT_PROVED')
}

/** While clearing up, an engine that is gone or says no must not hide why we clear up. */
function ignoreVerdict(error: unknown): void {
  if (!isVerdict(error) && !(error instanceof StowageError && error.code === 'ENGINE_UNREACHABLE')) throw error
}
