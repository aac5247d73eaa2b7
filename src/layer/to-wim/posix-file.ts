/**
 * Converts entries of a Linux layer to files of a WIM as wimlib stores them with `--unix-data`: owner, mode, devices
 * and extended attributes. Sources: wimlib's documentation of tagged metadata items; star's and libarchive's PAX keys.
 */
import { StowageError } from '../../errors.js'
import type { Content, ImageFile } from '../../wim/metadata-writer.js'
import { packAttributes } from '../../windows/extended-attributes.js'
import {
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_ATTRIBUTE_REPARSE_POINT,
  IO_REPARSE_TAG_SYMLINK,
} from '../../windows/file-attributes.js'
import { encodePosixLink, REPARSE_DATA_LIMIT } from '../../windows/reparse-point.js'
import type { LayerTarEntry } from '../read/tar-entry.js'
import type { Losses } from './losses.js'
import { ownContent, timesOf } from './windows-file.js'

const FILE_ATTRIBUTE_NORMAL = 0x80
const NOT_FIXED = 1
const NOTHING = Buffer.alloc(0)
const ATTRIBUTE = 'SCHILY.xattr.'

/** The file types of `st_mode`, and the attributes that wimlib gives each of them. */
const TYPES = {
  file: { bits: 0o100000, attributes: FILE_ATTRIBUTE_NORMAL },
  directory: { bits: 0o040000, attributes: FILE_ATTRIBUTE_DIRECTORY },
  symlink: { bits: 0o120000, attributes: FILE_ATTRIBUTE_REPARSE_POINT },
  'character device': { bits: 0o020000, attributes: 0 },
  'block device': { bits: 0o060000, attributes: 0 },
  fifo: { bits: 0o010000, attributes: 0 },
} as const

/** A POSIX file. */
export interface PosixFile extends ImageFile {
  /** The target of a symbolic link, with slashes, for entries of later layers whose paths lead through it. */
  readonly target?: string | undefined
}

/**
 * Converts `entry`, which is not a hard link. Metadata that a WIM cannot hold is added to `losses`. Throws
 * LAYER_UNSUPPORTED for a file that no WIM can hold, LAYER_CORRUPT for invalid records.
 */
export function posixFile(entry: LayerTarEntry, data: Content | undefined, losses: Losses): PosixFile {
  const { type, path, linkname } = entry
  if (type === 'hard link') throw new StowageError('LAYER_CORRUPT', `${path}: a hard link is not a file`)
  const { bits, attributes } = TYPES[type]
  const link = type === 'symlink'
  if (link && linkname === '') throw new StowageError('LAYER_CORRUPT', `${path}: a symbolic link without a target`)
  if (link && linkname.includes('\\'))
    losses.add('backslashes in the targets of symbolic links, which become slashes', path)
  const reparse = link ? encodePosixLink(linkname) : undefined
  if (reparse && reparse.length > REPARSE_DATA_LIMIT) {
    throw new StowageError('LAYER_UNSUPPORTED', `${path}: its target is longer than a WIM can hold`)
  }
  for (const key of entry.records.keys()) {
    if (/^(?:SCHILY\.acl|RHT\.|GNU\.sparse)/.test(key)) losses.add(`records ${key}`, path)
  }
  return {
    attributes,
    security: -1,
    reparseTag: link ? IO_REPARSE_TAG_SYMLINK : 0,
    reparseFlags: link ? NOT_FIXED : 0,
    ...timesOf(entry, losses),
    extendedAttributes: attributesPacked(entry),
    objectId: NOTHING,
    unixData: unixData(entry, bits),
    data: type === 'file' ? data : undefined,
    reparse: reparse && ownContent(reparse),
    streams: [],
    target: link ? linkname : undefined,
  }
}

/** A directory without an entry: owned by root, with mode 0755 and the time of the file in it. */
export function plainPosixDirectory(below: ImageFile | undefined): ImageFile {
  const time = below?.writeTime ?? 0n
  const data = Buffer.alloc(16)
  data.writeUInt32LE(TYPES.directory.bits | 0o755, 8)
  return {
    attributes: FILE_ATTRIBUTE_DIRECTORY,
    security: -1,
    reparseTag: 0,
    reparseFlags: 0,
    creationTime: time,
    accessTime: time,
    writeTime: time,
    extendedAttributes: NOTHING,
    objectId: NOTHING,
    unixData: data,
    data: undefined,
    reparse: undefined,
    streams: [],
  }
}

/** Owner, group, mode and device number, 32 bits each. */
function unixData({ uid, gid, mode, devmajor, devminor, path, type }: LayerTarEntry, bits: number): Buffer {
  if (uid > 0xffffffff || gid > 0xffffffff) {
    throw new StowageError('LAYER_UNSUPPORTED', `${path}: a WIM cannot hold its owner ${uid}:${gid}`, {
      hint: 'The limit is 32 bits.',
    })
  }
  const device = type === 'character device' || type === 'block device'
  if (device && (devmajor > 0xfff || devminor > 0xfffff)) {
    throw new StowageError('LAYER_UNSUPPORTED', `${path}: a WIM cannot hold its device number ${devmajor}:${devminor}`)
  }
  const data = Buffer.alloc(16)
  data.writeUInt32LE(uid, 0)
  data.writeUInt32LE(gid, 4)
  data.writeUInt32LE(bits | (mode & 0o7777), 8)
  // A 32-bit dev_t of Linux
  data.writeUInt32LE(device ? ((devminor & 0xff) | (devmajor << 8) | ((devminor & ~0xff) << 12)) >>> 0 : 0, 12)
  return data
}

function attributesPacked({ records, path }: LayerTarEntry): Buffer {
  const attributes = []
  for (const [key, value] of records) {
    if (!key.startsWith(ATTRIBUTE)) continue
    attributes.push({ name: Buffer.from(key.slice(ATTRIBUTE.length)), flags: 0, value: Buffer.from(value, 'latin1') })
  }
  return attributes.length === 0 ? NOTHING : packAttributes(attributes, path)
}
