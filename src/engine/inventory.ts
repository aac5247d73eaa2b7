/** Lists what an engine's store holds, to decide which layers need not be sent, and to verify what arrived. */
import pMap from 'p-map'
import { isObject, type JsonObject, textIn, textsIn } from '../oci/json.js'
import type { Platform } from '../oci/platform.js'
import { listOf, objectOf } from './answer.js'
import type { EngineCallOptions, EngineClient } from './client.js'
import type { EngineStore } from './store.js'

/** An image, as the engine reports it. */
export interface HeldImage {
  /** Digest of the config or, with containerd's store, of the manifest or index. */
  readonly id: string
  /** As the engine writes them: `nginx:1.27`. */
  readonly names: readonly string[]
  readonly platform: Platform
  /** diffIDs, base first; empty if the engine reports none, as for an incomplete image in containerd's store. */
  readonly diffIds: readonly string[]
  /**
   * Digests of the manifests whose content is complete; undefined if the engine does not report them (API below 1.48).
   */
  readonly whole: ReadonlySet<string> | undefined
}

/** The first API version (minor number) that reports which manifests are complete. */
export const MANIFESTS_API = 48

/** The image `name`, a reference, an ID or a digest; undefined if the engine has no such image. */
export async function inspectImage(
  client: EngineClient,
  store: EngineStore,
  name: string,
  options: EngineCallOptions = {},
): Promise<HeldImage | undefined> {
  const query = store.kind === 'containerd' && store.api >= MANIFESTS_API ? '?manifests=1' : ''
  const answer = await client.find(`/images/${name}/json${query}`, options)
  return answer === undefined ? undefined : parseHeldImage(answer, `GET /images/${name}/json`)
}

/** IDs and names of the images that the engine lists. */
export async function listEngineImages(
  client: EngineClient,
  options: EngineCallOptions = {},
): Promise<readonly Pick<HeldImage, 'id' | 'names'>[]> {
  const answer = listOf(await client.call('GET', '/images/json', options), 'GET /images/json')
  return answer.map(item => {
    const image = objectOf(item, 'GET /images/json')
    return { id: textIn(image, 'Id') ?? '', names: textsIn(image['RepoTags']) }
  })
}

/** An image in containerd's store, and which of its manifests are whole; undefined if the engine does not say. */
export interface ListedManifests extends Pick<HeldImage, 'id' | 'names'> {
  readonly whole?: readonly string[] | undefined
  readonly absent?: readonly string[] | undefined
}

/**
 * What an engine with containerd's store lists. Engines with an API below 1.48 list only whole images, and do not say
 * which manifests an index has.
 */
export async function listImageManifests(
  client: EngineClient,
  store: EngineStore,
  options: EngineCallOptions = {},
): Promise<readonly ListedManifests[]> {
  const query = store.api >= MANIFESTS_API ? '?manifests=1' : ''
  const answer = listOf(await client.call('GET', `/images/json${query}`, options), 'GET /images/json')
  return answer.map(item => {
    const image = objectOf(item, 'GET /images/json')
    const manifests = image['Manifests']
    const listed = { id: textIn(image, 'Id') ?? '', names: textsIn(image['RepoTags']) }
    if (!Array.isArray(manifests)) return listed
    const whole = manifests.flatMap(wholeManifest)
    const absent = manifests.flatMap(manifest => textIn(manifest, 'ID') ?? []).filter(digest => !whole.includes(digest))
    return { ...listed, whole, absent }
  })
}

/** The chain of diffIDs of every image that the engine lists. */
export async function readChains(
  client: EngineClient,
  store: EngineStore,
  options: EngineCallOptions = {},
): Promise<string[][]> {
  const images = await listEngineImages(client, options)
  // An image that is removed in the meantime is skipped
  const found = await pMap(images, image => inspectImage(client, store, image.id, options), { concurrency: 4 })
  return found.flatMap(image => (image ? [[...image.diffIds]] : []))
}

/**
 * How many of the layers `diffIds`, from the base up, an engine with `chains` has. A layer is identified together with
 * all layers below it (its chain ID), so the same diffID on another base is a different layer.
 */
export function sharedLayers(chains: readonly (readonly string[])[], diffIds: readonly string[]): number {
  return chains.reduce((most, chain) => {
    const different = diffIds.findIndex((diffId, n) => chain[n] !== diffId)
    return Math.max(most, different < 0 ? diffIds.length : different)
  }, 0)
}

/** The platform and the diffIDs in a response to `GET /images/NAME/json`. */
export function platformAndDiffIds(image: JsonObject): Pick<HeldImage, 'platform' | 'diffIds'> {
  const [variant, version, rootfs] = [textIn(image, 'Variant'), textIn(image, 'OsVersion'), image['RootFS']]
  return {
    platform: {
      os: textIn(image, 'Os') ?? '',
      architecture: textIn(image, 'Architecture') ?? '',
      ...(variant ? { variant } : {}),
      ...(version ? { 'os.version': version } : {}),
    },
    diffIds: isObject(rootfs) ? textsIn(rootfs['Layers']) : [],
  }
}

function parseHeldImage(answer: unknown, where: string): HeldImage {
  const image = objectOf(answer, where)
  const manifests = image['Manifests']
  return {
    id: textIn(image, 'Id') ?? '',
    names: textsIn(image['RepoTags']),
    ...platformAndDiffIds(image),
    whole: Array.isArray(manifests) ? new Set(manifests.flatMap(wholeManifest)) : undefined,
  }
}

function wholeManifest(value: unknown): readonly string[] {
  const digest = isObject(value) && value['Available'] === true ? textIn(value, 'ID') : undefined
  return digest === undefined ? [] : [digest]
}
