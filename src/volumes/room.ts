/** Whether volumes fit: how many they are, how large, and the room on the medium. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { mediumAt } from '../archive/medium.js'
import { type Advice, checkSpace, volumeFor } from '../archive/space.js'
import { PARTIAL } from '../blob/durable.js'
import { outputError, StowageError } from '../errors.js'
import { exactSize } from '../size-text.js'
import { filesOfSet, MOST_VOLUMES, volumeName } from './description.js'

/** Space in bytes for what is written beside each volume. */
export const BESIDE = 32 * 1024

/** A volume, and which bytes of the tar it has. */
export interface Place {
  readonly number: number
  readonly offset: number
  readonly size: number
}

/** Throws INVALID_ARGUMENT if a tar of `total` bytes would have too many volumes. */
export function expectCount(total: number, volumeSize: number): void {
  const count = Math.ceil(total / volumeSize)
  if (count <= MOST_VOLUMES) return
  throw new StowageError(
    'INVALID_ARGUMENT',
    `${exactSize(total)} would be ${count} volumes of ${exactSize(volumeSize)}; the limit is ${MOST_VOLUMES}`,
    { hint: 'Name a larger --volume-size.' },
  )
}

/** The volumes of a tar in a directory. */
export interface VolumesHere {
  readonly directory: string
  readonly tar: string
  readonly places: readonly Place[]
  /** The size of the tar, in bytes. */
  readonly total: number
}

/** Bytes that are there of the volumes of a set. */
export async function heldOfSet(directory: string, tar: string, count: number): Promise<number> {
  let held = 0
  for (let number = 1; number <= count; number += 1) {
    const path = join(directory, volumeName(tar, number, count))
    for (const each of [path, `${path}${PARTIAL}`]) held += (await stat(each).catch(() => undefined))?.size ?? 0
  }
  return held
}

/** Throws NO_SPACE if a volume is too large for the file system, or all of them if they are `together` on it. */
export async function expectRoom(
  { directory, tar, places, total }: VolumesHere,
  together: boolean,
  { advice, also = [] }: { readonly advice?: Advice | undefined; readonly also?: readonly number[] | undefined },
): Promise<void> {
  try {
    const largest = places[0]?.size ?? 0
    const { largestFile: limit } = await mediumAt(directory)
    if (limit !== undefined && largest > limit) {
      throw new StowageError(
        'NO_SPACE',
        `${directory} cannot hold a file of more than ${exactSize(limit)}, but a volume has ${exactSize(largest)}`,
        { hint: `Use --volume-size ${volumeFor(limit)}.` },
      )
    }
    if (!together) return
    const sizes = filesOfSet(tar, total, largest).map(({ size }) => size)
    await checkSpace(
      directory,
      { sizes: [...sizes, ...also], held: await heldOfSet(directory, tar, places.length) },
      advice,
    )
  } catch (error) {
    throw outputError(error, join(directory, tar))
  }
}
