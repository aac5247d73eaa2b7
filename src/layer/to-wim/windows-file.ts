/**
 * Converts entries of a Windows layer to files of a WIM: PAX records become attributes, security descriptors, times,
 * extended attributes and reparse data. Sources: go-winio's documented behavior (the tar form of Windows' backup
 * streams); MS-FSCC.
 */
import * as buffer from 'node:buffer'
import { createHash } from 'node:crypto'
import { StowageError } from '../../errors.js'
import type { Content, ImageFile } from '../../wim/metadata-writer.js'
import { packAttributes, unpackAttributes } from '../../windows/extended-attributes.js'
import {
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_ATTRIBUTE_ENCRYPTED,
  FILE_ATTRIBUTE_REPARSE_POINT,
  IO_REPARSE_TAG_MOUNT_POINT,
  IO_REPARSE_TAG_SYMLINK,
} from '../../windows/file-attributes.js'
import { fromSeconds, parsePaxTime } from '../../windows/filetime.js'
import { encodeReparseData, REPARSE_DATA_LIMIT } from '../../windows/reparse-point.js'
import type { LayerTarEntry } from '../read/tar-entry.js'
import type { Losses } from './losses.js'

const FILE_ATTRIBUTE_NORMAL = 0x80
const NOT_FIXED = 1
const NOTHING = Buffer.alloc(0)
const ATTRIBUTE = 'MSWINDOWS.xattr.'
/** Marks a link in a lossless layer whose drive is that of the image, because the WIM has RP_FIX. */
const RPFIX = 'STOWAGE.rpfix'
/** Records that are read here, or that repeat fields of the entry. */
const KNOWN = new Set([
  'MSWINDOWS.fileattr',
  'MSWINDOWS.rawsd',
  'MSWINDOWS.mountpoint',
  'LIBARCHIVE.creationtime',
  'mtime',
  'atime',
  'path',
  'linkpath',
  'size',
  'uid',
  'gid',
  'uname',
  'gname',
  'comment',
  'charset',
  'hdrcharset',
  'STOWAGE.shortname',
  'STOWAGE.objectid',
  'STOWAGE.reparse',
  'STOWAGE.reparseflags',
  'STOWAGE.fileattr',
  'STOWAGE.unixdata',
  'STOWAGE.times',
  'STOWAGE.rawsd',
  'STOWAGE.ea',
  RPFIX,
])
const ATTRIBUTE_FLAGS = 'STOWAGE.eaflags.'

/** The distinct security descriptors, by number. */
export class SecurityDescriptors {
  readonly list: Buffer[] = []
  readonly #indexes = new Map<string, number>()

  /** With `kept`, it is what a lossless layer kept from a host: any bytes. */
  indexOf(base64: string, path: string, kept = false): number {
    const known = this.#indexes.get(base64)
    if (known !== undefined) return known
    const descriptor = unpackBase64(base64, kept ? 'STOWAGE.rawsd' : 'MSWINDOWS.rawsd', path)
    // A self-relative SECURITY_DESCRIPTOR has revision 1 and a header of 20 bytes. Source: MS-DTYP 2.4.6
    if (!kept && (descriptor.length < 20 || descriptor.readUInt8(0) !== 1)) {
      throw new StowageError('LAYER_CORRUPT', `${path}: its record MSWINDOWS.rawsd is not a security descriptor`)
    }
    const index = this.list.push(descriptor) - 1
    this.#indexes.set(base64, index)
    return index
  }
}

/** The 8.3 name that a lossless layer kept for this entry, or an empty text. Throws LAYER_CORRUPT. */
export function shortNameOf({ records, path }: LayerTarEntry): string {
  const bytes = Buffer.from(records.get('STOWAGE.shortname') ?? '', 'latin1')
  // A dentry stores the size of a name in 16 bits
  if (buffer.isUtf8(bytes) && !bytes.includes(0) && bytes.toString().length < 0x8000) return bytes.toString()
  throw new StowageError('LAYER_CORRUPT', `${path}: its record STOWAGE.shortname is not a name`)
}

/**
 * Converts `entry`, a directory, file or symbolic link, with `data` as its content. Metadata that a WIM cannot hold is
 * added to `losses`. Throws LAYER_CORRUPT for invalid records, LAYER_UNSUPPORTED for a file that no WIM can hold.
 */
export function windowsFile(
  entry: LayerTarEntry,
  data: Content | undefined,
  security: SecurityDescriptors,
  losses: Losses,
): ImageFile {
  const { records, path } = entry
  const kept = records.get('STOWAGE.rawsd')
  const descriptor = kept ?? records.get('MSWINDOWS.rawsd')
  const reparse = reparseOf(entry)
  if (descriptor === undefined && records.has('MSWINDOWS.sd'))
    losses.add('security descriptors in text form (MSWINDOWS.sd)', path)
  noteUnknown(entry, losses)
  return {
    attributes: attributesOf(entry, reparse !== undefined, losses),
    security: descriptor === undefined ? -1 : security.indexOf(descriptor, path, kept !== undefined),
    reparseTag: reparse?.tag ?? 0,
    reparseFlags: reparse?.flags ?? 0,
    ...timesOf(entry, losses),
    extendedAttributes: attributesPacked(entry),
    objectId: hexOf(entry, 'STOWAGE.objectid'),
    unixData: hexOf(entry, 'STOWAGE.unixdata'),
    data: entry.type === 'file' ? data : undefined,
    reparse: reparse?.content,
    streams: [],
  }
}

/** A directory without an entry, with the time of the file in it. */
export function plainDirectory(below: ImageFile | undefined): ImageFile {
  const time = below?.writeTime ?? 0n
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
    unixData: NOTHING,
    data: undefined,
    reparse: undefined,
    streams: [],
  }
}

/** Content that is not in a layer, and is written with the images. */
export function ownContent(bytes: Buffer): Content {
  return { size: bytes.length, sha1: createHash('sha1').update(bytes).digest().toString('latin1'), bytes }
}

/** Whether the drive in the target of this link is that of the image. */
export function hasImageDrive({ records }: LayerTarEntry): boolean {
  return records.has(RPFIX)
}

/** The times of creation, last access and last write. Missing ones are set to the last write. */
export function timesOf(
  { records, mtime, path }: LayerTarEntry,
  losses: Losses,
): Pick<ImageFile, 'creationTime' | 'accessTime' | 'writeTime'> {
  function timeOf(key: string): bigint | undefined {
    const text = records.get(key)
    if (text === undefined) return undefined
    const parsed = parsePaxTime(text)
    if (!parsed)
      throw new StowageError(
        'LAYER_CORRUPT',
        `${path}: its record ${key} is not a time: ${JSON.stringify(text.slice(0, 40))}`,
      )
    if (parsed.moved) losses.add('times before 1601 or after 30828', path)
    return parsed.time
  }
  const kept = records.get('STOWAGE.times')
  if (kept !== undefined) return keptTimes(kept, path)
  const writeTime = timeOf('mtime') ?? fromSeconds(mtime).time
  return {
    writeTime,
    accessTime: timeOf('atime') ?? writeTime,
    creationTime: timeOf('LIBARCHIVE.creationtime') ?? writeTime,
  }
}

/** The FILETIMEs that a lossless layer kept. Throws LAYER_CORRUPT. */
function keptTimes(text: string, path: string): Pick<ImageFile, 'creationTime' | 'accessTime' | 'writeTime'> {
  const times = /^\d{1,20} \d{1,20} \d{1,20}$/.test(text) ? text.split(' ').map(BigInt) : []
  const [creationTime, accessTime, writeTime] = times
  if (creationTime !== undefined && accessTime !== undefined && writeTime !== undefined) {
    if (times.every(time => time <= 0xffff_ffff_ffff_ffffn)) return { creationTime, accessTime, writeTime }
  }
  throw new StowageError(
    'LAYER_CORRUPT',
    `${path}: its record STOWAGE.times is not three times: ${JSON.stringify(text.slice(0, 70))}`,
  )
}

function attributesOf(entry: LayerTarEntry, reparse: boolean, losses: Losses): number {
  const { records, path, type } = entry
  const text = records.get('STOWAGE.fileattr') ?? records.get('MSWINDOWS.fileattr')
  const number = text === undefined ? 0 : Number(text)
  if (text !== undefined && (!/^\d{1,10}$/.test(text) || number > 0xffffffff)) {
    throw new StowageError(
      'LAYER_CORRUPT',
      `${path}: its attributes are not a number of 32 bits: ${JSON.stringify(text.slice(0, 40))}`,
    )
  }
  let attributes = number >>> 0
  if (type === 'directory') attributes |= FILE_ATTRIBUTE_DIRECTORY
  else if (type === 'file' && (attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0) {
    attributes &= ~FILE_ATTRIBUTE_DIRECTORY
    losses.add('attributes that say directory, on files', path)
  }
  if (reparse) attributes |= FILE_ATTRIBUTE_REPARSE_POINT
  else if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0) {
    attributes &= ~FILE_ATTRIBUTE_REPARSE_POINT
    losses.add('attributes that say reparse point, without reparse data', path)
  }
  if (type === 'file' && (attributes & FILE_ATTRIBUTE_ENCRYPTED) !== 0) {
    attributes &= ~FILE_ATTRIBUTE_ENCRYPTED
    losses.add('attributes that say encrypted, on unencrypted files', path)
  }
  return attributes >>> 0 || FILE_ATTRIBUTE_NORMAL
}

function reparseOf(
  entry: LayerTarEntry,
): { readonly tag: number; readonly flags: number; readonly content: Content } | undefined {
  const { records, path, type, linkname } = entry
  const kept = records.get('STOWAGE.reparse')
  if (kept !== undefined) {
    const bytes = unpackBase64(kept, 'STOWAGE.reparse', path)
    if (bytes.length < 8) throw new StowageError('LAYER_CORRUPT', `${path}: its record STOWAGE.reparse has no tag`)
    return {
      tag: bytes.readUInt32LE(0),
      flags: bytes.readUInt16LE(4),
      content: reparseContent(bytes.subarray(8), path),
    }
  }
  if (type !== 'symlink') return undefined
  if (linkname === '') throw new StowageError('LAYER_CORRUPT', `${path}: a symbolic link without a target`)
  const mountPoint = records.has('MSWINDOWS.mountpoint')
  return {
    tag: mountPoint ? IO_REPARSE_TAG_MOUNT_POINT : IO_REPARSE_TAG_SYMLINK,
    flags: flagsOf(entry, 'STOWAGE.reparseflags', 0xffff) ?? NOT_FIXED,
    content: reparseContent(encodeReparseData(linkname, mountPoint), path),
  }
}

function reparseContent(data: Buffer, path: string): Content {
  if (data.length <= REPARSE_DATA_LIMIT) return data.length === 0 ? { size: 0, sha1: '' } : ownContent(data)
  throw new StowageError('LAYER_UNSUPPORTED', `${path}: its target is longer than Windows allows`)
}

function attributesPacked(entry: LayerTarEntry): Buffer {
  const { records, path } = entry
  const kept = records.get('STOWAGE.ea')
  if (kept !== undefined) {
    const packed = unpackBase64(kept, 'STOWAGE.ea', path)
    if (unpackAttributes(packed)) return packed
    throw new StowageError('LAYER_CORRUPT', `${path}: its record STOWAGE.ea is truncated`)
  }
  const attributes = []
  for (const [key, value] of records) {
    if (!key.startsWith(ATTRIBUTE)) continue
    const name = key.slice(ATTRIBUTE.length)
    const flags = flagsOf(entry, `${ATTRIBUTE_FLAGS}${name}`, 0xff) ?? 0
    attributes.push({ name: Buffer.from(name, 'latin1'), flags, value: unpackBase64(value, key, path) })
  }
  return attributes.length === 0 ? NOTHING : packAttributes(attributes, path)
}

/** The decimal number, up to `most`, in a record; undefined if there is no such record. Throws LAYER_CORRUPT. */
function flagsOf({ records, path }: LayerTarEntry, key: string, most: number): number | undefined {
  const text = records.get(key)
  if (text === undefined) return undefined
  if (/^\d{1,5}$/.test(text) && Number(text) <= most) return Number(text)
  throw new StowageError(
    'LAYER_CORRUPT',
    `${path}: its record ${key} is not a number up to ${most}: ${JSON.stringify(text.slice(0, 40))}`,
  )
}

function hexOf({ records, path }: LayerTarEntry, key: string): Buffer {
  const text = records.get(key)
  if (text === undefined) return NOTHING
  if (/^(?:[0-9a-fA-F]{2})+$/.test(text)) return Buffer.from(text, 'hex')
  throw new StowageError('LAYER_CORRUPT', `${path}: its record ${key} is not in hex digits`)
}

function noteUnknown({ records, path }: LayerTarEntry, losses: Losses): void {
  for (const key of records.keys()) {
    if (KNOWN.has(key) || key === 'MSWINDOWS.sd' || key.startsWith(ATTRIBUTE) || key.startsWith(ATTRIBUTE_FLAGS))
      continue
    losses.add(key.startsWith('SCHILY.xattr.') ? 'extended attributes of POSIX' : `records ${key}`, path)
  }
}

/** Decodes a record in base64. Throws LAYER_CORRUPT. */
function unpackBase64(text: string, key: string, path: string): Buffer {
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0) return Buffer.from(text, 'base64')
  throw new StowageError('LAYER_CORRUPT', `${path}: its record ${key} is not base64`)
}
