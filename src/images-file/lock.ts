/**
 * Reads and writes `images.lock`, which records what each entry of an images file resolved to. It is JSON for programs,
 * and sorted so that a diff shows only changes. Its format: docs/images-yaml.md.
 */
import { open, rm } from 'node:fs/promises'
import { writeDurably } from '../blob/durable.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { type Digest, parseDigest } from '../oci/digest.js'
import { array, optionalArray, optionalString, parseJson, record, shown, size, string } from '../oci/json.js'
import { isReference } from '../oci/reference.js'
import type { Faults } from './document.js'
import type { ImagesFile } from './entries.js'

export interface Lock {
  readonly images: readonly LockedEntry[]
  readonly wims: readonly LockedEntry[]
  readonly files: readonly LockedEntry[]
}

export interface LockedEntry {
  /** The fields of the entry in the images file. */
  readonly request: Readonly<Record<string, unknown>>
  readonly images: readonly LockedImage[]
  /** Other files that were read: a WIM with its parts, and files to pack. */
  readonly files: readonly LockedFile[]
}

export interface LockedImage {
  /** Without a digest. */
  readonly location: string
  readonly tag?: string
  /** Full references. */
  readonly names: readonly string[]
  /** Digest of the root. */
  readonly digest: Digest
  readonly mediaType: string
  readonly platforms: readonly string[]
  /** Total size of its blobs, in bytes. */
  readonly size: number
  /** The image ID in an engine. */
  readonly id?: string
}

export interface LockedFile {
  /** The path in the images file, or in the bundle. */
  readonly path: string
  readonly size: number
  readonly digest: Digest
}

const VERSION = 1
const LOCK_LIMIT = 64 * 1024 * 1024

/** The default path of the lock: `images.lock` beside `images.yaml`. */
export function lockPathOf(path: string): string {
  return `${path.replace(/\.(ya?ml|json)$/i, '')}.lock`
}

/** Throws file errors, and INVALID_MANIFEST naming the field. */
export async function readLock(path: string): Promise<Lock> {
  let bytes: Uint8Array
  try {
    await using file = await open(path)
    if ((await file.stat()).size > LOCK_LIMIT)
      throw new StowageError('INVALID_MANIFEST', `${path} is larger than ${LOCK_LIMIT} bytes`)
    bytes = await file.readFile()
  } catch (error) {
    const named = fileError(error, path)
    if (!(named instanceof StowageError) || named.code !== 'FILE_NOT_FOUND') throw named
    throw new StowageError('FILE_NOT_FOUND', named.message, {
      hint: 'Pack once without --locked to write it.',
      cause: error,
    })
  }
  const object = record(parseJson(bytes, path), path)
  if (object['lockVersion'] !== VERSION) {
    throw new StowageError(
      'INVALID_MANIFEST',
      `${path}.lockVersion: expected ${VERSION} but found ${shown(object['lockVersion'])}`,
      { hint: 'A later version of Stowage wrote it: use that version, or pack once without --locked.' },
    )
  }
  const entries = (key: string) =>
    optionalArray(object, key, path).map((item, n) => parseEntry(item, `${path}.${key}[${n}]`))
  return { images: entries('images'), wims: entries('wims'), files: entries('files') }
}

/** Writes the lock atomically. The same lock gives the same bytes. */
export async function writeLock(path: string, lock: Lock): Promise<void> {
  const sorted = (entries: readonly LockedEntry[]) =>
    [...entries].sort((a, b) => (canonical(a.request) < canonical(b.request) ? -1 : 1))
  const document = {
    lockVersion: VERSION,
    images: sorted(lock.images),
    wims: sorted(lock.wims),
    files: sorted(lock.files),
  }
  await writeDurably(path, new TextEncoder().encode(`${JSON.stringify(document, null, 2)}\n`))
}

/** Checks in advance that the lock can be written. Throws PERMISSION_DENIED, FILE_NOT_FOUND and other file errors. */
export async function expectWritable(path: string): Promise<void> {
  const probe = `${path}.partial`
  try {
    await (await open(probe, 'a')).close()
    await rm(probe, { force: true })
  } catch (error) {
    const named = fileError(error, path)
    const code = systemCode(error)
    throw named instanceof StowageError
      ? new StowageError(named.code, code === 'ENOENT' ? `the directory of ${path} does not exist` : named.message, {
          hint: 'Name another lock file: --lock FILE.',
          cause: error,
        })
      : named
  }
}

/** A value as JSON with sorted keys, so that equal requests give equal texts. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value)
    .filter(([, each]) => each !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${fields.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(',')}}`
}

/** The lock's entry for each entry of `file`. Throws LOCK_MISMATCH naming all entries that only one of the two has. */
export function lockedEntries(file: ImagesFile, lock: Lock, path: string): ReadonlyMap<object, LockedEntry> {
  const found = new Map<object, LockedEntry>()
  const faults: string[] = []
  for (const kind of ['images', 'wims', 'files'] as const) {
    const held = new Map(lock[kind].map(entry => [canonical(entry.request), entry]))
    const used = new Set<string>()
    for (const entry of file[kind]) {
      const key = canonical(entry.request)
      const locked = held.get(key)
      used.add(key)
      if (locked) found.set(entry, locked)
      const makesImages = kind === 'images' || (kind === 'wims' && entry.request['carry'] !== 'only')
      if (locked && makesImages && locked.images.length === 0)
        faults.push(`${file.path}:${entry.at.line}:${entry.at.column}: ${path} has no image for this entry: ${key}`)
      if (!locked)
        faults.push(`${file.path}:${entry.at.line}:${entry.at.column}: ${path} does not have this entry: ${key}`)
    }
    for (const key of held.keys())
      if (!used.has(key)) faults.push(`${path} has an entry that ${file.path} does not: ${key}`)
  }
  if (faults.length > 0) {
    throw new StowageError('LOCK_MISMATCH', faults.join('\n'), {
      hint: 'Pack without --locked to write a new lock, or undo the change.',
    })
  }
  return found
}

/** Adds a fault for each file that differs from the lock. */
export function expectFiles(
  file: ImagesFile,
  entries: ReadonlyMap<object, LockedEntry>,
  found: readonly { readonly entry: object; readonly from: string; readonly size: number; readonly digest: Digest }[],
  faults: Faults,
): void {
  for (const entry of [...file.wims, ...file.files]) {
    const locked = new Map(entries.get(entry)?.files.map(each => [each.digest, each]))
    for (const { from, digest } of found.filter(each => each.entry === entry)) {
      if (!locked.delete(digest)) faults.add(entry.at, `${from} is ${digest}, which does not match the lock`)
    }
    for (const { path, digest } of locked.values())
      faults.add(entry.at, `the lock has ${path} as ${digest}, but it is missing`)
  }
}

function parseEntry(value: unknown, where: string): LockedEntry {
  const object = record(value, where)
  return {
    request: record(object['request'], `${where}.request`),
    images: optionalArray(object, 'images', where).map((item, n) => parseImage(item, `${where}.images[${n}]`)),
    files: optionalArray(object, 'files', where).map((item, n) => {
      const at = `${where}.files[${n}]`
      const file = record(item, at)
      return {
        path: string(file, 'path', at),
        size: size(file, 'size', at),
        digest: parseDigest(file['digest'], `${at}.digest`),
      }
    }),
  }
}

function parseImage(value: unknown, where: string): LockedImage {
  const object = record(value, where)
  const texts = (key: string, expected: string, is: (text: string) => boolean) =>
    array(object, key, where).map((item, n) => {
      if (typeof item === 'string' && is(item)) return item
      throw new StowageError('INVALID_MANIFEST', `${where}.${key}[${n}]: expected ${expected} but found ${shown(item)}`)
    })
  const [tag, id] = [optionalString(object, 'tag', where), optionalString(object, 'id', where)]
  return {
    location: string(object, 'location', where),
    ...(tag === undefined ? {} : { tag }),
    names: texts('names', 'a name of an image', isReference),
    digest: parseDigest(object['digest'], `${where}.digest`),
    mediaType: string(object, 'mediaType', where),
    platforms: texts('platforms', 'a platform', text => text !== ''),
    size: size(object, 'size', where),
    ...(id === undefined ? {} : { id }),
  }
}
