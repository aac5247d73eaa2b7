/** Push: pushes images from a Docker Engine, a layout or a bundle to the registries in their names. */
import { existsSync } from 'node:fs'
import { abortError, orError, StowageError } from '../errors.js'
import { type Digest, isDigest } from '../oci/digest.js'
import { formatReference, nameToGive, type Reference } from '../oci/reference.js'
import { parseRepository } from '../registry/tags.js'
import type { TransferOptions } from '../transfer/options.js'
import type { TransferPlan } from '../transfer/planner.js'
import { Transfer } from '../transfer/transfer.js'
import { defaultStore } from '../transport/default-store.js'
import { formatLocation, parseLocation } from '../transport/location.js'
import { expectStore, openImageStore } from '../transport/open.js'
import type { Location } from '../transport/transport.js'
import { isFallback, usualStore } from '../transport/usual-store.js'

export interface PushOptions extends TransferOptions {
  /**
   * `docker-daemon:`, `oci:DIR`, `oci:` for the default store, or `bundle:PATH`. Defaults to the engine, or to the
   * default store if no engine answers.
   */
  readonly from?: string | undefined
  /** Whether to push every tag of the named repositories that the store has. */
  readonly allTags?: boolean | undefined
}

/** The result for one image; `error` is set if pushing it failed. */
export interface PushedImage {
  /** The full name. */
  readonly name: string
  /** The digest of the manifest or index that the tag now names, as the registry reports it. */
  readonly digest?: Digest
  /** The size of that manifest, in bytes. */
  readonly size?: number
  /** Bytes sent, and bytes skipped because the registry already had them. */
  readonly sent: number
  readonly skipped: number
  /** As in {@link WrittenImage}, like the next one. */
  readonly strippedFrom?: Digest
  readonly undelivered?: readonly Digest[]
  readonly error?: StowageError
}

export interface PushResult {
  /** The store that the images came from, as a location. */
  readonly from: string
  readonly images: readonly PushedImage[]
}

/**
 * Pushes `names`, then checks what each tag names in the registry. Tries every image, and reports a failure in its
 * `error`. Throws INVALID_ARGUMENT, INVALID_REFERENCE, IMAGE_NOT_FOUND if the store has no tag of a repository, and
 * ABORTED.
 */
export async function pushImages(names: readonly string[], options: PushOptions = {}): Promise<PushResult> {
  const { signal } = options
  const { from, given } = await resolve(names, options)
  try {
    const wanted = options.allTags ? await everyTag(given, from, options) : given
    const images: PushedImage[] = []
    for (const reference of wanted) images.push(await push(reference))
    return { from: formatLocation(from), images }
  } catch (error) {
    throw abortError(error, signal)
  }

  async function push(reference: Reference): Promise<PushedImage> {
    const name = formatReference(reference)
    const done = await orError(async (): Promise<PushedImage> => {
      await using transfer = new Transfer({ location: parseLocation(`docker://${name}`) }, options)
      await using reading = await transfer.read({ ...from, ref: name }, { names: [reference] })
      const [image] = reading.images
      if (!image) throw new StowageError('IMAGE_NOT_FOUND', `${formatLocation(from)} has no image ${name}`)
      const { id, names: _names, platforms: _platforms, ...written } = await transfer.write(image)
      const client = await transfer.registries.get(reference.domain)
      const found = await client.headManifest(reference.path, reference.tag ?? 'latest', { signal })
      if (found?.digest !== id || !isDigest(id)) {
        throw new StowageError(
          'REGISTRY_PROTOCOL',
          `${reference.domain} accepted ${id} as ${name}, but now reports ${found?.digest ?? 'no such image'}`,
          { hint: 'Check whether someone else pushed the same tag.' },
        )
      }
      return { name, digest: id, size: found.size, ...written }
    }, signal)
    return done instanceof StowageError ? { name, sent: 0, skipped: 0, error: done } : done
  }
}

/** What {@link pushImages} would do with the same arguments. An image that is not there has an `error`. */
export async function planPush(names: readonly string[], options: PushOptions = {}): Promise<TransferPlan> {
  const { signal } = options
  const { from, given } = await resolve(names, options)
  try {
    const wanted = options.allTags ? await everyTag(given, from, options) : given
    const [first] = wanted
    // Any registry will do: each image is measured in the one of its own name
    const { Planner } = await import('../transfer/planner.js')
    await using planner = new Planner(first && parseLocation(`docker://${formatReference(first)}`), options)
    for (const reference of wanted) {
      const name = formatReference(reference)
      const add = async (): Promise<void> => await planner.add({ ...from, ref: name }, { names: [reference] })
      const failed = await orError(add, signal)
      if (failed) planner.addFailed({ names: [name], platforms: [], error: failed })
    }
    const { to, ...plan } = await planner.result()
    return wanted.length === 1 && to !== undefined ? { to, ...plan } : plan
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** The store, and the images or, with `allTags`, the repositories. */
async function resolve(names: readonly string[], { allTags = false, from, host, ...waiting }: PushOptions) {
  if (names.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no image was named to push')
  const named = names.map(name => name.replace(/^docker:\/\//, ''))
  const given = named.map(name => (allTags ? parseRepository(name) : nameToGive(name)))
  const store = from ?? (await usualStore(host, waiting))
  const location = parseLocation(store)
  if (isFallback(from, store) && !existsSync(defaultStore())) {
    throw new StowageError('IMAGE_NOT_FOUND', 'no Docker Engine answers, and there is no default store yet', {
      hint: 'Start the engine, name a place that has the image with --from, such as --from bundle:PATH, or fetch one into the default store: stowage pull NAME.',
    })
  }
  expectStore(location, 'push from')
  return { from: location, given }
}

async function everyTag(
  repositories: readonly Reference[],
  from: Location,
  { host, signal, onProgress }: PushOptions,
): Promise<readonly Reference[]> {
  await using store = await openImageStore({ store: formatLocation(from), host, signal, onProgress })
  const held = await store.names({ signal })
  return repositories.flatMap(({ domain, path }) => {
    const found = held.filter(
      name => name.domain === domain && name.path === path && name.tag !== undefined && name.digest === undefined,
    )
    if (found.length > 0) return found
    throw new StowageError(
      'IMAGE_NOT_FOUND',
      `${formatLocation(from)} has no image of ${formatReference({ domain, path })}`,
    )
  })
}
