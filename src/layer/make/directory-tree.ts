/** Walks a directory for a layer, in the same order on every machine and without following symbolic links. */
import type { BigIntStats } from 'node:fs'
import { lstat, opendir, readlink } from 'node:fs/promises'
import { fileError, StowageError } from '../../errors.js'
import { binding } from '../../wim/binding.js'
import { listed } from './names.js'
import type { Slices } from './slices.js'
import type { UnixEntry } from './unix-entry.js'

/** A file found in the tree. */
export interface Found {
  /** Path from the root of the layer; `.` for the root itself. */
  readonly path: string
  readonly type: UnixEntry['type']
  readonly stats: BigIntStats
  /** The target of a symbolic link; for a hard link, the path of the file, which comes before it. */
  readonly target: string | undefined
  readonly attributes: UnixEntry['attributes']
}

export interface DirectoryTree {
  readonly entries: readonly Found[]
  /** Paths that a layer cannot hold, with the reason. */
  readonly unsupported: readonly string[]
}

/** Extended attributes that belong to this host, not to the files. */
const HOST_ATTRIBUTES = /^(security\.selinux$|trusted\.overlay\.)/
/** Number of paths whose extended attributes are read at once. */
const BATCH = 256

/**
 * Walks `directory`, parents first, with the names in each directory sorted by their bytes. Throws FILE_NOT_FOUND,
 * INVALID_ARGUMENT if it is not a directory, LAYER_UNSUPPORTED for names that are not UTF-8 or that mark deleted files.
 */
export async function walkDirectory(directory: string, slices: Slices): Promise<DirectoryTree> {
  const root = await statOf(directory)
  if (!root.isDirectory()) {
    throw new StowageError('INVALID_ARGUMENT', `${directory} is not a directory`, {
      hint: 'Name the directory that becomes the root of the layer.',
    })
  }
  const walk: { path: string; stats: BigIntStats }[] = []
  const wrong: string[] = []
  const stack = [{ path: '.', stats: root }]
  for (let next = stack.pop(); next; next = stack.pop()) {
    walk.push(next)
    if (!next.stats.isDirectory()) continue
    const names = await namesOf(placeOf(directory, next.path), wrong)
    for (const name of names.reverse()) {
      const path = next.path === '.' ? name : `${next.path}/${name}`
      stack.push({ path, stats: await statOf(placeOf(directory, path)) })
      if (slices.due()) await slices.rest()
    }
  }
  if (wrong.length > 0) {
    throw new StowageError('LAYER_UNSUPPORTED', `a layer cannot hold these names of ${directory}: ${listed(wrong)}`, {
      hint: 'Rename them.',
    })
  }
  return await describe(directory, walk, slices)
}

/** The path of the entry on disk. */
export function placeOf(directory: string, path: string): string {
  return path === '.' ? directory : `${directory}/${path}`
}

async function describe(
  directory: string,
  walk: readonly { path: string; stats: BigIntStats }[],
  slices: Slices,
): Promise<DirectoryTree> {
  const entries: Found[] = []
  const unsupported: string[] = []
  const files = new Map<string, string>()
  for (let from = 0; from < walk.length; from += BATCH) {
    const group = walk.slice(from, from + BATCH)
    const lists = await attributesOf(group.map(({ path }) => placeOf(directory, path)))
    for (const [n, { path, stats }] of group.entries()) {
      if (slices.due()) await slices.rest()
      const type = typeOf(stats)
      const attributes = lists[n] ?? []
      const odd = attributes.find(({ name }) => name.includes('='))
      if (type === undefined || odd) {
        unsupported.push(`${path} (${odd ? `the extended attribute ${odd.name}` : 'a socket'})`)
        continue
      }
      const key = `${stats.dev} ${stats.ino}`
      const other = type !== 'directory' && stats.nlink > 1n ? files.get(key) : undefined
      if (other !== undefined) {
        entries.push({ path, type: 'hard link', stats, target: other, attributes: [] })
        continue
      }
      files.set(key, path)
      const target = type === 'symlink' ? await targetOf(placeOf(directory, path)) : undefined
      entries.push({ path, type, stats, target, attributes })
    }
  }
  return { entries, unsupported }
}

function typeOf(stats: BigIntStats): UnixEntry['type'] | undefined {
  if (stats.isDirectory()) return 'directory'
  if (stats.isFile()) return 'file'
  if (stats.isSymbolicLink()) return 'symlink'
  if (stats.isCharacterDevice()) return 'character device'
  if (stats.isBlockDevice()) return 'block device'
  return stats.isFIFO() ? 'fifo' : undefined
}

async function namesOf(place: string, wrong: string[]): Promise<string[]> {
  const found: Buffer[] = []
  try {
    // Read names as bytes, because they are sorted by bytes
    const entries = await opendir(place, { encoding: 'buffer' as BufferEncoding, bufferSize: 1024 })
    for await (const { name } of entries) found.push(name as unknown as Buffer) // the encoding 'buffer' gives Buffers
  } catch (error) {
    throw fileError(error, place)
  }
  return found.sort(Buffer.compare).flatMap(bytes => {
    const name = bytes.toString('utf8')
    const flaw = !Buffer.from(name).equals(bytes)
      ? 'not UTF-8'
      : name.startsWith('.wh.')
        ? 'marks a deleted file in a layer'
        : ''
    if (flaw === '') return [name]
    wrong.push(`${JSON.stringify(`${place}/${name}`)} (${flaw})`)
    return []
  })
}

async function statOf(place: string): Promise<BigIntStats> {
  try {
    return await lstat(place, { bigint: true })
  } catch (error) {
    throw fileError(error, place)
  }
}

async function targetOf(place: string): Promise<string> {
  let target: Buffer
  try {
    target = await readlink(place, { encoding: 'buffer' })
  } catch (error) {
    throw fileError(error, place)
  }
  const text = target.toString('utf8')
  if (Buffer.from(text).equals(target)) return text
  throw new StowageError('LAYER_UNSUPPORTED', `${place}: its target is not UTF-8, which a layer requires`)
}

async function attributesOf(places: readonly string[]): Promise<UnixEntry['attributes'][]> {
  let lists
  try {
    lists = await binding().extendedAttributes(places)
  } catch (error) {
    throw fileError(error, places.length === 1 ? (places[0] ?? '') : 'an extended attribute')
  }
  return lists.map(list =>
    list
      .map(({ name, value }) => ({ name: name.toString('utf8'), value }))
      .filter(({ name }) => !HOST_ATTRIBUTES.test(name)),
  )
}
