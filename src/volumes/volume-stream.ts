/** All volumes of a tar as a stream: those that are not there yet are asked for, one medium after another. */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Bytes } from '../blob/blob-store.js'
import { fileError, StowageError } from '../errors.js'
import { pieces } from '../tar/pieces.js'
import { findVolumes, type Volume, type VolumeSet } from './find.js'
import { isGone } from './gone.js'
import { incompleteSet } from './volume-file.js'

/** A volume that is needed next, and is not where it was looked for. */
export interface MissingVolume {
  /** The name of the tar. */
  readonly tar: string
  readonly number: number
  readonly count: number
  /** Where it was looked for. */
  readonly directories: readonly string[]
  /** Why it was not taken, if there is a file of that name. */
  readonly reason?: string
}

/**
 * Asks for the medium that has the volume. Resolves when it may be there, with a directory to look in as well, if it is
 * another one. Throws to give up.
 */
export type AskForVolume = (volume: MissingVolume) => Promise<string | undefined>

/**
 * The bytes of the tar in order, from a set whose volumes need not all be there. A medium that goes away while it is
 * read is asked for again. With `check`, each volume is compared with the digest written beside it at its end. Throws what `ask` throws, and MEDIUM_FAILED for a volume that cannot be read.
 */
export async function* readVolumes(
  set: VolumeSet,
  ask: AskForVolume,
  signal: AbortSignal | undefined,
  check = false,
): Bytes {
  const { tar, count } = set
  if (count === undefined) throw incompleteSet(set)
  let current = set
  for (let number = 1; number <= count; number += 1) {
    let done = 0
    const hash = check ? createHash('sha256') : undefined
    for (;;) {
      signal?.throwIfAborted()
      const volume = current.volumes.get(number)
      const file = volume && (await openThere(volume))
      if (volume && file) {
        try {
          for await (const piece of pieces(file, done, volume.size - done, signal)) {
            done += piece.length
            hash?.update(piece)
            yield piece
          }
        } catch (error) {
          if (!isGone(error)) throw fileError(error, volume.path)
        } finally {
          await file.close().catch(() => undefined) // of a medium that is gone
        }
        if (done === volume.size) {
          if (hash) expectDigest(volume, hash.digest('hex'))
          break
        }
      }
      const reason = current.faults.find(fault => fault.code === 'VOLUME_WRONG' && fault.number === number)
      const directory = await ask({
        tar,
        number,
        count,
        directories: current.directories,
        ...(reason ? { reason: reason.message } : {}),
      })
      current = await lookAgain(current, set, directory)
    }
  }
}

function expectDigest({ path, description }: Volume, hex: string): void {
  if (!description || description.digest === `sha256:${hex}`) return
  throw new StowageError(
    'DIGEST_MISMATCH',
    `${path}: expected ${description.digest} but the content is sha256:${hex}`,
    {
      hint: 'Copy the volume again.',
    },
  )
}

/** The set as it is now, in the known directories and `directory`; volumes of another set do not count. */
async function lookAgain(known: VolumeSet, first: VolumeSet, directory: string | undefined): Promise<VolumeSet> {
  const directories = [...known.directories, ...(directory === undefined ? [] : [directory])]
  const volumes = new Map<number, Volume>()
  const faults = []
  for (const each of new Set(directories)) {
    const found = await findVolumes([`${each}/${known.tar}`]).catch((error: unknown) => {
      if (error instanceof StowageError) return undefined // the medium is not there
      throw error
    })
    if (!found || (found.set !== undefined && found.set !== first.set)) continue
    for (const [number, volume] of found.volumes) if (!volumes.has(number)) volumes.set(number, volume)
    faults.push(...found.faults)
  }
  return { ...known, directories: [...new Set(directories)], volumes, faults }
}

async function openThere({ path, size }: Volume): Promise<FileHandle | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
    if ((await file.stat()).size === size) return file
    await file.close()
    return undefined
  } catch (error) {
    if (isGone(error)) return undefined
    throw fileError(error, path)
  }
}
