/** What the destination of a delta has, from inventories and bundles; and what a bundle can therefore leave out. */
import { open, readFile, stat } from 'node:fs/promises'
import type { ImageContent } from '../blob/closure.js'
import { sizeOf } from '../blob/closure.js'
import { stripAbsent } from '../blob/stripped.js'
import { comparePaths } from '../bundle/checksums.js'
import type { AssumedImage, AssumedLayer, AssumptionSource, BundleAssumption } from '../bundle/delta.js'
import type { BundleManifest } from '../bundle/manifest.js'
import { openBundleReader } from '../bundle/reader.js'
import { sharedLayers } from '../engine/inventory.js'
import { abortError, fileError, StowageError } from '../errors.js'
import type { Inventory } from '../image/inventory.js'
import { type Digest, digestFromHex, digestOf } from '../oci/digest.js'
import { isIndex } from '../oci/media-type.js'
import { formatReference, parseReference, type Reference } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import { nameAt } from '../transfer/names.js'
import { parseLocation, transportOf } from '../transport/location.js'
import { INVENTORY_LIMIT, mayBeInventory, parseInventory } from './inventory-file.js'

/** An image with its names, as it would be packed. */
export interface WantedImage {
  readonly content: ImageContent
  readonly names: readonly Reference[]
}

/** An image that a place has, under one name. */
interface HeldImage {
  readonly ids: ReadonlySet<Digest>
  /** Manifests that its index lists and that are not there. */
  readonly absent: ReadonlySet<Digest>
}

/** What one place has. */
export interface HeldPlace {
  readonly source: AssumptionSource
  /** By name. */
  readonly images: ReadonlyMap<string, readonly HeldImage[]>
  /** Digests of blobs, each with manifests of whole images that have it. */
  readonly blobs: ReadonlyMap<Digest, readonly Digest[]>
  /** Chains of diffIDs. */
  readonly chains: readonly (readonly Digest[])[]
  /** What a registry has in each repository: it does not hand blobs from one to another unasked. */
  readonly repositories?: ReadonlyMap<string, ReadonlySet<Digest>>
}

/**
 * Reads what `path` says that the destination has: an inventory, or a bundle that was loaded there. Throws
 * FILE_NOT_FOUND, INVALID_MANIFEST, and what opening a bundle throws.
 */
export async function readHeld(path: string, { signal }: WaitOptions = {}): Promise<HeldPlace> {
  const file = path.replace(/^bundle:/, '')
  if (await isInventoryFile(file)) {
    const { inventory, digest } = await readInventoryFile(file, { signal })
    return heldOfInventory(inventory, digest)
  }
  await using reader = await openBundleReader(file, { layers: false, signal })
  if (!reader.digest) throw new TypeError('a bundle that is read for its manifest does not pass')
  return heldOfBundle(reader.manifest, reader.digest)
}

/** Whether the file `path` begins like an inventory, as no bundle does. Throws FILE_NOT_FOUND. */
export async function isInventoryFile(path: string): Promise<boolean> {
  try {
    if (!(await stat(path)).isFile()) return false
    await using file = await open(path, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0)
    return mayBeInventory(buffer.subarray(0, bytesRead))
  } catch (error) {
    throw fileError(error, path)
  }
}

/** Reads the file of an inventory. Throws INVALID_MANIFEST, FILE_NOT_FOUND, UNSUPPORTED. */
export async function readInventoryFile(
  path: string,
  { signal }: WaitOptions = {},
): Promise<{ readonly inventory: Inventory; readonly digest: Digest }> {
  try {
    const { size } = await stat(path)
    if (size > INVENTORY_LIMIT) {
      const limit = `the limit is ${INVENTORY_LIMIT}`
      throw new StowageError('INVALID_MANIFEST', `${path}: an inventory of ${size} bytes; ${limit}`)
    }
    const bytes = await readFile(path, { signal })
    return { inventory: parseInventory(bytes, path), digest: digestOf(bytes) }
  } catch (error) {
    throw abortError(fileError(error, path), signal)
  }
}

function heldOfInventory({ place, kind, images }: Inventory, digest: Digest): HeldPlace {
  const byName = new Map<string, HeldImage[]>()
  const blobs = new Map<Digest, Digest[]>()
  const repositories = new Map<string, Set<Digest>>()
  for (const { names, id, layers, manifests = [], absent = [] } of images) {
    for (const name of names) add(byName, name, { ids: new Set([id]), absent: new Set(absent) })
    if (kind !== 'blobs') continue
    const whole = absent.length === 0 ? [id, ...manifests] : manifests
    for (const layer of layers) add(blobs, layer.digest, ...whole)
    for (const { domain, path } of names.map(parseReference)) {
      const repository = repositories.get(`${domain}/${path}`) ?? new Set()
      for (const layer of layers) repository.add(layer.digest)
      repositories.set(`${domain}/${path}`, repository)
    }
  }
  return {
    source: { place, digest },
    images: byName,
    blobs,
    chains: kind === 'layers' ? images.map(({ layers }) => layers.map(layer => layer.digest)) : [],
    ...(isRegistry(place) ? { repositories } : {}),
  }
}

/** Whether the place of an inventory, which anyone may have written, is a registry. */
function isRegistry(place: string): boolean {
  try {
    return transportOf(parseLocation(place)).destination?.naming === 'prefix'
  } catch (error) {
    if (error instanceof StowageError) return false
    throw error
  }
}

/** What a place has once the bundle has been loaded there. */
function heldOfBundle({ images, assumes, files }: BundleManifest, digest: Digest): HeldPlace {
  const byName = new Map<string, HeldImage[]>()
  const blobs = new Map<Digest, Digest[]>()
  for (const { path } of files) {
    const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1]
    if (hex !== undefined) blobs.set(digestFromHex(hex), [])
  }
  for (const { digest: left, manifests = [] } of assumes?.layers ?? []) blobs.set(left, [...manifests])
  for (const { names, root, original, absent = [], platforms } of images) {
    const [only, ...others] = platforms
    const config = only && others.length === 0 ? [only.config] : []
    const ids = new Set([root.digest, ...(original ? [original.digest] : []), ...config])
    for (const name of names) add(byName, name, { ids, absent: new Set(absent) })
    for (const { manifest, layers } of platforms) for (const layer of layers) add(blobs, layer.digest, manifest)
  }
  for (const { names, roots, configs } of assumes?.images ?? []) {
    const ids = new Set([...roots, ...(configs.length === 1 ? configs : [])])
    for (const name of names) add(byName, name, { ids, absent: new Set<Digest>() })
  }
  const chains = images.flatMap(({ platforms }) => platforms.map(({ layers }) => layers.map(({ diffId }) => diffId)))
  return { source: { place: 'bundle', digest }, images: byName, blobs, chains }
}

/** Adds to the list under `key`; many images may share a layer. */
function add<Key, Value>(lists: Map<Key, Value[]>, key: Key, ...values: readonly Value[]): void {
  const list = lists.get(key)
  if (list) list.push(...values)
  else lists.set(key, [...values])
}

/** What a bundle of some images leaves out. */
export interface Leaving<Image extends WantedImage> {
  /** Undefined if it leaves out nothing, and so is a whole bundle. */
  readonly assumes: BundleAssumption | undefined
  /** The images that are in the bundle. */
  readonly carried: readonly Image[]
}

/**
 * What a bundle of `images` can leave out: what each of `sites` has, which are one or more. A site has what its places
 * have together.
 */
export function leavingOf<Image extends WantedImage>(
  images: readonly Image[],
  sites: readonly (readonly HeldPlace[])[],
): Leaving<Image> {
  const left = images.filter(
    image => image.names.length > 0 && sites.every(places => places.some(place => hasImage(place, image))),
  )
  const carried = images.filter(image => !left.includes(image))
  const layers = inAll(sites.map(places => leftLayers(carried, places)))
  if (left.length === 0 && layers.length === 0) return { assumes: undefined, carried }
  const assumes = {
    sources: sourcesOf(sites),
    images: left.map(assumedImage).sort((a, b) => comparePaths(a.names[0] ?? '', b.names[0] ?? '')),
    layers,
  }
  return { assumes, carried }
}

/** Sorted by digest, and so numbered, whatever the order of `sites`. */
function sourcesOf(sites: readonly (readonly HeldPlace[])[]): readonly AssumptionSource[] {
  const sorted = sites.map(places =>
    places.map(({ source }) => source).sort((a, b) => comparePaths(a.digest, b.digest)),
  )
  const ordered = sorted.sort(([a], [b]) => comparePaths(a?.digest ?? '', b?.digest ?? ''))
  if (ordered.length === 1) return ordered.flat()
  return ordered.flatMap((sources, n) => sources.map(source => ({ ...source, site: n + 1 })))
}

/** The layers that are in every list; each site proves a layer by one of its own manifests. */
function inAll([first = [], ...others]: readonly (readonly AssumedLayer[])[]): readonly AssumedLayer[] {
  const lists = others.map(list => new Map(list.map(layer => [layer.digest, layer])))
  return first.flatMap(layer => {
    const found = lists.map(list => list.get(layer.digest))
    if (found.includes(undefined)) return []
    const manifests = [...new Set([layer, ...found].flatMap(each => each?.manifests ?? []))].sort()
    return [{ digest: layer.digest, size: layer.size, ...(manifests.length > 0 ? { manifests } : {}) }]
  })
}

/** What `places` together do not have of what a delta leaves out. */
export function missingFrom(places: readonly HeldPlace[], { images, assumes }: BundleManifest): MissingFromPlaces {
  const lost = (assumes?.images ?? []).filter(
    ({ names, roots, configs, manifests = [] }) =>
      !places.some(place => hasIds(place, names.map(parseReference), [...roots, ...configs], manifests)),
  )
  const layers = (assumes?.layers ?? []).filter(({ digest }) =>
    images.some(({ names, platforms }) => {
      const references = names.map(parseReference)
      if (places.some(place => blobIn(place, digest, references))) return false
      return platforms.some(platform => {
        const diffIds = platform.layers.map(({ diffId }) => diffId)
        const held = Math.max(0, ...places.map(({ chains }) => sharedLayers(chains, diffIds)))
        return platform.layers.slice(held).some(layer => layer.digest === digest)
      })
    }),
  )
  return { images: lost, layers }
}

export interface MissingFromPlaces {
  readonly images: readonly AssumedImage[]
  readonly layers: readonly AssumedLayer[]
}

/** The layers of `images` that are at their destination wherever they are needed, sorted by digest. */
function leftLayers(images: readonly WantedImage[], places: readonly HeldPlace[]): readonly AssumedLayer[] {
  const layers = new Map<Digest, { readonly size: number; readonly manifests: Set<Digest> }>()
  const needed = new Set<Digest>()
  const before = new Set(images.flatMap(({ names }) => idsUnder(places, names)))
  for (const { content, names } of images) {
    const inChains = layersInChains(content, places)
    for (const { digest, size } of content.layers) {
      const found = places.flatMap(place => blobIn(place, digest, names) ?? [])
      if (found.length === 0 && !inChains.has(digest)) needed.add(digest)
      const { manifests } = layers.get(digest) ?? { manifests: new Set<Digest>() }
      for (const each of found) for (const manifest of each.manifests) manifests.add(manifest)
      layers.set(digest, { size, manifests })
    }
  }
  return [...layers]
    .filter(([digest]) => !needed.has(digest))
    .sort(([a], [b]) => comparePaths(a, b))
    .map(([digest, { size, manifests: all }]) => {
      const manifests = proofsAmong(all, before)
      return { digest, size, ...(manifests.length > 0 ? { manifests } : {}) }
    })
}

/** Manifests that are named for each layer: any of them proves it, and hundreds of images may share a layer. */
const MOST_PROOFS = 8

/** Some of `manifests`, sorted: first those of `before`, images which those of the delta replace, and which are there most likely. */
function proofsAmong(manifests: ReadonlySet<Digest>, before: ReadonlySet<Digest>): readonly Digest[] {
  const sorted = [...manifests].sort()
  const likely = sorted.filter(digest => before.has(digest))
  const others = sorted.filter(digest => !before.has(digest))
  return [...likely, ...others].slice(0, MOST_PROOFS).sort()
}

/** The digests of the images that `places` have under `names`. */
function idsUnder(places: readonly HeldPlace[], names: readonly Reference[]): readonly Digest[] {
  return places.flatMap(place =>
    names.flatMap(name => (place.images.get(nameIn(place, name)) ?? []).flatMap(({ ids }) => [...ids])),
  )
}

/** The layers of an image that an engine of `places` has, for every platform that needs them. */
function layersInChains({ platforms }: ImageContent, places: readonly HeldPlace[]): ReadonlySet<Digest> {
  const found = new Set<Digest>()
  const needed = new Set<Digest>()
  for (const { manifest, config } of platforms) {
    const held = Math.max(0, ...places.map(({ chains }) => sharedLayers(chains, config.diffIds)))
    manifest.layers.forEach(({ digest }, n) => (n < held ? found : needed).add(digest))
  }
  return new Set([...found].filter(digest => !needed.has(digest)))
}

/** Whether the place has all of the image, under all of its names. */
function hasImage(place: HeldPlace, { content, names }: WantedImage): boolean {
  const ids = [...rootsOf(content), ...configOf(content)]
  const wanted = content.manifests.map(({ descriptor }) => descriptor.digest)
  return hasIds(place, names, ids, wanted)
}

/** Whether the place has an image with one of `ids` and all manifests of `wanted` under all of `names`. */
function hasIds(
  place: HeldPlace,
  names: readonly Reference[],
  ids: readonly Digest[],
  wanted: readonly Digest[],
): boolean {
  return names.every(name =>
    (place.images.get(nameIn(place, name)) ?? []).some(
      image => ids.some(id => image.ids.has(id)) && !wanted.some(digest => image.absent.has(digest)),
    ),
  )
}

/** The place's manifests with the blob; undefined if it does not have the blob in all repositories of `names`. */
function blobIn(
  place: HeldPlace,
  digest: Digest,
  names: readonly Reference[],
): { readonly manifests: readonly Digest[] } | undefined {
  const manifests = place.blobs.get(digest)
  if (!manifests || !place.repositories) return manifests && { manifests }
  const there = names.every(name => {
    const { domain, path } = parseReference(nameIn(place, name))
    return place.repositories?.get(`${domain}/${path}`)?.has(digest)
  })
  return there && names.length > 0 ? { manifests } : undefined
}

function nameIn(place: HeldPlace, name: Reference): string {
  const { repositories, source } = place
  return formatReference(repositories ? nameAt(parseLocation(source.place), name) : name)
}

function assumedImage({ content, names }: WantedImage): AssumedImage {
  const manifests = isIndex(content.root.mediaType) ? content.platforms.map(({ descriptor }) => descriptor.digest) : []
  return {
    names: names.map(formatReference).sort(),
    roots: rootsOf(content),
    ...(manifests.length > 0 ? { manifests } : {}),
    ...(content.absent.length > 0 ? { absent: content.absent.map(({ digest }) => digest) } : {}),
    configs: [...new Set(content.platforms.map(({ manifest }) => manifest.config.digest))],
    size: sizeOf(content),
  }
}

/** The root of an image; of a sparse index, also that of the complete one. */
function rootsOf(content: ImageContent): readonly Digest[] {
  return [...new Set([content.root.digest, stripAbsent(content).root.digest])]
}

function configOf({ platforms }: ImageContent): readonly Digest[] {
  const [only, ...others] = platforms
  return only && others.length === 0 ? [only.manifest.config.digest] : []
}
