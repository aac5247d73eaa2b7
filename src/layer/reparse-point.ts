/** Reparse points a layer can hold: symbolic links and junctions. Source: MS-FSCC 2.1.2.4 and 2.1.2.5. */
import { StowageError } from '../errors.js'
import { IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK } from '../wim/dentry.js'

export interface ReparsePoint {
  /** With backslashes, as Windows shows it. */
  readonly target: string
  /** A junction (mount point), not a symbolic link. */
  readonly mountPoint: boolean
}

/** Whether the layer format has a place for reparse points of this tag. */
export function isLayerReparseTag(tag: number): boolean {
  return tag === IO_REPARSE_TAG_SYMLINK || tag === IO_REPARSE_TAG_MOUNT_POINT
}

/**
 * Reads the data of a reparse point: the buffer without its 8-byte header, as a WIM holds it. The target is the print
 * name; where that is empty, the substitute name without its `\??\`, because Windows reads the layer's target as a
 * print name and could not follow an empty one. Throws WIM_CORRUPT.
 */
export function parseReparsePoint(tag: number, data: Buffer, path: string): ReparsePoint {
  const mountPoint = tag === IO_REPARSE_TAG_MOUNT_POINT
  const names = mountPoint ? 8 : 12 // a symbolic link has four bytes of flags before the names
  if (data.length < names) throw corrupt(path)
  const substitute = name(data, names, data.readUInt16LE(0), data.readUInt16LE(2), path)
  const print = name(data, names, data.readUInt16LE(4), data.readUInt16LE(6), path)
  return { target: print === '' ? printable(substitute) : print, mountPoint }
}

const SYMLINK_FLAG_RELATIVE = 1

/**
 * The target of a symbolic link of Unix, as wimlib stores one: slashes and backslashes change places, and a target that begins
 * with a slash is one on `C:`. Throws WIM_CORRUPT.
 */
export function parseUnixLink(tag: number, data: Buffer, path: string): string {
  const { target, mountPoint } = parseReparsePoint(tag, data, path)
  const relative = !mountPoint && (data.readUInt32LE(8) & SYMLINK_FLAG_RELATIVE) !== 0
  const rooted = relative ? target : target.replace(/^[A-Za-z]:(?=\\)/, '')
  return rooted.replace(/[\\/]/g, slash => (slash === '/' ? '\\' : '/'))
}

function name(data: Buffer, base: number, offset: number, size: number, path: string): string {
  if (base + offset + size > data.length || size % 2 !== 0) throw corrupt(path)
  return data.toString('utf16le', base + offset, base + offset + size)
}

function printable(substitute: string): string {
  if (substitute.startsWith('\\??\\UNC\\')) return `\\\\${substitute.slice('\\??\\UNC\\'.length)}`
  if (substitute.startsWith('\\??\\Volume{')) return `\\\\?\\${substitute.slice('\\??\\'.length)}`
  return substitute.startsWith('\\??\\') ? substitute.slice('\\??\\'.length) : substitute
}

function corrupt(path: string): StowageError {
  return new StowageError('WIM_CORRUPT', `${path}: its reparse data are shorter than the names they announce`)
}
