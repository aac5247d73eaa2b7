/** A Docker Engine as an image store. Source: Docker Engine API. */
import pMap from 'p-map'
import type { FetchOptions } from '../../blob/blob-store.js'
import { listOf, objectOf } from '../../engine/answer.js'
import { engineAt, type EngineClient } from '../../engine/client.js'
import { listEngineImages, platformAndDiffIds } from '../../engine/inventory.js'
import { giveName } from '../../engine/name.js'
import { type EngineStore, readStore } from '../../engine/store.js'
import { StowageError } from '../../errors.js'
import type {
  CommitOptions,
  HistoryStep,
  ImageStore,
  ImageUser,
  Removal,
  RemoveOptions,
  StoredImage,
  StoredPlatform,
} from '../../image/image-store.js'
import { configDetails } from '../../oci/config-details.js'
import { identityOf } from '../../oci/image-identity.js'
import { type JsonObject, textIn, textsIn } from '../../oci/json.js'
import { formatReference, isReference, namesOnce, parseReference, type Reference } from '../../oci/reference.js'
import type { WaitOptions } from '../../progress.js'

/** Images to query at a time. */
const AT_ONCE = 4

export interface EngineStoreOptions extends WaitOptions {
  readonly host?: string | undefined
}

/** The facts about an image that never change for its ID. */
interface Facts {
  readonly platform: StoredPlatform
  readonly history: readonly { readonly createdBy: string; readonly emptyLayer: boolean }[]
}

/**
 * Throws INVALID_ARGUMENT for an invalid address, ENGINE_UNREACHABLE, ENGINE_PROTOCOL; every call may also throw
 * ENGINE_REFUSED.
 */
export async function openEngineStore({ host, signal, onProgress }: EngineStoreOptions = {}): Promise<ImageStore> {
  const client = await engineAt(host, onProgress)
  try {
    return new DockerStore(client, await readStore(client, { signal }))
  } catch (error) {
    client[Symbol.dispose]()
    throw error
  }
}

class DockerStore implements ImageStore {
  readonly location = 'docker-daemon:'
  readonly #client: EngineClient
  readonly #store: EngineStore
  readonly #facts = new Map<string, Facts>()

  constructor(client: EngineClient, store: EngineStore) {
    this.#client = client
    this.#store = store
  }

  async names(options: FetchOptions = {}): Promise<readonly Reference[]> {
    const listed = await listEngineImages(this.#client, options)
    return listed.flatMap(({ names }) => names.flatMap(name => (isReference(name) ? [parseReference(name)] : [])))
  }

  async images(options: FetchOptions = {}): Promise<readonly StoredImage[]> {
    const shown = new Set((await this.#list('', options)).map(image => textIn(image, 'Id')))
    const all = new Map<string, JsonObject[]>()
    for (const image of await this.#list('?all=1', options)) {
      const id = textIn(image, 'Id')
      if (id !== undefined) all.set(id, [...(all.get(id) ?? []), image])
    }
    const found = await pMap(
      all,
      async ([id, listed]): Promise<readonly StoredImage[]> => {
        const facts = await this.#factsOf(id, options)
        return facts ? [storedImage(id, listed, facts, shown.has(id))] : [] // removed since it was listed
      },
      { concurrency: AT_ONCE },
    )
    return found.flat()
  }

  async history({ id }: StoredImage, options: FetchOptions = {}): Promise<readonly HistoryStep[]> {
    const path = `/images/${id}/history`
    return listOf(await this.#client.call('GET', path, options), `GET ${path}`).map(item => {
      const step = objectOf(item, `GET ${path}`)
      const [own, created] = [textIn(step, 'Id'), timeOf(step['Created'])]
      return {
        ...(own === undefined || own === '<missing>' ? {} : { id: own }),
        ...(created === undefined ? {} : { created }),
        createdBy: textIn(step, 'CreatedBy') ?? '',
        size: numberOf(step, 'Size'),
        comment: textIn(step, 'Comment') ?? '',
      }
    })
  }

  async users({ id }: StoredImage, options: FetchOptions = {}): Promise<readonly ImageUser[]> {
    const path = '/containers/json?all=1'
    return listOf(await this.#client.call('GET', path, options), `GET ${path}`).flatMap(item => {
      const container = objectOf(item, `GET ${path}`)
      if (textIn(container, 'ImageID') !== id) return []
      const [name = ''] = textsIn(container['Names'])
      return [
        { id: textIn(container, 'Id') ?? '', name: name.replace(/^\//, ''), state: textIn(container, 'State') ?? '' },
      ]
    })
  }

  async tag({ id }: StoredImage, name: Reference, options: FetchOptions = {}): Promise<void> {
    await giveName(this.#client, id, name, options)
  }

  async remove(
    image: StoredImage,
    names: readonly string[] | undefined,
    { force = false, prune = true, signal }: RemoveOptions = {},
  ): Promise<readonly Removal[]> {
    const users = force && this.#store.kind === 'podman' ? await this.users(image, { signal }) : []
    if (users.length > 0) {
      throw new StowageError(
        'IMAGE_IN_USE',
        `${this.#store.engine} would remove the containers as well: ${users.map(({ name }) => name).join(', ')}`,
        {
          hint: 'Remove them first: podman rm.',
        },
      )
    }
    if (names)
      return (
        await pMap(names, async name => await this.#delete(name, force, prune, signal), { concurrency: 1 })
      ).flat()
    const removals: Removal[] = []
    const [_last, ...first] = image.names
    try {
      // Without force, an engine removes an image by its ID only if it has at most one name; force would override the
      // check for containers too
      for (const name of first) removals.push(...(await this.#delete(name, false, prune, signal)))
      return [...removals, ...(await this.#delete(image.id, force, prune, signal))]
    } catch (error) {
      const taken = removals.flatMap(removal =>
        'untagged' in removal && isReference(removal.untagged) ? [parseReference(removal.untagged)] : [],
      )
      // Only the first error is reported
      for (const name of taken) if (name.digest === undefined) await this.tag(image, name).catch(() => undefined)
      throw error
    }
  }

  async commit(container: string, { name, author, message, changes, pause, signal }: CommitOptions): Promise<string> {
    const found = await this.#client.find(`/containers/${encodeURIComponent(container)}/json`, { signal })
    if (found === undefined) {
      throw new StowageError(
        'CONTAINER_NOT_FOUND',
        `the engine at ${this.#client.endpoint.name} has no container ${container}`,
        { hint: 'See docker ps -a.' },
      )
    }
    const query = new URLSearchParams({
      container,
      ...(name ? { repo: `${name.domain}/${name.path}`, tag: name.tag ?? 'latest' } : {}),
      ...(author === undefined ? {} : { author }),
      ...(message === undefined ? {} : { comment: message }),
      pause: pause ? '1' : '0',
    })
    for (const change of changes) query.append('changes', change)
    const id = textIn(
      objectOf(await this.#client.call('POST', `/commit?${query.toString()}`, { signal }), 'POST /commit'),
      'Id',
    )
    if (id === undefined)
      throw new StowageError('ENGINE_PROTOCOL', 'POST /commit: the engine created an image but did not report its ID')
    return id
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]()
  }

  async #delete(
    name: string,
    force: boolean,
    prune: boolean,
    signal: AbortSignal | undefined,
  ): Promise<readonly Removal[]> {
    const path = `/images/${name}?force=${force ? 1 : 0}&noprune=${prune ? 0 : 1}`
    return listOf(await this.#client.call('DELETE', path, { signal }), `DELETE ${path}`).flatMap(
      (item): readonly Removal[] => {
        const removal = objectOf(item, `DELETE ${path}`)
        const [untagged, deleted] = [textIn(removal, 'Untagged'), textIn(removal, 'Deleted')]
        return untagged !== undefined ? [{ untagged }] : deleted !== undefined ? [{ deleted }] : []
      },
    )
  }

  async #list(query: string, options: FetchOptions): Promise<readonly JsonObject[]> {
    const path = `/images/json${query}`
    return listOf(await this.#client.call('GET', path, options), `GET ${path}`).map(item =>
      objectOf(item, `GET ${path}`),
    )
  }

  async #factsOf(id: string, options: FetchOptions): Promise<Facts | undefined> {
    const known = this.#facts.get(id)
    if (known) return known
    const path = `/images/${id}/json`
    const answer = await this.#client.find(path, options)
    if (answer === undefined) return undefined
    const image = objectOf(answer, `GET ${path}`)
    const { platform, diffIds } = platformAndDiffIds(image)
    const created = timeOf(textIn(image, 'Created'))
    const facts: Facts = {
      platform: {
        platform,
        diffIds,
        labels: configDetails(image, 'Config').labels,
        ...(created === undefined ? {} : { created }),
      },
      history: platform.os === 'windows' ? await this.#windowsHistory(id, options) : [],
    }
    this.#facts.set(id, facts)
    return facts
  }

  /** Read only for Windows images: it shows whether the image is a base OS image. */
  async #windowsHistory(id: string, options: FetchOptions): Promise<Facts['history']> {
    const path = `/images/${id}/history`
    const answer = await this.#client.find(path, options)
    return listOf(answer, `GET ${path}`).map(item => ({
      createdBy: textIn(objectOf(item, `GET ${path}`), 'CreatedBy') ?? '',
      emptyLayer: false,
    }))
  }
}

/** Engines list an image once, or once for each of its names or platforms. */
function storedImage(
  id: string,
  listed: readonly JsonObject[],
  { platform, history }: Facts,
  shown: boolean,
): StoredImage {
  const references = (key: string): readonly Reference[] =>
    namesOnce(
      listed
        .flatMap(image => textsIn(image[key]))
        .filter(name => !name.startsWith('<none>') && isReference(name))
        .map(parseReference),
    )
  const names = references('RepoTags')
  const digests = references('RepoDigests')
  const created = platform.created ?? timeOf(listed[0]?.['Created'])
  return {
    id,
    type: shown ? 'image' : 'intermediate',
    names: names.map(formatReference),
    refNames: [],
    digests: digests.map(formatReference),
    ...(created === undefined ? {} : { created }),
    size: Math.max(...listed.map(image => numberOf(image, 'Size'))),
    platforms: [platform],
    ...identityOf(
      { labels: platform.labels, history },
      platform.platform,
      platform.diffIds.length,
      names.length > 0 ? names : digests,
    ),
  }
}

function numberOf(object: JsonObject, key: string): number {
  const value = object[key]
  return typeof value === 'number' && value >= 0 ? value : 0
}

/** From seconds since 1970 or RFC 3339; engines report the year 1 for an unknown time. */
function timeOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' || value.startsWith('0001-') ? undefined : value
  return typeof value === 'number' && value > 0 && value < 8.64e12 ? new Date(value * 1000).toISOString() : undefined
}
