/**
 * Encodes entries of plain Linux layers as tar headers. Sources: POSIX.1-2017, pax; star's `SCHILY.xattr` records; OCI
 * image-spec layer.md.
 */
import { encodeEntry, type TarEntry } from '../../tar/header.js'

export interface UnixEntry {
  /** Relative, with slashes, but without a trailing slash. */
  readonly path: string
  readonly type: keyof typeof FLAGS
  /** Permissions, with set-user-id, set-group-id and the sticky bit. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Nanoseconds since 1970. */
  readonly mtime: bigint
  /** Omitted from the layer if undefined. */
  readonly atime?: bigint | undefined
  /** Size of the content of a file, in bytes. */
  readonly size: number
  /** The target of a symbolic link; for a hard link, the path of the file. */
  readonly target?: string | undefined
  readonly device?: TarEntry['device'] | undefined
  /** Extended attributes with their Linux names (`user.x`). */
  readonly attributes: readonly { readonly name: string; readonly value: Uint8Array }[]
}

const FLAGS = {
  file: '0',
  'hard link': '1',
  symlink: '2',
  'character device': '3',
  'block device': '4',
  directory: '5',
  fifo: '6',
} as const

const SECOND = 1_000_000_000n
/** The greatest time in eleven octal digits, in the year 2242. */
const USTAR_LIMIT = 0o77777777777n

/** The headers before the content of the entry. The same entry gives the same bytes. */
export function encodeUnixEntry(entry: UnixEntry): Uint8Array {
  const { path, type, mode, uid, gid, mtime, atime, size, target, device, attributes } = entry
  const records: Record<string, string | Uint8Array> = {}
  const whole = mtime >= 0n && mtime % SECOND === 0n && mtime / SECOND <= USTAR_LIMIT
  if (!whole) records['mtime'] = paxSeconds(mtime)
  if (atime !== undefined) records['atime'] = paxSeconds(atime)
  for (const { name, value } of attributes) records[`SCHILY.xattr.${name}`] = value
  const seconds = mtime < 0n ? 0n : mtime / SECOND
  return encodeEntry({
    name: type === 'directory' ? `${path}/` : path,
    flag: FLAGS[type],
    mode: mode & 0o7777,
    uid,
    gid,
    size,
    mtime: Number(seconds > USTAR_LIMIT ? USTAR_LIMIT : seconds),
    records,
    ...(target === undefined ? {} : { linkname: target }),
    ...(device ? { device } : {}),
  })
}

/** Decimal seconds since 1970: `1464566400.1234567`, `-1.5`. */
export function paxSeconds(nanoseconds: bigint): string {
  const size = nanoseconds < 0n ? -nanoseconds : nanoseconds
  const fraction = (size % SECOND).toString().padStart(9, '0').replace(/0+$/, '')
  return `${nanoseconds < 0n ? '-' : ''}${size / SECOND}${fraction === '' ? '' : `.${fraction}`}`
}
