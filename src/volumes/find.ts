/** Finds the volumes of a tar in any order and in any number of directories, and tells those that do not belong. */
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'
import type { Digest } from '../oci/digest.js'
import { exactSize } from '../size-text.js'
import {
  DESCRIPTION_LIMIT,
  descriptionName,
  parseVolumeDescription,
  parseDescriptionName,
  parseVolumeName,
  sampleFile,
  tarBeside,
  type VolumeDescription,
  volumeName,
} from './description.js'

/** A file that is a volume of the set, as far as a look at it tells. */
export interface Volume {
  readonly path: string
  readonly number: number
  /** In bytes. */
  readonly size: number
  /** What is written beside it. */
  readonly description: VolumeDescription | undefined
}

/** Why a volume is not there: the file that has its name is another, or there is none. */
export interface VolumeFault {
  readonly code: 'VOLUME_MISSING' | 'VOLUME_WRONG' | 'MEDIUM_FAILED'
  readonly path: string
  /** Of the volume; undefined for a description that cannot be read. */
  readonly number?: number
  readonly message: string
  /** Of a volume that is missing: the file with another name that has its content. */
  readonly renamed?: string | undefined
}

export interface VolumeSet {
  /** The file name of the tar that they make: `x.tar`. */
  readonly tar: string
  /** Where they were looked for. */
  readonly directories: readonly string[]
  /** By number. */
  readonly volumes: ReadonlyMap<number, Volume>
  /** How many there are, and the size of the tar; undefined if none of them is described. */
  readonly count: number | undefined
  readonly total: number | undefined
  readonly set: Digest | undefined
  /** The files that are wrong, then the volumes that are missing, each in the order of their numbers. */
  readonly faults: readonly VolumeFault[]
}

/** Whether volumes may be meant by `path`, going by names only: for programs that take a path of anything. */
export async function namesVolumes(path: string): Promise<boolean> {
  return (await placeOf(path)) !== undefined
}

/** `paths` with those together that hold volumes of the same tar, in the order of the first of each. */
export async function groupVolumes(paths: readonly string[]): Promise<readonly (readonly string[])[]> {
  const groups: { readonly tars: readonly string[]; readonly paths: string[] }[] = []
  for (const path of paths) {
    const { tars = [] } = (await placeOf(path)) ?? {}
    const group = groups.find(each => each.tars.some(tar => tars.includes(tar)))
    if (group) group.paths.push(path)
    else groups.push({ tars, paths: [path] })
  }
  return groups.map(group => group.paths)
}

/**
 * The volumes of one tar at `paths`: volumes, what lies beside them, the path of the tar itself, or directories that
 * hold them. Undefined if `paths` is one path of something else. Takes a moment however large they are: their sizes and
 * samples are compared with what is written beside them, their digests are not. Throws INVALID_ARGUMENT if several paths
 * do not belong together, and {@link fileError}s.
 */
export async function findVolumes(paths: readonly string[]): Promise<VolumeSet | undefined> {
  const places: Place[] = []
  for (const path of paths) {
    const place = await placeOf(path)
    if (place) places.push(place)
    else if (paths.length === 1) return undefined
    else throw new StowageError('INVALID_ARGUMENT', `${path} holds no volumes`, { hint: ONLY_VOLUMES })
  }
  const tars = new Set(places.flatMap(({ tars: names }) => names))
  const named = new Set(places.flatMap(({ tars: names, exact }) => (exact ? names : [])))
  const [tar, ...others] = named.size > 0 ? named : tars
  if (tar === undefined) return undefined
  if (others.length > 0) {
    throw new StowageError('INVALID_ARGUMENT', `${paths.join(' and ')}: volumes of ${[tar, ...others].join(' and ')}`, {
      hint: `Name one of them: ${join(places[0]?.directory ?? '', tar)}.`,
    })
  }
  const directories = new Map<string, string>()
  for (const { directory } of places) directories.set(await realpath(directory), directory)
  const volume = places.find(({ number }) => number !== undefined)
  return await gather(tar, [...directories.values()], volume)
}

const ONLY_VOLUMES =
  'Several paths can be named only for the volumes of one bundle: each is a volume (x.tar.001) or a directory that holds some.'

/** What a path names: volumes in a directory. */
interface Place {
  readonly directory: string
  /** The tars whose volumes it may be. */
  readonly tars: readonly string[]
  /** Whether the path says which tar; otherwise it is a directory. */
  readonly exact: boolean
  /** Set if the path is that of a volume. */
  readonly number?: number
}

async function placeOf(path: string): Promise<Place | undefined> {
  const found = await stat(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined
    throw fileError(error, path)
  })
  if (found?.isDirectory()) {
    const names = await namesIn(path)
    if (names.includes('bundle.json') || names.includes('oci-layout')) return undefined
    const tars = [...new Set(names.flatMap(name => parseVolumeName(name)?.tar ?? []))]
    return tars.length > 0 ? { directory: path, tars, exact: false } : undefined
  }
  const name = basename(resolve(path))
  const directory = dirname(path)
  const volume = parseVolumeName(name)
  if (found && volume) return { directory, tars: [volume.tar], exact: true, number: volume.number }
  const beside = tarBeside(name)
  if (found && beside !== undefined) return { directory, tars: [beside], exact: true }
  if (found || !/\.tar$/i.test(name)) return undefined
  const names = await namesIn(directory).catch(() => [])
  return names.some(each => parseVolumeName(each)?.tar === name) ? { directory, tars: [name], exact: true } : undefined
}

async function namesIn(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    throw fileError(error, directory)
  }
}

/** A file with the name of a volume, and what is written beside it. */
interface Candidate extends Volume {
  readonly directory: string
}

async function gather(tar: string, directories: readonly string[], named: Place | undefined): Promise<VolumeSet> {
  const faults: VolumeFault[] = []
  const candidates: Candidate[] = []
  const descriptions: VolumeDescription[] = []
  for (const directory of directories) {
    const names = await namesIn(directory)
    const beside = new Map<number, VolumeDescription>()
    for (const name of names) {
      const number = parseDescriptionName(name, tar)
      if (number === undefined) continue
      const path = join(directory, name)
      try {
        const description = parseVolumeDescription(await readStart(path), path)
        beside.set(number, description)
        descriptions.push(description)
      } catch (error) {
        const failure = fileError(error, path)
        if (!(failure instanceof StowageError)) throw failure
        const code = failure.code === 'MEDIUM_FAILED' ? failure.code : 'VOLUME_WRONG'
        faults.push({ code, path, message: failure.message })
      }
    }
    for (const name of [...names].sort()) {
      const volume = parseVolumeName(name)
      if (volume?.tar !== tar) continue
      const path = join(directory, name)
      const { size } = await stat(path).catch((error: unknown) => {
        throw fileError(error, path)
      })
      candidates.push({ path, directory, number: volume.number, size, description: beside.get(volume.number) })
    }
  }
  const wanted = chosen(candidates, named) ?? descriptions[0]
  const known = new Map(
    descriptions.filter(({ set }) => set === wanted?.set).map(description => [description.number, description]),
  )
  const volumes = new Map<number, Volume>()
  const wrong: (VolumeFault & { readonly number: number })[] = []
  for (const candidate of candidates) {
    const message = wanted && (await faultOf(candidate, wanted, known, tar))
    if (message) {
      wrong.push({ code: 'VOLUME_WRONG', path: candidate.path, number: candidate.number, message })
    } else if (!volumes.has(candidate.number)) {
      const { path, number, size } = candidate
      volumes.set(number, { path, number, size, description: candidate.description ?? known.get(number) })
    }
  }
  // A file that is wrong does no harm beside the volume itself, on another medium
  faults.push(...wrong.filter(({ number }) => !volumes.has(number)))
  const strays = new Set(wrong.map(({ number }) => number))
  const count = wanted?.count
  const last = count ?? Math.max(0, ...volumes.keys())
  for (let number = 1; number <= last; number += 1) {
    if (volumes.has(number) || strays.has(number)) continue
    const path = volumeName(tar, number, last)
    const message = `volume ${number} of ${count ?? 'the set'} is not there`
    const renamed = await otherNameOf(known.get(number), directories, candidates)
    const but = renamed === undefined ? '' : `, but its content is in ${renamed}: give that its name, ${path}`
    faults.push({ code: 'VOLUME_MISSING', path, number, message: `${message}${but}`, ...(but ? { renamed } : {}) })
  }
  return { tar, directories, volumes, count, total: wanted?.total, set: wanted?.set, faults }
}

/** The file that is `volume` by its size and samples, but has a name that no volume has. */
async function otherNameOf(
  volume: VolumeDescription | undefined,
  directories: readonly string[],
  candidates: readonly Candidate[],
): Promise<string | undefined> {
  if (!volume) return undefined
  for (const directory of directories) {
    for (const name of await namesIn(directory)) {
      const path = join(directory, name)
      if (candidates.some(each => each.path === path)) continue
      const found = await stat(path).catch(() => undefined) // what cannot be read is not taken for it
      if (!found?.isFile() || found.size !== volume.size) continue
      if ((await sampleFile(path, volume.size).catch(() => undefined)) === volume.samples) return path
    }
  }
  return undefined
}

/** The set that is meant: that of the volume that was named, else the one that most volumes belong to. */
function chosen(candidates: readonly Candidate[], named: Place | undefined): VolumeDescription | undefined {
  const own = candidates.find(({ number, directory }) => number === named?.number && directory === named.directory)
  if (own?.description) return own.description
  const counts = new Map<Digest, number>()
  for (const { description } of candidates)
    if (description) counts.set(description.set, (counts.get(description.set) ?? 0) + 1)
  const [most] = [...counts].sort(([, a], [, b]) => b - a)
  return candidates.find(({ description }) => description && description.set === most?.[0])?.description
}

/** Why the file is not the volume of the set that it should be; undefined if it seems to be. */
async function faultOf(
  { path, number, size, description }: Candidate,
  wanted: VolumeDescription,
  known: ReadonlyMap<number, VolumeDescription>,
  tar: string,
): Promise<string | undefined> {
  const { set, count, total } = wanted
  if (description && description.set !== set) {
    return `it is volume ${description.number} of ${description.count} of another set, as said by ${descriptionName(tar, number, description.count)}`
  }
  if (number > count) return `it is of another set: this one has ${count} volumes`
  const expected = description ?? known.get(number)
  if (expected && expected.number !== number) return `it is volume ${expected.number} under another name`
  const length = expected?.size ?? sizeOf(number, wanted)
  const samples = await sampleFile(path, size).catch((error: unknown) => {
    throw fileError(error, path)
  })
  const other = [...known.values()].find(each => each.number !== number && each.samples === samples)
  if (other) return `it has the content of volume ${other.number}`
  if (length !== undefined && size !== length) {
    const how = size < length ? 'it was cut short' : 'it is another file, or something was added to it'
    return `expected ${exactSize(length)} but found ${exactSize(size)}: ${how}`
  }
  if (!expected || samples === expected.samples) return undefined
  return `its content is not what ${descriptionName(tar, number, count)} describes: it is an older file, or damaged (volume ${number} of ${count}, ${total} bytes in all)`
}

/** The size of a volume that is not described, from another that is. */
function sizeOf(number: number, { number: known, count, offset, size, total }: VolumeDescription): number | undefined {
  const each = known < count ? size : known > 1 ? offset / (known - 1) : undefined
  if (each === undefined) return undefined
  return number < count ? each : total - each * (count - 1)
}

async function readStart(path: string): Promise<Uint8Array> {
  await using file = await open(path, 'r')
  const { bytesRead, buffer } = await file.read(Buffer.alloc(DESCRIPTION_LIMIT), 0, DESCRIPTION_LIMIT, 0)
  return buffer.subarray(0, bytesRead)
}

/** Numbers as people write them: `1`, `1 and 2`, `1 to 3 and 7`. */
export function numbersText(numbers: readonly number[]): string {
  const runs: [number, number][] = []
  for (const number of numbers) {
    const run = runs.at(-1)
    if (run && run[1] === number - 1) run[1] = number
    else runs.push([number, number])
  }
  const parts = runs.flatMap(([from, to]) =>
    from === to ? [String(from)] : to === from + 1 ? [String(from), String(to)] : [`${from} to ${to}`],
  )
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`
}
