/** Pull: pulls images from registries into a Docker Engine or a layout on disk. */
import { abortError, orError, StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { formatReference, parseReference, type Reference, withDefaultTag } from '../oci/reference.js'
import type { Registries } from '../registry/registries.js'
import { parseRepository, tagChoice } from '../registry/tags.js'
import type { TransferOptions } from '../transfer/options.js'
import type { TransferPlan } from '../transfer/planner.js'
import { type Reading, Transfer } from '../transfer/transfer.js'
import { destinationLocation, formatLocation, parseLocation } from '../transport/location.js'
import { expectStore } from '../transport/open.js'
import { usualStore } from '../transport/usual-store.js'

export interface PullOptions extends TransferOptions {
  /**
   * `docker-daemon:`, `oci:DIR`, or `oci:` for the default store. Defaults to the engine, or to the default store if no
   * engine answers.
   */
  readonly to?: string | undefined
  /** Whether to pull every tag of the named repositories. */
  readonly allTags?: boolean | undefined
}

/** The result for one image; `error` is set if pulling it failed. */
export interface PulledImage {
  /** The full name. */
  readonly name: string
  /** The digest of the root in the registry. */
  readonly digest?: Digest
  /** The ID at the destination. */
  readonly id?: string
  /** Bytes sent, and bytes skipped because the destination already had them. */
  readonly sent: number
  readonly skipped: number
  readonly error?: StowageError
}

export interface PullResult {
  /** The destination, as a location. */
  readonly to: string
  readonly images: readonly PulledImage[]
}

/**
 * Pulls `names`. Tries every image, and reports a failure in its `error`. Throws what opening the destination and
 * listing tags throw, INVALID_ARGUMENT, INVALID_REFERENCE, and ABORTED.
 */
export async function pullImages(names: readonly string[], options: PullOptions = {}): Promise<PullResult> {
  const { signal } = options
  const { to, given } = await resolve(names, options)
  try {
    await using transfer = new Transfer({ location: to }, options)
    const wanted = await expand(given, transfer.registries, options)
    await transfer.destination()
    const found = new Map<Reference, Reading | StowageError>()
    try {
      // What there is no room for is not begun
      for (const reference of wanted) found.set(reference, await orError(async () => await read(reference), signal))
      await transfer.expect([...found.values()].flatMap(each => (each instanceof StowageError ? [] : each.images)))
      const images: PulledImage[] = []
      for (const [reference, reading] of found) images.push(await pull(reference, reading))
      return { to: formatLocation(to), images }
    } finally {
      for (const reading of found.values()) if (!(reading instanceof StowageError)) await reading[Symbol.asyncDispose]()
    }

    async function read(reference: Reference): Promise<Reading> {
      return await transfer.read(parseLocation(`docker://${formatReference(reference)}`))
    }

    async function pull(reference: Reference, reading: Reading | StowageError): Promise<PulledImage> {
      const name = formatReference(reference)
      const done = await orError(async (): Promise<PulledImage> => {
        if (reading instanceof StowageError) throw reading
        const [image] = reading.images
        if (!image) throw new StowageError('IMAGE_NOT_FOUND', `there is no image ${name}`)
        const { id, sent, skipped } = await transfer.write(image)
        return { name, digest: image.root, id, sent, skipped }
      }, signal)
      return done instanceof StowageError ? { name, sent: 0, skipped: 0, error: done } : done
    }
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** What {@link pullImages} would do with the same arguments. An image that it cannot find has an `error`. */
export async function planPull(names: readonly string[], options: PullOptions = {}): Promise<TransferPlan> {
  const { signal } = options
  const { to, given } = await resolve(names, options)
  try {
    const { Planner } = await import('../transfer/planner.js')
    await using planner = new Planner(to, options)
    await planner.open()
    for (const reference of await expand(given, planner.transfer.registries, options)) {
      const name = formatReference(reference)
      const failed = await orError(async () => await planner.add(parseLocation(`docker://${name}`)), signal)
      if (failed) planner.addFailed({ names: [name], platforms: [], error: failed })
    }
    return await planner.result()
  } catch (error) {
    throw abortError(error, signal)
  }
}

/** The destination, and the images or, with `allTags`, the repositories. */
async function resolve(names: readonly string[], { allTags = false, to, host, ...waiting }: PullOptions) {
  if (names.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no image was named to pull')
  const named = names.map(name => name.replace(/^docker:\/\//, ''))
  const given = named.map(name => (allTags ? parseRepository(name) : withDefaultTag(parseReference(name))))
  const location = destinationLocation(to ?? (await usualStore(host, waiting)))
  expectStore(location, 'pull to', { writable: true })
  return { to: location, given }
}

async function expand(
  given: readonly Reference[],
  registries: Registries,
  { allTags = false, signal }: PullOptions,
): Promise<readonly Reference[]> {
  if (!allTags) return given
  return (await Promise.all(given.map(async each => await everyTag(each, registries, signal)))).flat()
}

async function everyTag(
  { domain, path }: Reference,
  registries: Registries,
  signal: AbortSignal | undefined,
): Promise<readonly Reference[]> {
  const tags = new Set<string>()
  for await (const tag of (await registries.get(domain)).tags(path, { signal })) tags.add(tag)
  return tagChoice({})([...tags]).map(tag => ({ domain, path, tag }))
}
