/** Pull: images of registries into a Docker Engine, or into a layout on disk. */
import { readPlatforms } from '../blob/platforms.js'
import { copyContent } from './copy.js'
import { abortError, orError, StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { formatReference, parseReference, type Reference, withDefaultTag } from '../oci/reference.js'
import { openDestination } from '../transport/open.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { parseRepository, tagChoice } from '../registry/tags.js'
import { formatLocation, parseLocation } from '../transport/location.js'
import { usualStore } from '../transport/usual-store.js'
import { openRegistrySource } from '../transport/registry/source.js'

export interface PullOptions extends WaitOptions {
  /** `docker-daemon:`, `oci:DIR`, or `oci:` for the default store; the engine when left out, or the default store where none answers. */
  readonly to?: string | undefined
  /** Every tag of the repositories that are named. */
  readonly allTags?: boolean | undefined
  /** Of an index only these, `os[/arch[/variant]][:os.version]`. */
  readonly platforms?: readonly string[] | undefined
  /** Engine address; without it the engine that `docker` would speak to. */
  readonly host?: string | undefined
  /** Registries (`host[:port]`) to speak plain http with; loopback ones need not be named. */
  readonly insecure?: readonly string[] | undefined
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
  const { allTags = false, platforms, host, insecure, signal, onProgress } = options
  if (names.length === 0) throw new StowageError('INVALID_ARGUMENT', 'no image was named to pull')
  const named = names.map(name => name.replace(/^docker:\/\//, ''))
  const given = named.map(name => (allTags ? parseRepository(name) : withDefaultTag(parseReference(name))))
  const to = parseLocation(options.to ?? (await usualStore(host, signal)))
  if (to.type !== 'docker-daemon' && to.type !== 'oci') {
    throw new StowageError('INVALID_ARGUMENT', `${formatLocation(to)} is no place to pull to`, {
      hint: 'Write docker-daemon:, oci:DIR or oci:; to anything else, stowage copy.',
    })
  }
  try {
    await using registries = new Registries({ insecure })
    const wanted = allTags
      ? (await Promise.all(given.map(async each => await everyTag(each, registries, signal)))).flat()
      : given
    await using destination = await openDestination(to, { host, registries, signal, onProgress })
    const images: PulledImage[] = []
    for (const reference of wanted) images.push(await pull(reference))
    return { to: formatLocation(to), images }

    async function pull(reference: Reference): Promise<PulledImage> {
      const name = formatReference(reference)
      const done = await orError(async (): Promise<PulledImage> => {
        await using source = await openRegistrySource(name, { registries })
        const [image] = await source.images({ signal })
        if (!image) throw new StowageError('IMAGE_NOT_FOUND', `there is no image ${name}`)
        const content = await readPlatforms(source, image.root, { platforms, name, signal })
        const { id, sent, skipped } = await copyContent(source, content, destination, {
          names: image.names,
          signal,
          onProgress,
        })
        return { name, digest: image.root.digest, id, sent, skipped }
      }, signal)
      return done instanceof StowageError ? { name, sent: 0, skipped: 0, error: done } : done
    }
  } catch (error) {
    throw abortError(error, signal)
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
