/** Pull: images of registries into a Docker Engine, or into a layout on disk. */
import { abortError, orError, StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { formatReference, parseReference, type Reference, withDefaultTag } from '../oci/reference.js'
import type { Registries } from '../registry/registries.js'
import { parseRepository, tagChoice } from '../registry/tags.js'
import type { TransferOptions } from '../transfer/options.js'
import { Transfer } from '../transfer/transfer.js'
import { formatLocation, parseLocation } from '../transport/location.js'
import { expectStore } from '../transport/open.js'
import { usualStore } from '../transport/usual-store.js'

export interface PullOptions extends TransferOptions {
  /** `docker-daemon:`, `oci:DIR`, or `oci:` for the default store; the engine when left out, or the default store where none answers. */
  readonly to?: string | undefined
  /** Every tag of the repositories that are named. */
  readonly allTags?: boolean | undefined
}

/** What became of one image; `error` stands where it did not come. */
export interface PulledImage {
  /** In full. */
  readonly name: string
  /** Of the root in the registry. */
  readonly digest?: Digest
  /** How the destination calls it. */
  readonly id?: string
  /** Bytes sent, and bytes left out because the destination had them. */
  readonly sent: number
  readonly skipped: number
  readonly error?: StowageError
}

export interface PullResult {
  /** Where the images went, as a location. */
  readonly to: string
  readonly images: readonly PulledImage[]
}

/**
 * Pulls `names`. Every image is tried: what failed is in its `error`. Throws for the whole what opening the destination and listing
 * tags throws, INVALID_ARGUMENT, INVALID_REFERENCE, and ABORTED.
 */
export async function pullImages(names: readonly string[], options: PullOptions = {}): Promise<PullResult> {
  const { allTags = false, host, signal } = options
  if (names.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no image was named to pull')
  const named = names.map(name => name.replace(/^docker:\/\//, ''))
  const given = named.map(name => (allTags ? parseRepository(name) : withDefaultTag(parseReference(name))))
  const to = parseLocation(options.to ?? (await usualStore(host, signal)))
  expectStore(to, 'pull to', { writable: true })
  try {
    await using transfer = new Transfer({ location: to }, options)
    const wanted = allTags
      ? (await Promise.all(given.map(async each => await everyTag(each, transfer.registries, signal)))).flat()
      : given
    await transfer.destination()
    const images: PulledImage[] = []
    for (const reference of wanted) images.push(await pull(reference, transfer))
    return { to: formatLocation(to), images }
  } catch (error) {
    throw abortError(error, signal)
  }

  async function pull(reference: Reference, transfer: Transfer): Promise<PulledImage> {
    const name = formatReference(reference)
    const done = await orError(async (): Promise<PulledImage> => {
      await using reading = await transfer.read(parseLocation(`docker://${name}`))
      const [image] = reading.images
      if (!image) throw new StowageError('IMAGE_NOT_FOUND', `there is no image ${name}`)
      const { id, sent, skipped } = await transfer.write(image)
      return { name, digest: image.root, id, sent, skipped }
    }, signal)
    return done instanceof StowageError ? { name, sent: 0, skipped: 0, error: done } : done
  }
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
