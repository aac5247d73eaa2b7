/** Checks before writing whether the output fits on the medium. */
import { StowageError } from '../errors.js'
import { exactSize } from '../size-text.js'
import { type Medium, mediumAt } from './medium.js'

/** What is to be written, in bytes and files. */
export interface Need {
  readonly size: number
  /** The largest file of it. */
  readonly largest: number
  /** New files and directories; left out if they are few. */
  readonly files?: number
}

/**
 * Throws NO_SPACE if what is needed does not fit on the file system of `directory`, or if that cannot hold a file of
 * that size or so many files. What a file system does not tell is not checked. `cuts`: the output is a tar, which could
 * be cut into volumes.
 */
export async function checkSpace(directory: string, need: Need, cuts = false): Promise<void> {
  const medium = await mediumAt(directory)
  const { free, largestFile, inodes, kind } = medium
  const { size, largest, files = 0 } = need
  if (free !== undefined && size > free) throw noRoom({ path: directory, needed: size, free }, cuts)
  if (largestFile !== undefined && largest > largestFile) throw tooLarge(directory, medium, largest, cuts)
  if (inodes !== undefined && files > inodes) {
    throw new StowageError(
      'NO_SPACE',
      `${on(directory, kind)} can hold ${inodes} more files, but ${files} are needed`,
      {
        hint: 'Write a tar (-o FILE.tar), which is one file, or delete files there.',
      },
    )
  }
}

/** The error if there is too little room. */
export function noRoom({ path, needed, free }: Room, cuts = false): StowageError {
  const over = exactSize(needed - free)
  const message = `${path} has ${exactSize(free)} free, but ${exactSize(needed)} is needed: ${over} too much`
  const volumes = cuts ? ', or cut the tar into volumes for several media (--volume-size)' : ''
  return new StowageError('NO_SPACE', message, { hint: `Free ${over}, or write to another file system${volumes}.` })
}

function tooLarge(path: string, { kind, largestFile = 0 }: Medium, largest: number, cuts: boolean): StowageError {
  const message = `${on(path, kind)} can hold files of at most ${exactSize(largestFile)}, but one of ${exactSize(largest)} is needed`
  const another = kind === 'FAT32' ? 'Format the medium as exFAT' : 'Raise the limit (ulimit -f)'
  const volumes = cuts
    ? 'cut the tar into volumes: --volume-size fat32'
    : 'pack a tar in volumes: -o FILE.tar --volume-size fat32'
  return new StowageError('NO_SPACE', message, { hint: `${another}, or ${volumes}.` })
}

function on(path: string, kind: string | undefined): string {
  return kind === undefined ? path : `${path} (${kind})`
}

/** Space on a disk, in bytes. */
export interface Room {
  /** A directory on the file system. */
  readonly path: string
  /** What would be written at most, as far as it is known. */
  readonly needed: number
  readonly free: number
  /** The file system (`FAT32`, `exFAT`, `ext4` …) and its largest file, if the system tells. */
  readonly kind?: string
  readonly largestFile?: number
  /** How many files can still be created, if there is a limit. */
  readonly inodes?: number
  /** Whether it is on a stick, a card or another disk that can be pulled out, if the system tells. */
  readonly removable?: boolean
}

/** The room for `needed` bytes at `path`, which need not exist; undefined if the file system does not report its size. */
export async function roomAt(path: string, needed: number): Promise<Room | undefined> {
  const { path: directory, free, kind, largestFile, inodes, removable } = await mediumAt(path)
  if (free === undefined) return undefined
  return {
    path: directory,
    needed,
    free,
    ...(kind === undefined ? {} : { kind }),
    ...(largestFile === undefined ? {} : { largestFile }),
    ...(inodes === undefined ? {} : { inodes }),
    ...(removable === undefined ? {} : { removable }),
  }
}
