/** What an images file asks for, found: tags by rule, digests of tags, hashes of files. Nothing is packed yet. */
import pMap from 'p-map'
import { readSource } from '../transfer/read-source.js'
import { StowageError } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { formatReference, parseReference, type Reference, withDefaultTag } from '../oci/reference.js'
import type { WaitOptions } from '../progress.js'
import { Registries } from '../registry/registries.js'
import { nearestTags, tagChoice } from '../registry/tags.js'
import { formatLocation, transportOf } from '../transport/location.js'
import type { Location } from '../transport/transport.js'
import { inspect } from '../verbs/inspect.js'
import { partsOf } from '../wim/parts.js'
import { Faults, type Position } from './document.js'
import { type HashedFile, hashFile } from '../blob/hash-file.js'
import { listFiles } from './listed-files.js'
import {
  type FileEntry,
  type ImageEntry,
  type ImagesFile,
  isRepository,
  type NameEntry,
  type WimEntry,
} from './images-file.js'

export interface ResolveOptions extends WaitOptions {
  /** Engine address for `docker-daemon:`. */
  readonly host?: string | undefined
  /** Registries to speak plain http with, beside those of the file. */
  readonly insecure?: readonly string[] | undefined
}

/** One image, as pack() is to take it. */
export interface ResolvedImage {
  readonly entry: ImageEntry | WimEntry
  /** Of a registry with the digest that was found. */
  readonly location: string
  /** The same for the lock: without digest, paths as the file has them. */
  readonly written: string
  readonly tag?: string
  /** Full references; without them, or with none, its own. */
  readonly names?: readonly string[]
  readonly digest?: Digest
  readonly mediaType?: string
  /** How an engine calls it. */
  readonly id?: string
}

/** A file to carry, or one that a layer is made of. */
export interface ResolvedFile extends HashedFile {
  readonly entry: FileEntry | WimEntry
  /** Where it is. */
  readonly from: string
  /** Below `files/` in the bundle; not there for one that is not carried. */
  readonly path?: string
}

export interface ResolvedImages {
  readonly images: readonly ResolvedImage[]
  readonly files: readonly ResolvedFile[]
}

/** Requests under way at a time. */
const AT_ONCE = 6
/** A registry has these, so that something may be asked of it again; anything else is told with its place. */
const FAULTS = new Set(['IMAGE_NOT_FOUND', 'INVALID_ARGUMENT', 'FILE_NOT_FOUND'])

/**
 * Asks each registry for the tags of a repository once, and for the digest of each tag. Throws IMAGES_FILE_INVALID or
 * IMAGE_NOT_FOUND with a line for each fault, and what connecting throws, with the place.
 */
export async function resolveImages(file: ImagesFile, options: ResolveOptions = {}): Promise<ResolvedImages> {
  const faults = new Faults(file.path)
  await using registries = new AskedRegistries([...file.insecure, ...(options.insecure ?? [])], options.signal)
  const found = await pMap(file.images, async entry => await resolveEntry(entry, registries, faults, options), {
    concurrency: AT_ONCE,
  })
  const { images, files } = await resolveFiles(file, faults, options)
  const all = [...found.flat(), ...images]
  expectDistinct(all, files, faults)
  faults.throwIfAny()
  return { images: all, files }
}

/** WIMs and files, which are the same with a lock and without: they are read where they are. */
export async function resolveFiles(
  file: ImagesFile,
  faults: Faults,
  options: ResolveOptions,
): Promise<{ images: readonly ResolvedImage[]; files: readonly ResolvedFile[] }> {
  const images: ResolvedImage[] = []
  const files: ResolvedFile[] = []
  for (const entry of file.wims) {
    const parts = (await placed(faults, entry.at, async () => await partsOf(entry.file))) ?? []
    for (const from of parts) {
      const hashed = await placed(faults, entry.at, async () => await hashFile(from, options))
      const name = from.split(/[\\/]/).at(-1) ?? from
      if (hashed) files.push({ entry, from, ...hashed, ...(entry.carry === false ? {} : { path: `wims/${name}` }) })
    }
    if (entry.carry === 'only') continue
    const image = entry.image === undefined ? '' : `#${entry.image}`
    images.push({
      entry,
      location: `wim:${entry.file}${image}`,
      written: `wim:${String(entry.request['file'])}${image}`,
      ...given(entry.names, undefined),
    })
  }
  for (const entry of file.files) {
    for (const { from, path } of (await placed(faults, entry.at, async () => await listFiles(entry.from, entry.to))) ??
      []) {
      const hashed = await placed(faults, entry.at, async () => await hashFile(from, options))
      if (hashed) files.push({ entry, from, path, ...hashed })
    }
  }
  return { images, files }
}

async function resolveEntry(
  entry: ImageEntry,
  registries: AskedRegistries,
  faults: Faults,
  options: ResolveOptions,
): Promise<readonly ResolvedImage[]> {
  const { location, at: place } = entry
  if (!isRepository(location))
    return (await placed(faults, place, async () => await resolvePlace(entry, faults, options))) ?? []
  const reference = parseReference(location.path)
  const wanted = (await placed(faults, place, async () => await chosenTags(entry, reference, registries, faults))) ?? []
  const found = await pMap(
    wanted,
    async ({ reference: each, at }) =>
      await placed(faults, at, async () => await registries.find(each, entry, at, faults)),
    { concurrency: AT_ONCE },
  )
  return found.flatMap(image => image ?? [])
}

/** Images of a layout or a bundle, by digest; of an engine, by ID; elsewhere what digest they have now, and nothing of what is made while packing. */
async function resolvePlace(
  entry: ImageEntry,
  faults: Faults,
  options: ResolveOptions,
): Promise<readonly ResolvedImage[]> {
  const { location } = entry
  if (hasIds(location)) {
    const id = await idOf(location, options)
    return [
      {
        entry,
        location: formatLocation(location),
        written: formatLocation(location),
        ...given(entry.names, undefined),
        ...(id === undefined ? {} : { id }),
      },
    ]
  }
  const own = {
    entry,
    location: formatLocation(location),
    written: String(entry.request['image']),
    ...given(entry.names, undefined),
  }
  const images = mayMakeLayer(location)
    ? []
    : await readSource(location, options, async source => await source.images(options))
  if (images.length === 0 && !mayMakeLayer(location))
    faults.add(entry.at, `${own.written} holds no image`, { missing: true })
  if (images.length > 1 && entry.names.length > 0)
    faults.add(entry.at, `a name was given for ${images.length} images. Name one of them: ${own.written}:REF`)
  if (mayMakeLayer(location) || (images.length > 1 && !hasRef(location))) return [own]
  return images.map(({ root, names }) => ({
    ...own,
    location: hasRef(location) ? formatLocation({ ...location, ref: root.digest }) : own.location,
    names: own.names ?? names.map(formatReference),
    digest: root.digest,
    mediaType: root.mediaType,
  }))
}

/** Its layer may be made while packing, so that nothing is known before. */
export function mayMakeLayer(location: Location): boolean {
  return transportOf(location).source?.makesLayer !== undefined
}

/** Its images can be named by digest. */
export function hasRef(location: Location): boolean {
  return transportOf(location).source?.pin === 'ref'
}

/** It keeps no manifests, and calls its images by IDs of its own: an engine. */
export function hasIds(location: Location): boolean {
  return transportOf(location).source?.manifests === 'unread' && !mayMakeLayer(location)
}

/** How the place itself calls the image. */
export async function idOf(location: Location, { host, signal }: ResolveOptions): Promise<string | undefined> {
  const { images } = await inspect(formatLocation(location), { host, signal })
  return images[0]?.id
}

/** The images of an entry, each with the place that asks for it. */
async function chosenTags(
  entry: ImageEntry,
  reference: Reference,
  registries: AskedRegistries,
  faults: Faults,
): Promise<readonly { readonly reference: Reference; readonly at: Position }[]> {
  const { tags, at } = entry
  if (tags === undefined) return [{ reference: withDefaultTag(reference), at }]
  if (!('rule' in tags)) return tags.map(({ tag, at: place }) => ({ reference: { ...reference, tag }, at: place }))
  const all = await registries.tags(reference)
  const chosen = tagChoice(tags.rule)(all)
  if (chosen.length === 0) {
    const near = nearestTags(tags.rule, all)
    faults.add(
      tags.at,
      `none of the ${all.length} tags of ${formatReference(reference)} is ${ruleText(tags.rule)}${near.length > 0 ? `; the nearest are ${near.join(', ')}` : ''}`,
      { missing: true },
    )
  }
  return chosen.map(tag => ({ reference: { ...reference, tag }, at: tags.at }))
}

function ruleText({ semver, match, newest }: Parameters<typeof tagChoice>[0]): string {
  const parts = [
    ...(semver === undefined ? [] : [`a version in ${semver}`]),
    ...(match === undefined ? [] : [`matched by ${match}`]),
  ]
  return parts.length > 0 ? parts.join(', ') : newest === undefined ? 'there' : 'a version'
}

/** Names for one image: those that are told, each with a tag. */
export function given(names: readonly NameEntry[], tag: string | undefined): { readonly names?: readonly string[] } {
  if (names.length === 0) return {}
  return {
    names: names.map(({ name }) =>
      formatReference(withDefaultTag(name.tag === undefined && tag !== undefined ? { ...name, tag } : name)),
    ),
  }
}

/** Each registry is opened once, and asked for the tags of a repository once. */
export class AskedRegistries implements AsyncDisposable {
  readonly #registries: Registries
  readonly #tags = new Map<string, Promise<readonly string[]>>()
  readonly #signal: AbortSignal | undefined

  constructor(insecure: readonly string[], signal: AbortSignal | undefined) {
    this.#registries = new Registries({ insecure })
    this.#signal = signal
  }

  async tags({ domain, path }: Reference): Promise<readonly string[]> {
    const key = `${domain}/${path}`
    const known = this.#tags.get(key) ?? this.#readTags(domain, path)
    this.#tags.set(key, known)
    return await known
  }

  /** One image by tag or digest; undefined, with a fault, if it does not exist. */
  async find(
    reference: Reference,
    entry: ImageEntry,
    at: Position,
    faults: Faults,
  ): Promise<ResolvedImage | undefined> {
    const client = await this.#registries.get(reference.domain)
    const { tag, digest, ...repository } = reference
    const found = await client.headManifest(reference.path, digest ?? tag ?? 'latest', { signal: this.#signal })
    if (!found) {
      const near = tag === undefined ? [] : nearestTags({ semver: tag }, await this.tags(reference).catch(() => [])) // that it is not there is the news
      faults.add(
        at,
        `${reference.domain} has no image ${formatReference(reference)}${near.length > 0 ? `; the nearest tags are ${near.join(', ')}` : ''}`,
        { missing: true },
      )
      return undefined
    }
    const own = tag === undefined ? {} : { names: [formatReference({ ...repository, tag })] }
    return {
      entry,
      location: `docker://${formatReference({ ...reference, digest: found.digest })}`,
      written: `docker://${formatReference(reference)}`,
      ...(tag === undefined ? {} : { tag }),
      ...own,
      ...given(entry.names, tag),
      digest: found.digest,
      mediaType: found.mediaType,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registries[Symbol.asyncDispose]()
  }

  async #readTags(domain: string, path: string): Promise<readonly string[]> {
    const client = await this.#registries.get(domain)
    const tags = new Set<string>()
    for await (const tag of client.tags(path, { signal: this.#signal })) tags.add(tag)
    return [...tags]
  }
}

/** Runs `work`; what is missing or makes no sense becomes a fault at this place, any other error says the place. */
async function placed<T>(faults: Faults, at: Position, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof StowageError) || error.code === 'ABORTED') throw error
    if (FAULTS.has(error.code)) {
      faults.add(at, error.hint === undefined ? error.message : `${error.message}. ${error.hint}`, {
        missing: error.code === 'IMAGE_NOT_FOUND',
      })
      return undefined
    }
    throw error.withHint(error.hint, `${faults.path}:${at.line}:${at.column}: ${error.message}`)
  }
}

/** No two images have one name, no two files one path. */
export function expectDistinct(images: readonly ResolvedImage[], files: readonly ResolvedFile[], faults: Faults): void {
  const seen = new Map<string, Position>()
  const add = (key: string, what: string, at: Position): void => {
    const first = seen.get(key)
    if (first) faults.add(at, `${what}, and so does line ${first.line}, column ${first.column}`)
    else seen.set(key, at)
  }
  for (const { entry, names = [] } of images)
    for (const name of names) add(`image ${name}`, `an image is named ${name} here`, entry.at)
  for (const { entry, path } of files)
    if (path !== undefined) add(`file ${path}`, `a file goes to ${path} in the bundle`, entry.at)
}
