/** What a file system can hold: its kind, its free space, its largest file. */
import * as fs from 'node:fs/promises'
import { resolve } from 'node:path'
import { existingAbove } from '../blob/workspace.js'

/** The file system that a path is on. Sizes are in bytes. */
export interface Medium {
  /** A directory on it. */
  readonly path: string
  /** `FAT32`, `exFAT`, `NTFS`, `ext4` …; undefined if the system does not tell. */
  readonly kind: string | undefined
  /** Undefined if it does not tell, as some network shares. */
  readonly free: number | undefined
  /** Files and directories that can still be created; undefined if there is no limit. */
  readonly inodes: number | undefined
  /** The largest file that it, or this process, can write; undefined if there is no limit below 8 EiB. */
  readonly largestFile: number | undefined
}

/** The largest file on FAT, and the largest volume of it that is a multiple of a tar's block. */
export const FAT_FILE_LIMIT = 2 ** 32 - 1
/** Source: Linux, include/uapi/linux/magic.h and the file systems' own headers; statfs(2). */
const KINDS: ReadonlyMap<number, string> = new Map([
  [0x4d44, 'FAT32'],
  [0x2011bab0, 'exFAT'],
  [0x5346544e, 'NTFS'],
  [0x7366746e, 'NTFS'],
  [0xef53, 'ext4'],
  [0x58465342, 'XFS'],
  [0x9123683e, 'Btrfs'],
  [0xf2f52010, 'F2FS'],
  [0x2fc12fc1, 'ZFS'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlay'],
  [0x6969, 'NFS'],
  [0xff534d42, 'SMB'],
  [0xfe534d42, 'SMB'],
  [0x517b, 'SMB'],
  [0x01021997, '9P'],
  [0x15013346, 'UDF'],
  [0x9660, 'ISO 9660'],
  [0x482b, 'HFS+'],
])
const FUSE = 0x65735546
/** The names that the mount table has for file systems in user space. */
const FUSE_KINDS: readonly (readonly [RegExp, string])[] = [
  [/exfat/i, 'exFAT'],
  [/fat/i, 'FAT32'],
  [/ntfs/i, 'NTFS'],
  [/sshfs/i, 'SSHFS'],
]

/** The medium that `path` is on or will be created on; `path` need not exist. Throws system errors. */
export async function mediumAt(path: string): Promise<Medium> {
  const directory = await existingAbove(resolve(path))
  const { bavail, bsize, blocks, ffree, files, type } = await fs.statfs(directory)
  const kind = KINDS.get(type >>> 0) ?? (type >>> 0 === FUSE ? await kindInTable(directory) : undefined)
  const limits = [kind === 'FAT32' ? FAT_FILE_LIMIT : undefined, await ownLimit()].filter(limit => limit !== undefined)
  return {
    path: directory,
    kind,
    free: blocks > 0 ? bavail * bsize : undefined,
    inodes: files > 0 ? ffree : undefined,
    largestFile: limits.length > 0 ? Math.min(...limits) : undefined,
  }
}

/** The kind of a FUSE file system, by the table of mounts. Source: proc(5), mountinfo. */
async function kindInTable(directory: string): Promise<string | undefined> {
  const table = await fs.readFile('/proc/self/mountinfo', 'utf8').catch(() => '')
  const { dev } = await fs.stat(directory, { bigint: true })
  const id = `${major(dev)}:${minor(dev)}`
  const line = table.split('\n').findLast(each => each.split(' ')[2] === id)
  const type = line?.split(' - ')[1] ?? ''
  return FUSE_KINDS.find(([pattern]) => pattern.test(type))?.[1]
}

/** Source: Linux, include/linux/kdev_t.h, new_encode_dev. */
function major(device: bigint): bigint {
  return (device >> 8n) & 0xfffn
}

function minor(device: bigint): bigint {
  return (device & 0xffn) | ((device >> 12n) & 0xfff00n)
}

/** The largest file that this process may write (`ulimit -f`); undefined if there is no limit. */
async function ownLimit(): Promise<number | undefined> {
  const limits = await fs.readFile('/proc/self/limits', 'utf8').catch(() => '')
  const soft = /^Max file size\s+(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? undefined : Number(soft)
}
