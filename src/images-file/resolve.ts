/** Resolves the entries of an images file: rules to tags, tags to digests, files to their hashes. */
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
} from './entries.js'

export interface ResolveOptions extends WaitOptions {
  /** Address of the engine for `docker-daemon:`. */
  readonly host?: string | undefined
  /** Registries to reach over plain http, in addition to those of the file. */
  readonly insecure?: readonly string[] | undefined
  /** Hosts whose certificates are accepted without verification, in addition to those of the file. */
  readonly tlsSkipVerify?: readonly string[] | undefined
  /** Called with notices for the user, one sentence each. */
  readonly onNotice?: ((sentence: string) => void) | undefined
}

/** One image for pack(). */
export interface ResolvedImage {
  readonly entry: ImageEntry | WimEntry
  /** In a registry, with the digest that was found. */
  readonly location: string
  /** The location for the lock: without a digest, and with paths as in the file. */
  readonly written: string
  readonly tag?: string
  /** Full references. If missing or empty, the image keeps its own names. */
  readonly names?: readonly string[]
  readonly digest?: Digest
  readonly mediaType?: string
  /** The image ID in an engine. */
  readonly id?: string
}

/** A file to pack, or one that a layer is made from. */
export interface ResolvedFile extends HashedFile {
  readonly entry: FileEntry | WimEntry
  /** Path of the file. */
  readonly from: string
  /** Path below `files/` in the bundle; missing if the file itself is not packed. */
  readonly path?: string
}

export interface ResolvedImages {
  readonly images: readonly ResolvedImage[]
  readonly files: readonly ResolvedFile[]
}

const CONCURRENCY = 6
/** Errors that are collected as faults. Others are thrown at once, with the position. */
const FAULTS = new Set(['IMAGE_NOT_FOUND', 'INVALID_ARGUMENT', 'FILE_NOT_FOUND'])

/**
 * Resolves all entries, requesting the tags of each repository only once. Throws IMAGES_FILE_INVALID or IMAGE_NOT_FOUND
 * with a line for each fault, and connection errors with the position of the entry.
 */
export async function resolveImages(file: ImagesFile, options: ResolveOptions = {}): Promise<ResolvedImages> {
  const faults = new Faults(file.path)
  await using registries = new TagCache(reachedAs(file, options))
  const found = await pMap(file.images, async entry => await resolveEntry(entry, registries, faults, options), {
    concurrency: CONCURRENCY,
  })
  const { images, files } = await resolveFiles(file, faults, options)
  const all = [...found.flat(), ...images]
  expectDistinct(all, files, faults)
  faults.throwIfAny()
  return { images: all, files }
}

/** Resolves WIMs and files, which are read the same way with and without a lock. */
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
  registries: TagCache,
  faults: Faults,
  options: ResolveOptions,
): Promise<readonly ResolvedImage[]> {
  const { location, at: place } = entry
  if (!isRepository(location))
    return (await placed(faults, place, async () => await resolveLocal(entry, faults, options))) ?? []
  const reference = parseReference(location.path)
  const wanted = (await placed(faults, place, async () => await chosenTags(entry, reference, registries, faults))) ?? []
  const found = await pMap(
    wanted,
    async ({ reference: each, at }) =>
      await placed(faults, at, async () => await registries.find(each, entry, at, faults)),
    { concurrency: CONCURRENCY },
  )
  return found.flatMap(image => image ?? [])
}

/**
 * Resolves an entry outside registries: images of a layout or bundle by digest, of an engine by ID, others by their
 * current digest. An image whose layer is made while packing has no digest yet.
 */
async function resolveLocal(
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
  }
  const images = mayMakeLayer(location)
    ? []
    : await readSource(location, options, async source => await source.images(options))
  if (images.length === 0 && !mayMakeLayer(location))
    faults.add(entry.at, `${own.written} holds no image`, { missing: true })
  if (images.length > 1 && entry.names.length > 0)
    faults.add(entry.at, `a name was given for ${images.length} images. Name one of them: ${own.written}:REF`)
  if (mayMakeLayer(location) || (images.length > 1 && !hasRef(location)))
    return [{ ...own, ...given(entry.names, undefined) }]
  return images.map(({ root, names }) => ({
    ...own,
    location: hasRef(location) ? formatLocation({ ...location, ref: root.digest }) : own.location,
    names: given(entry.names, names.find(({ tag }) => tag !== undefined)?.tag).names ?? names.map(formatReference),
    digest: root.digest,
    mediaType: root.mediaType,
  }))
}

/** Whether a layer may be made while packing, so that its digest is not known before. */
export function mayMakeLayer(location: Location): boolean {
  return transportOf(location).source?.makesLayer !== undefined
}

/** Whether images of the location can be selected by digest. */
export function hasRef(location: Location): boolean {
  return transportOf(location).source?.pin === 'ref'
}

/** Whether the location identifies images by IDs instead of manifests, as an engine does. */
export function hasIds(location: Location): boolean {
  return transportOf(location).source?.manifests === 'unread' && !mayMakeLayer(location)
}

/** The ID of the image at the location. */
export async function idOf(location: Location, { host, signal }: ResolveOptions): Promise<string | undefined> {
  const { images } = await inspect(formatLocation(location), { host, signal })
  return images[0]?.id
}

/** The images that the entry selects, each with its position in the file. */
async function chosenTags(
  entry: ImageEntry,
  reference: Reference,
  registries: TagCache,
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

/** The given names of an image, each with a tag. */
export function given(names: readonly NameEntry[], tag: string | undefined): { readonly names?: readonly string[] } {
  if (names.length === 0) return {}
  return {
    names: names.map(({ name }) =>
      formatReference(withDefaultTag(name.tag === undefined && tag !== undefined ? { ...name, tag } : name)),
    ),
  }
}

/** The options, with what the file says about how to reach registries. */
export function reachedAs<O extends ResolveOptions>(file: ImagesFile, options: O): O {
  return {
    ...options,
    insecure: [...file.insecure, ...(options.insecure ?? [])],
    tlsSkipVerify: [...file.tlsSkipVerify, ...(options.tlsSkipVerify ?? [])],
  }
}

/** Opens each registry once, and requests the tags of each repository once. */
export class TagCache implements AsyncDisposable {
  readonly #registries: Registries
  readonly #tags = new Map<string, Promise<readonly string[]>>()
  readonly #signal: AbortSignal | undefined

  constructor(options: ResolveOptions) {
    const { insecure, tlsSkipVerify, signal, onNotice, onProgress } = options
    this.#registries = new Registries({ insecure, tlsSkipVerify, onNotice, onProgress })
    this.#signal = signal
  }

  async tags({ domain, path }: Reference): Promise<readonly string[]> {
    const key = `${domain}/${path}`
    const known = this.#tags.get(key) ?? this.#readTags(domain, path)
    this.#tags.set(key, known)
    return await known
  }

  /** Finds one image by tag or digest. If it does not exist, adds a fault and returns undefined. */
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
      // An error from listing tags must not hide that the image does not exist
      const near = tag === undefined ? [] : nearestTags({ semver: tag }, await this.tags(reference).catch(() => []))
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

/** Runs `work`. Missing or invalid things become faults at this position; other errors are thrown with the position. */
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

/** Adds a fault if two images have the same name, or two files the same path. */
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
