/** What a file system can hold: its kind, its free space, its largest file; and what it is on. */
import * as fs from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { existingAbove } from '../blob/workspace.js'
import { type Mount, mountTable, rememberMounts } from '../mounts.js'

/** The file system that a path is on. Sizes are in bytes. */
export interface Medium {
  /** A directory on it. */
  readonly path: string
  /** `FAT32`, `exFAT`, `NTFS`, `ext4` …; undefined if the system does not tell. */
  readonly kind: string | undefined
  /** What it gives room in, in bytes: each file takes whole blocks. */
  readonly block: number
  /** Undefined if it does not tell, as some network shares. */
  readonly free: number | undefined
  /** Files and directories that can still be created; undefined if there is no limit. */
  readonly inodes: number | undefined
  /** The largest file that it, or this process, can write; undefined if there is no limit below 8 EiB. */
  readonly largestFile: number | undefined
  /** Whether it is on a stick, a card or another disk that can be pulled out; undefined if the system does not tell. */
  readonly removable: boolean | undefined
  /** Set if a program (FUSE) is the file system: it reads `device`, or what the system does not tell. */
  readonly program?: { readonly device: string | undefined }
}

/** The largest file on FAT, in bytes. */
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
const BOOT_SECTOR = 512
/** The names that the mount table has for file systems in user space. */
const FUSE_KINDS: readonly (readonly [RegExp, string])[] = [
  [/exfat/i, 'exFAT'],
  [/fat/i, 'FAT32'],
  [/ntfs/i, 'NTFS'],
  [/sshfs/i, 'SSHFS'],
]

/** The name of a program, as a file system gives it for its source: `ntfs-3g`. */
const PROGRAM = /^[\w.-]+$/

/** The medium that `path` is on or will be created on; `path` need not exist. Throws system errors. */
export async function mediumAt(path: string): Promise<Medium> {
  const directory = await existingAbove(resolve(path))
  rememberMounts()
  const { bavail, bsize, blocks, ffree, files, type } = await fs.statfs(directory)
  const { dev } = await fs.stat(directory, { bigint: true })
  const mount = mountTable().findLast(({ device }) => device === numbersOf(dev))
  const device = mount?.source.startsWith('/dev/') ? mount.source : undefined
  const program = type >>> 0 === FUSE ? { device } : undefined
  const kind = KINDS.get(type >>> 0) ?? (program && mount && (await kindOfProgram(mount)))
  const limits = [kind === 'FAT32' ? FAT_FILE_LIMIT : undefined, await ownLimit()].filter(limit => limit !== undefined)
  return {
    path: directory,
    kind,
    block: bsize,
    free: blocks > 0 ? bavail * bsize : undefined,
    inodes: files > 0 ? ffree : undefined,
    largestFile: limits.length > 0 ? Math.min(...limits) : undefined,
    removable: await isRemovable(await diskOf(dev, device)),
    ...(program ? { program } : {}),
  }
}

/**
 * The kind of a file system in user space: by its type or program, by what udev has found on its device, or by what is in
 * the first sector of that or of an image. Never by a path: that of a share can have any name in it.
 */
async function kindOfProgram({ type, source }: Mount): Promise<string | undefined> {
  const kindIn = (text: string): string | undefined => FUSE_KINDS.find(([pattern]) => pattern.test(text))?.[1]
  const named = kindIn(type) ?? (PROGRAM.test(source) ? kindIn(source) : undefined)
  if (named !== undefined || !source.startsWith('/')) return named
  const device = await fs.stat(source, { bigint: true }).catch(() => undefined)
  if (!device || !(device.isFile() || device.isBlockDevice())) return undefined
  const known = device.isFile()
    ? ''
    : await fs.readFile(`/run/udev/data/b${numbersOf(device.rdev)}`, 'utf8').catch(() => '')
  return kindIn(/^E:ID_FS_TYPE=(.*)$/m.exec(known)?.[1] ?? '') ?? kindIn(await labelOf(source))
}

/** Where FAT, exFAT and NTFS have their names in the first sector. Sources: Microsoft's specifications of FAT and exFAT. */
async function labelOf(device: string): Promise<string> {
  const head = Buffer.alloc(BOOT_SECTOR)
  const file = await fs.open(device, 'r').catch(() => undefined) // not everybody may read it
  if (!file) return ''
  try {
    await file.read(head)
  } catch {
    return '' // reported when something is written there
  } finally {
    await file.close()
  }
  return [3, 54, 82].map(at => head.toString('latin1', at, at + 8)).join(' ')
}

/** The directory of a block device in sysfs; undefined if there is none. */
async function diskOf(dev: bigint, device: string | undefined): Promise<string | undefined> {
  // A file system may have a number of its own, as Btrfs does
  const ids = [
    dev,
    device === undefined ? undefined : (await fs.stat(device, { bigint: true }).catch(() => undefined))?.rdev,
  ]
  for (const id of ids) {
    if (id === undefined) continue
    const found = await fs.realpath(`/sys/dev/block/${numbersOf(id)}`).catch(() => undefined)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * Whether a block device, the disk that it is a partition of, or what it is made of, is removable: by its own word, on
 * USB, or as a memory card. Source: Linux, Documentation/ABI/testing/sysfs-block, sysfs-bus-mmc.
 */
async function isRemovable(device: string | undefined, depth = 4): Promise<boolean | undefined> {
  if (device === undefined) return undefined
  const word = async (name: string): Promise<string | undefined> =>
    (await fs.readFile(join(device, name), 'utf8').catch(() => undefined))?.trim()
  if ((await word('partition')) !== undefined) return await isRemovable(dirname(device), depth)
  if ((await word('removable')) === '1' || /\/usb\d+\//.test(device)) return true
  if (basename(device).startsWith('mmcblk') && (await word('device/type')) === 'SD') return true
  if (depth === 0) return false
  for (const slave of await fs.readdir(join(device, 'slaves')).catch(() => []))
    if (await isRemovable(await fs.realpath(join(device, 'slaves', slave)).catch(() => undefined), depth - 1))
      return true
  return false
}

/** `major:minor`. Source: Linux, include/linux/kdev_t.h, new_encode_dev. */
function numbersOf(device: bigint): string {
  return `${(device >> 8n) & 0xfffn}:${(device & 0xffn) | ((device >> 12n) & 0xfff00n)}`
}

/** The largest file that this process may write (`ulimit -f`); undefined if there is no limit. */
async function ownLimit(): Promise<number | undefined> {
  const limits = await fs.readFile('/proc/self/limits', 'utf8').catch(() => '')
  const soft = /^Max file size\s+(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? undefined : Number(soft)
}
