/** What is written beside volumes: a description of each, and the checksums of all in the directory. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { syncPath, writeDurably } from '../blob/durable.js'
import { fileError, systemCode } from '../errors.js'
import { type Digest, hexOf } from '../oci/digest.js'
import {
  descriptionName,
  encodeVolumeDescription,
  parseDescriptionName,
  parseVolumeDescription,
  sumsName,
  type VolumeDescription,
  volumeName,
} from './description.js'
import { onMedium } from './gone.js'

export interface WrittenVolume {
  readonly number: number
  readonly path: string
  readonly size: number
  readonly digest: Digest
}

/** Writes the description of the volume `path`. Returns false if it was there. Throws what {@link onMedium} throws. */
export async function writeDescription(path: string, tar: string, description: VolumeDescription): Promise<boolean> {
  const { number, count } = description
  return await writeUnlessThere(
    join(dirname(path), descriptionName(tar, number, count)),
    encodeVolumeDescription(description),
  )
}

/** The description of the volume `path`; undefined if it has none. Throws INVALID_MANIFEST and {@link fileError}s. */
export async function readDescription(
  path: string,
  tar: string,
  number: number,
  count: number,
): Promise<VolumeDescription | undefined> {
  const beside = join(dirname(path), descriptionName(tar, number, count))
  try {
    return parseVolumeDescription(await readFile(beside), beside)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw fileError(error, beside)
  }
}

/** The numbers of the volumes of `set` that are described in `directory`, whether they are there or not. */
export async function describedIn(
  directory: string,
  tar: string,
  count: number,
  set: Digest,
): Promise<readonly number[]> {
  const numbers: number[] = []
  for (const name of await readdir(directory).catch(() => [])) {
    const number = parseDescriptionName(name, tar)
    if (number === undefined) continue
    const path = join(directory, volumeName(tar, number, count))
    const description = await readDescription(path, tar, number, count).catch(() => undefined) // of another set
    if (description?.set === set) numbers.push(number)
  }
  return numbers
}

/** Writes the checksums of `volumes`, which are in `directory`. Returns false if they were there, or there are none. */
export async function writeSums(directory: string, tar: string, volumes: readonly WrittenVolume[]): Promise<boolean> {
  if (volumes.length === 0) return false
  const lines = volumes
    .toSorted((a, b) => a.number - b.number)
    .map(({ path, digest }) => `${hexOf(digest)}  ${basename(path)}\n`)
  return await writeUnlessThere(join(directory, sumsName(tar)), new TextEncoder().encode(lines.join('')))
}

async function writeUnlessThere(path: string, bytes: Uint8Array): Promise<boolean> {
  const there = await readFile(path).catch(() => undefined) // it is written again
  if (there?.equals(bytes)) return false
  await onMedium(path, async () => {
    await writeDurably(path, bytes)
    await syncPath(dirname(path), 'directory')
  })
  return true
}
