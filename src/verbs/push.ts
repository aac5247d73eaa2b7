/** Push: images of a Docker Engine, of a layout or of a bundle to the registries that their names are in. */
import { openBundleReader } from '../bundle/reader.js'
import { copy } from './copy.js'
import { engineAt } from '../engine/client.js'
import { listImages } from '../engine/inventory.js'
import { abortError, orError, StowageError } from '../errors.js'
import { type Digest, isDigest } from '../oci/digest.js'
import { nameOf } from '../oci/layout.js'
import { formatReference, isReference, nameToGive, parseReference, type Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import { usualStore } from '../transport/usual-store.js'
import { Registries } from '../registry/registries.js'
import { parseRepository } from '../registry/tags.js'
import { readLayoutIndex } from '../transport/oci/source.js'
import { formatLocation, type Location, parseLocation } from '../transport/location.js'

export interface PushOptions extends WaitOptions {
  /** `docker-daemon:`, `oci:DIR`, `oci:` for the default store, or `bundle:PATH`; the engine when left out, or the default store where none answers. */
  readonly from?: string | undefined
  /** Every tag that the place has of the repositories that are named. */
  readonly allTags?: boolean | undefined
  /** Engine address; without it the engine that `docker` would speak to. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to speak plain http with; loopback ones need not be named. */
  readonly insecure?: readonly string[] | undefined
}

/** What became of one image; `error` stands where it is not there. */
export interface PushedImage {
  /** In full. */
  readonly name: string
  /** Of the manifest or index that the tag now names, as the registry says itself. */
  readonly digest?: Digest
  /** Of that manifest, in bytes. */
  readonly size?: number
  /** Bytes sent, and bytes left out because the registry had them. */
  readonly sent: number
  readonly skipped: number
  readonly error?: StowageError
}

export interface PushResult {
  /** Where the images came from, as a location. */
  readonly from: string
  readonly images: readonly PushedImage[]
}

/**
 * Pushes `names`, and asks the registry afterwards what each tag names. Every image is tried: what failed is in its `error`.
 * Throws for the whole INVALID_ARGUMENT, INVALID_REFERENCE, IMAGE_NOT_FOUND where no tag is there of a repository, and ABORTED.
 */
export async function pushImages(names: readonly string[], options: PushOptions = {}): Promise<PushResult> {
  const { allTags = false, host, insecure, signal, onProgress } = options
  if (names.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no image was named to push')
  const named = names.map(name => name.replace(/^docker:\/\//, ''))
  const given = named.map(name => (allTags ? parseRepository(name) : nameToGive(name)))
  const from = parseLocation(options.from ?? (await usualStore(host, signal)))
  if (!isStore(from)) {
    throw new StowageError('INVALID_ARGUMENT', `${formatLocation(from)} is no place to push from`, {
      hint: 'Write docker-daemon:, oci:DIR, oci: or bundle:PATH; from anything else, stowage copy.',
    })
  }
  try {
    const wanted = allTags ? await everyTag(given, from, host, signal) : given
    await using registries = new Registries({ insecure })
    const images: PushedImage[] = []
    for (const reference of wanted) images.push(await push(reference))
    return { from: formatLocation(from), images }

    async function push(reference: Reference): Promise<PushedImage> {
      const name = formatReference(reference)
      const done = await orError(async (): Promise<PushedImage> => {
        const { id, sent, skipped } = await copy(imageOf(from, name), `docker://${name}`, {
          host,
          insecure,
          signal,
          onProgress,
        })
        const client = await registries.get(reference.domain)
        const found = await client.headManifest(reference.path, reference.tag ?? 'latest', { signal })
        if (found?.digest !== id || !isDigest(id)) {
          throw new StowageError(
            'REGISTRY_PROTOCOL',
            `${reference.domain} took ${id} as ${name}, and says now that it is ${found?.digest ?? 'not there'}`,
            { hint: 'Did someone else push the same tag?' },
          )
        }
        return { name, digest: id, size: found.size, sent, skipped }
      }, signal)
      return done instanceof StowageError ? { name, sent: 0, skipped: 0, error: done } : done
    }
  } catch (error) {
    throw abortError(error, signal)
  }
}

type Store = Extract<Location, { type: 'docker-daemon' | 'oci' | 'bundle' }>

/** A place of several images, none of them named. */
function isStore(place: Location): place is Store {
  if (place.type === 'docker-daemon') return place.name === undefined
  return (place.type === 'oci' || place.type === 'bundle') && place.ref === undefined
}

function imageOf(place: Location, name: string): string {
  return formatLocation(
    place.type === 'oci' || place.type === 'bundle' ? { ...place, ref: name } : { type: 'docker-daemon', name },
  )
}

async function everyTag(
  repositories: readonly Reference[],
  from: Store,
  host: string | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly Reference[]> {
  const held = await namesIn(from, host, signal)
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

async function namesIn(
  from: Store,
  host: string | undefined,
  signal: AbortSignal | undefined,
): Promise<readonly Reference[]> {
  if (from.type === 'bundle') {
    await using bundle = await openBundleReader(from.path, { signal })
    return bundle.manifest.images.flatMap(({ names }) => names.map(parseReference))
  }
  if (from.type === 'oci') return (await readLayoutIndex(from.directory)).flatMap(entry => nameOf(entry) ?? [])
  using client = await engineAt(host)
  return (await listImages(client, { signal })).flatMap(({ names }) =>
    names.flatMap(name => (isReference(name) ? [parseReference(name)] : [])),
  )
}
