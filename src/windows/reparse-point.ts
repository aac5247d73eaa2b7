/**
 * Reparse points a layer can hold, symbolic links and junctions: their data read, and made from a target.
 * Sources: MS-FSCC 2.1.2.4 and 2.1.2.5; go-winio's documented behaviour.
 */
import { StowageError } from '../errors.js'
import { IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK } from './file-attributes.js'

/** Reparse data are no longer than this, in bytes: MAXIMUM_REPARSE_DATA_BUFFER_SIZE less the header. */
export const REPARSE_DATA_LIMIT = 16 * 1024 - 8

const SYMLINK_FLAG_RELATIVE = 1

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
  return new StowageError('WIM_CORRUPT', `${path}: its reparse data is shorter than the names it declares`)
}

/**
 * The reparse data (the buffer without its 8-byte header, as a WIM holds it) of a link to `target`: with backslashes or
 * slashes, as Windows shows it. A target on a drive, a share or with `\\?\` is absolute; every other is relative, which only
 * a symbolic link can be. The substitute name stands first; a junction's names end in NUL.
 */
export function encodeReparseData(target: string, mountPoint: boolean): Buffer {
  const print = target.replaceAll('/', '\\')
  const absolute = absoluteName(print)
  const substitute = absolute ?? print
  return pack(substitute, print, {
    symlinkFlags: mountPoint ? undefined : absolute === undefined ? SYMLINK_FLAG_RELATIVE : 0,
    terminated: mountPoint,
  })
}

/** As wimlib stores a symbolic link of POSIX: what begins with `/` becomes a path on drive C. */
export function encodePosixLink(target: string): Buffer {
  const print = target.replaceAll('/', '\\')
  const absolute = print.startsWith('\\')
  const shown = absolute ? `C:${print}` : print
  return pack(absolute ? `\\??\\${shown}` : shown, shown, {
    symlinkFlags: absolute ? 0 : SYMLINK_FLAG_RELATIVE,
    terminated: true,
  })
}

/** The name for the NT kernel, or undefined for a relative target. */
function absoluteName(print: string): string | undefined {
  if (print.startsWith('\\\\?\\')) return `\\??\\${print.slice(4)}`
  if (print.startsWith('\\??\\')) return print
  if (print.startsWith('\\\\')) return `\\??\\UNC\\${print.slice(2)}`
  return /^.:/u.test(print) ? `\\??\\${print}` : undefined
}

function pack(
  substitute: string,
  print: string,
  { symlinkFlags, terminated }: { readonly symlinkFlags: number | undefined; readonly terminated: boolean },
): Buffer {
  const end = terminated ? '\0' : ''
  const first = Buffer.from(substitute + end, 'utf16le')
  const second = Buffer.from(print + end, 'utf16le')
  const head = Buffer.alloc(symlinkFlags === undefined ? 8 : 12)
  head.writeUInt16LE(2 * substitute.length, 2)
  head.writeUInt16LE(first.length, 4)
  head.writeUInt16LE(2 * print.length, 6)
  if (symlinkFlags !== undefined) head.writeUInt32LE(symlinkFlags, 8)
  return Buffer.concat([head, first, second])
}
