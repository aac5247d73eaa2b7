/** The catalog of a server: repositories, their tags, and the manifests and blobs that these reach. */
import pMap from 'p-map'
import { DEPTH_LIMIT } from '../blob/closure.js'
import { StowageError } from '../errors.js'
import { CONFIG_LIMIT, parseRunnableConfig } from '../oci/config.js'
import type { Descriptor } from '../oci/descriptor.js'
import type { Digest } from '../oci/digest.js'
import { optionalString, parseJson, record, stringMap } from '../oci/json.js'
import { type ImageManifest, MANIFEST_LIMIT, parseManifest } from '../oci/manifest.js'
import { isForeignLayer, isImageConfig, isIndex, isManifest, OCI_INDEX } from '../oci/media-type.js'
import { formatPlatform } from '../oci/platform.js'
import type { ServedContent } from './content.js'
import type { Shelf, ShelfName } from '../image/shelf.js'

/** A repository as it is served. */
export interface Repository {
  /** Full names: `docker.io/library/nginx`. */
  readonly name: string
  /** In the order of {@link compareNames}. */
  readonly tags: readonly string[]
  readonly byTag: ReadonlyMap<string, Descriptor>
  /** Manifests and indexes that are present, and content of unknown type that an index lists. */
  readonly manifests: ReadonlyMap<Digest, Descriptor>
  readonly blobs: ReadonlyMap<Digest, Descriptor>
  /** By the digest of their subject. */
  readonly referrers: ReadonlyMap<Digest, readonly Descriptor[]>
}

/** One image of a repository, for listings. */
export interface CatalogImage {
  readonly repository: string
  /** The name to request it by: the shorter one if there are two. */
  readonly name: string
  readonly tag: string | undefined
  readonly root: Descriptor
  readonly platforms: readonly string[]
  /** Total size of its blobs that are present, in bytes. */
  readonly size: number
}

export interface Catalog {
  /** By every name that a repository can be requested by. */
  readonly repositories: ReadonlyMap<string, Repository>
  /** Names for the list of repositories, sorted; one for each repository. */
  readonly names: readonly string[]
  readonly images: readonly CatalogImage[]
  /** All blobs that are served, each once. */
  readonly blobs: readonly Descriptor[]
  /** Blobs that images need and no shelf has, except foreign layers. */
  readonly absent: readonly Descriptor[]
  readonly warnings: readonly string[]
}

/** The content that an image reaches, as far as it is present. */
interface Reached {
  readonly manifests: Map<Digest, Descriptor>
  readonly blobs: Map<Digest, Descriptor>
  readonly platforms: Set<string>
  /** Those of the manifests that have a subject. */
  readonly referrers: { readonly subject: Digest; readonly descriptor: Descriptor }[]
  readonly absent: Descriptor[]
  size: number
}

const CONCURRENCY = 8
/**
 * The name of a repository as defined by the distribution-spec. Clients cannot request others, such as names with a
 * port.
 */
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/

/**
 * Reads the manifests of all images on the shelves. Throws IMAGE_NOT_FOUND if no image has a name, INVALID_ARGUMENT if
 * a name refers to two images, and the error of any manifest that cannot be read.
 */
export async function readServedCatalog(
  shelves: readonly Shelf[],
  content: ServedContent,
  signal: AbortSignal,
): Promise<Catalog> {
  const warnings: string[] = []
  const roots = uniqueRoots(shelves)
  const reached = new Map(
    await pMap(roots, async root => [root.digest, await reach(root, content, signal)] as const, {
      concurrency: CONCURRENCY,
      signal,
    }),
  )
  const named = nameImages(shelves)
  const referring = shelves
    .flatMap(({ others, images }) => [...others, ...images.map(({ root }) => root)])
    .map(({ digest }) => reached.get(digest))
  const repositories = new Map(
    [...named].map(([name, images]) => [name, makeRepository(name, images, reached, referring)]),
  )
  const names = serveNames([...named.values()], warnings)
  for (const shelf of shelves) warnUnnamed(shelf, [...repositories.values()], warnings)
  if (repositories.size === 0) {
    throw new StowageError(
      'IMAGE_NOT_FOUND',
      `no image of ${shelves.map(({ name }) => name).join(', ')} has a name to be served under`,
    )
  }
  const byName = new Map<string, Repository>()
  for (const [full, repository] of repositories)
    for (const name of names.get(full) ?? [full]) byName.set(name, repository)
  const shown = new Map([...repositories.keys()].map(full => [full, names.get(full)?.[0] ?? full]))
  const images = [...named].flatMap(([full, list]) =>
    list.map(({ root, name }): CatalogImage => {
      const { platforms, size, absent } = reached.get(root.digest) ?? emptyReach()
      const label = `${full}${name.tag === undefined ? `@${root.digest}` : `:${name.tag}`}`
      if (absent.length > 0) {
        const more = absent.length > 1 ? ` and ${absent.length - 1} more` : ''
        warnings.push(
          `${label}: ${absent[0]?.digest}${more} cannot be served: its file is missing or has the wrong size`,
        )
      }
      return { repository: full, name: shown.get(full) ?? full, tag: name.tag, root, platforms: [...platforms], size }
    }),
  )
  const blobs = new Map([...repositories.values()].flatMap(({ manifests, blobs: own }) => [...manifests, ...own]))
  return {
    repositories: byName,
    names: [...shown.values()].filter(name => NAME.test(name)).sort(compareNames),
    images,
    blobs: [...blobs.values()],
    absent: [...reached.values()].flatMap(({ absent }) => absent),
    warnings,
  }
}

/**
 * Compares without case, as the distribution-spec requires of lists, then by code unit, so that no two names are equal.
 */
export function compareNames(a: string, b: string): number {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()]
  return x < y ? -1 : x > y ? 1 : a < b ? -1 : a > b ? 1 : 0
}

interface NamedRoot {
  readonly root: Descriptor
  readonly original: Descriptor | undefined
  readonly name: ShelfName
}

function uniqueRoots(shelves: readonly Shelf[]): readonly Descriptor[] {
  const images = shelves.flatMap(shelf =>
    shelf.images.flatMap(({ root, original }) => [root, ...(original ? [original] : [])]),
  )
  const others = shelves.flatMap(shelf => shelf.others)
  const known = new Map<Digest, Descriptor>()
  for (const root of [...images, ...others]) if (!known.has(root.digest)) known.set(root.digest, root)
  return [...known.values()]
}

/** All images by the full name of their repository. Throws INVALID_ARGUMENT if a name refers to two images. */
function nameImages(shelves: readonly Shelf[]): ReadonlyMap<string, readonly NamedRoot[]> {
  const taken = new Map<string, { readonly root: Descriptor; readonly by: string }>()
  const repositories = new Map<string, NamedRoot[]>()
  for (const shelf of shelves) {
    for (const { root, original, names } of shelf.images) {
      for (const name of names) {
        const full = fullName(name)
        const key = `${full}${name.tag === undefined ? `@${root.digest}` : `:${name.tag}`}`
        const before = taken.get(key)
        if (before && before.root.digest !== root.digest) {
          throw new StowageError(
            'INVALID_ARGUMENT',
            `${key} is ${before.root.digest} in ${before.by}, but ${root.digest} in ${shelf.name}`,
            {
              hint: 'Serve them separately, on two ports: one name cannot refer to two images.',
            },
          )
        }
        if (before) continue
        taken.set(key, { root, by: shelf.name })
        repositories.set(full, [...(repositories.get(full) ?? []), { root, original, name }])
      }
    }
  }
  return repositories
}

function fullName({ domain, path }: ShelfName): string {
  return domain === undefined ? path : `${domain}/${path}`
}

/**
 * For each full name, all names that it can be requested by, the one to show first. If two domains have the same path,
 * each can be requested only by its full name.
 */
function serveNames(
  images: readonly (readonly NamedRoot[])[],
  warnings: string[],
): ReadonlyMap<string, readonly string[]> {
  const byPath = new Map<string, ShelfName[]>()
  for (const [first] of images)
    if (first) byPath.set(first.name.path, [...(byPath.get(first.name.path) ?? []), first.name])
  const fulls = new Set(images.flatMap(([first]) => (first ? [fullName(first.name)] : [])))
  const names = new Map<string, readonly string[]>()
  for (const [path, all] of byPath) {
    const free = all.length === 1 && !(fulls.has(path) && all[0]?.domain !== undefined)
    if (!free)
      warnings.push(
        `${path} is not served under that name, which ${all.map(fullName).join(' and ')} share: use the full name`,
      )
    for (const name of all) names.set(fullName(name), free ? [...new Set([path, fullName(name)])] : [fullName(name)])
  }
  for (const [full, all] of names) {
    if (all.some(name => NAME.test(name))) continue
    warnings.push(`${full} can be requested only through a mirror (?ns=): its name is not a valid repository name`)
  }
  return names
}

function warnUnnamed({ name, images }: Shelf, repositories: readonly Repository[], warnings: string[]): void {
  for (const { root, names } of images) {
    if (names.length > 0 || repositories.some(({ manifests }) => manifests.has(root.digest))) continue
    warnings.push(`${root.digest} in ${name} has no name, and is not served`)
  }
}

function makeRepository(
  name: string,
  images: readonly NamedRoot[],
  reached: ReadonlyMap<Digest, Reached>,
  referring: readonly (Reached | undefined)[],
): Repository {
  const manifests = new Map<Digest, Descriptor>()
  const blobs = new Map<Digest, Descriptor>()
  const referrers = new Map<Digest, Descriptor[]>()
  const merged = new Set<Reached>()
  const merge = (all: Reached | undefined): void => {
    if (!all || merged.has(all)) return
    merged.add(all)
    for (const [digest, descriptor] of all.manifests) manifests.set(digest, descriptor)
    for (const [digest, descriptor] of all.blobs) blobs.set(digest, descriptor)
    for (const { subject, descriptor } of all.referrers) {
      const list = referrers.get(subject) ?? []
      if (!list.some(({ digest }) => digest === descriptor.digest)) referrers.set(subject, [...list, descriptor])
    }
  }
  for (const { root, original } of images) {
    merge(reached.get(root.digest))
    if (original) merge(reached.get(original.digest))
  }
  // Referrers of an image in this repository belong to the repository, and so do referrers of those
  for (let size = -1; size !== merged.size;) {
    size = merged.size
    for (const each of referring) if (each?.referrers.some(({ subject }) => manifests.has(subject))) merge(each)
  }
  const byTag = new Map(images.flatMap(({ root, name: { tag } }) => (tag === undefined ? [] : [[tag, root] as const])))
  return { name, tags: [...byTag.keys()].sort(compareNames), byTag, manifests, blobs, referrers }
}

async function reach(root: Descriptor, content: ServedContent, signal: AbortSignal): Promise<Reached> {
  const reached = emptyReach()
  await visit(root, 0)
  return reached

  async function visit(descriptor: Descriptor, depth: number): Promise<void> {
    if (reached.manifests.has(descriptor.digest)) return
    if (depth > DEPTH_LIMIT)
      throw new StowageError('INVALID_MANIFEST', `${root.digest}: indexes nested over ${DEPTH_LIMIT} deep`)
    // Some platforms of an index may be absent, but an image that was named must be present
    if (depth > 0 && !(await content.has(descriptor))) return
    const bytes = await content.read(descriptor, MANIFEST_LIMIT, signal)
    const parsed = parseManifest(bytes, descriptor.digest, descriptor.mediaType)
    reached.manifests.set(descriptor.digest, descriptor)
    reached.size += descriptor.size
    noteReferrer(bytes, descriptor, parsed.type === 'manifest' ? parsed.config.mediaType : undefined)
    if (parsed.type === 'manifest') {
      await visitManifest(parsed)
      return
    }
    for (const child of parsed.manifests) {
      if (isIndex(child.mediaType) || isManifest(child.mediaType)) await visit(child, depth + 1)
      else if (await visitBlob(child)) reached.manifests.set(child.digest, child)
    }
  }

  async function visitManifest({ config, layers }: ImageManifest): Promise<void> {
    for (const layer of layers) await visitBlob(layer)
    if (!(await visitBlob(config)) || !isImageConfig(config.mediaType)) return
    const parsed = parseRunnableConfig(await content.read(config, CONFIG_LIMIT, signal), config.digest)
    if (!parsed) return
    const { platform } = parsed
    if (platform.os !== 'unknown' && platform.os !== '') reached.platforms.add(formatPlatform(platform))
  }

  async function visitBlob(blob: Descriptor): Promise<boolean> {
    if (reached.blobs.has(blob.digest)) return true
    const present = await content.has(blob)
    if (present) reached.blobs.set(blob.digest, blob)
    if (present) reached.size += blob.size
    else if (!isForeignLayer(blob.mediaType)) reached.absent.push(blob)
    return present
  }

  /** Records a manifest with a subject for the referrers API. Source: OCI distribution-spec, "Listing Referrers". */
  function noteReferrer(
    bytes: Uint8Array,
    { mediaType, digest, size }: Descriptor,
    configType: string | undefined,
  ): void {
    const object = record(parseJson(bytes, digest), digest)
    if (!object['subject']) return
    const subject = record(object['subject'], `${digest}.subject`)['digest']
    const artifactType = optionalString(object, 'artifactType', digest) || configType
    const annotations = stringMap(object, 'annotations', digest)
    const descriptor = {
      mediaType,
      digest,
      size,
      ...(artifactType ? { artifactType } : {}),
      ...(annotations ? { annotations } : {}),
    }
    if (typeof subject === 'string') reached.referrers.push({ subject: subject as Digest, descriptor }) // only a key
  }
}

function emptyReach(): Reached {
  return { manifests: new Map(), blobs: new Map(), platforms: new Set(), referrers: [], absent: [], size: 0 }
}

/** The response body of the referrers API. */
export function encodeReferrers(referrers: readonly Descriptor[]): Uint8Array {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: referrers }))
}
