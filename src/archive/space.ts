/** Checks before writing whether the output fits on the medium. */
import * as fs from 'node:fs/promises'
import { resolve } from 'node:path'
import { existingAbove } from '../blob/workspace.js'
import { StowageError } from '../errors.js'
import { exactSize } from '../size-text.js'

/** `statfs` type of FAT file systems (`MSDOS_SUPER_MAGIC`), and their largest file. */
const FAT_TYPE = 0x4d44
const FAT_FILE_LIMIT = 2 ** 32 - 1

/**
 * Throws NO_SPACE if `needed` bytes do not fit on the file system of `directory`, or if that cannot hold a file of
 * `largest` bytes. A file system that does not report its size is not checked for free space.
 */
export async function checkSpace(directory: string, needed: number, largest: number): Promise<void> {
  const { bavail, bsize, type, blocks } = await fs.statfs(directory)
  const free = bavail * bsize
  if (blocks > 0 && needed > free) {
    throw noRoom({ path: directory, needed, free })
  }
  if (type === FAT_TYPE && largest > FAT_FILE_LIMIT) {
    throw new StowageError(
      'NO_SPACE',
      `${directory} is on FAT, where a file has at most ${exactSize(FAT_FILE_LIMIT)}, but one of ${exactSize(largest)} is needed`,
      { hint: 'Format the medium as exFAT, or write a directory bundle if no single layer is that large.' },
    )
  }
}

/** The error if there is too little room. */
export function noRoom({ path, needed, free }: Room): StowageError {
  const message = `${path} has ${exactSize(free)} free, but ${exactSize(needed)} is needed`
  return new StowageError('NO_SPACE', message, {
    hint: `Free ${exactSize(needed - free)}, or write to another file system.`,
  })
}

/** Space on a disk, in bytes. */
export interface Room {
  /** A directory on the file system. */
  readonly path: string
  /** What would be written at most, as far as it is known. */
  readonly needed: number
  readonly free: number
}

/** The room for `needed` bytes at `path`, which need not exist; undefined if the file system does not report its size. */
export async function roomAt(path: string, needed: number): Promise<Room | undefined> {
  const directory = await existingAbove(resolve(path))
  const { bavail, bsize, blocks } = await fs.statfs(directory)
  return blocks > 0 ? { path: directory, needed, free: bavail * bsize } : undefined
}
