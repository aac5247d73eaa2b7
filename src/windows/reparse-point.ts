/**
 * Reads and writes the data of the reparse points that a layer can hold: symbolic links and junctions.
 * Sources: MS-FSCC 2.1.2.4 and 2.1.2.5; go-winio's documented behavior.
 */
import { StowageError } from '../errors.js'
import { IO_REPARSE_TAG_MOUNT_POINT, IO_REPARSE_TAG_SYMLINK } from './file-attributes.js'

/** Maximum size of reparse data in bytes: MAXIMUM_REPARSE_DATA_BUFFER_SIZE minus the header. */
export const REPARSE_DATA_LIMIT = 16 * 1024 - 8

const SYMLINK_FLAG_RELATIVE = 1

export interface ReparsePoint {
  /** In the form that Windows shows, with backslashes. */
  readonly target: string
  /** Whether it is a junction (mount point), not a symbolic link. */
  readonly mountPoint: boolean
}

/** Whether a layer can hold reparse points with this tag. */
export function isLayerReparseTag(tag: number): boolean {
  return tag === IO_REPARSE_TAG_SYMLINK || tag === IO_REPARSE_TAG_MOUNT_POINT
}

/**
 * Parses the data of a reparse point as a WIM holds it: the buffer without its 8-byte header. The target is the print
 * name or, if that is empty, the substitute name without `\??\`: Windows reads the target in a layer as a print name,
 * and could not follow an empty one. Throws WIM_CORRUPT.
 */
export function parseReparsePoint(tag: number, data: Buffer, path: string): ReparsePoint {
  const { substitute, print } = namesOf(tag, data, path)
  return { target: print === '' ? printable(substitute) : print, mountPoint: tag === IO_REPARSE_TAG_MOUNT_POINT }
}

function namesOf(
  tag: number,
  data: Buffer,
  path: string,
): { readonly substitute: string; readonly print: string; readonly relative: boolean } {
  const mountPoint = tag === IO_REPARSE_TAG_MOUNT_POINT
  const names = mountPoint ? 8 : 12 // a symbolic link has four bytes of flags before the names
  if (data.length < names) throw corrupt(path)
  return {
    substitute: name(data, names, data.readUInt16LE(0), data.readUInt16LE(2), path),
    print: name(data, names, data.readUInt16LE(4), data.readUInt16LE(6), path),
    relative: !mountPoint && (data.readUInt32LE(8) & SYMLINK_FLAG_RELATIVE) !== 0,
  }
}

/** The directories of NT's namespace that hold drives. */
const DEVICES = /^\\(?:\?\?|DosDevices|Device)\\+/i
/** The drive of a container's files. */
const IMAGE_DRIVE = 'C:'

/**
 * The target of a link that was stored as absolute within its image (its flags lack NOT_FIXED, in a WIM with RP_FIX):
 * whatever drive it names is that of the image, which is `C:` in a container. So does wimlib when it applies such a
 * link. Undefined if the target is already right: relative, on `C:`, on a share, or not a name of NT. Throws
 * WIM_CORRUPT.
 */
export function targetOnImageDrive(tag: number, data: Buffer, path: string): string | undefined {
  const { substitute, relative } = namesOf(tag, data, path)
  const prefix = DEVICES.exec(substitute)?.[0]
  if (relative || prefix === undefined) return undefined
  const onDevice = substitute.slice(prefix.length)
  const end = onDevice.indexOf('\\')
  const device = (end < 0 ? onDevice : onDevice.slice(0, end)).toUpperCase()
  if (device === IMAGE_DRIVE || device === 'UNC') return undefined
  return `${IMAGE_DRIVE}\\${end < 0 ? '' : onDevice.slice(end).replace(/^\\+/, '')}`
}

/**
 * The target of a Unix symbolic link that wimlib stored: it exchanges slashes and backslashes, and puts a target that
 * begins with a slash on `C:`. Throws WIM_CORRUPT.
 */
export function parseUnixLink(tag: number, data: Buffer, path: string): string {
  const { target } = parseReparsePoint(tag, data, path)
  const { relative } = namesOf(tag, data, path)
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
 * The reparse data, as a WIM holds it (the buffer without its 8-byte header), of a link to `target`, which has the form
 * that Windows shows, with backslashes or slashes. A target on a drive, on a share or with `\\?\` is absolute; any
 * other is relative, which only a symbolic link can be. The substitute name comes first; the names of a junction end in
 * NUL.
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

/**
 * The reparse data of a POSIX symbolic link, as wimlib stores it: a target that begins with `/` becomes a path on drive
 * C.
 */
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
