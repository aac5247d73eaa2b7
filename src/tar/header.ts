/**
 * Encodes tar headers: ustar, preceded by a PAX header only for values that ustar cannot hold.
 * Source: POSIX.1-2017, pax.
 */
import { StowageError } from '../errors.js'

/** A member to write: owner 0, mode 0644 (0755 for a directory), no user or group names. */
export interface TarMember {
  /** Relative, with `/` as the separator; encodeHeader() adds the trailing `/` of a directory. */
  readonly name: string
  /** Size of the content, in bytes; 0 for a directory. */
  readonly size: number
  readonly type?: 'file' | 'directory'
  /** Seconds since 1970; 0 if omitted. */
  readonly mtime?: number
}

/** The block size of a tar file, in bytes: a header is one block, and content is padded to full blocks. */
export const BLOCK = 512

/** The two zero blocks that end an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK)

/** Largest size that the eleven octal digits of a ustar header can hold: one byte less than 8 GiB. */
const USTAR_SIZE_LIMIT = 0o77777777777

/** Most bytes of PAX records per entry that Go's tar reader accepts, and ours too. */
const RECORDS_LIMIT = 1024 * 1024

/** Largest user or group ID that the seven octal digits of a ustar header can hold. */
const USTAR_ID_LIMIT = 0o7777777

/**
 * The bytes before the content of `member`: 512, or at least 1536 if the name or the size needs PAX. The same member
 * gives the same bytes. Throws INVALID_ARGUMENT for a name that is not allowed in an archive.
 */
export function encodeHeader(member: TarMember): Uint8Array {
  const { size, type = 'file', mtime = 0 } = member
  checkName(member.name)
  return type === 'directory'
    ? encodeEntry({ name: `${member.name.replace(/\/+$/, '')}/`, flag: '5', mode: 0o755, size, mtime })
    : encodeEntry({ name: member.name, flag: '0', mode: 0o644, size, mtime })
}

/** An entry of any type, field by field: its name and its records are written as they are. */
export interface TarEntry {
  readonly name: string
  /** POSIX typeflag: 0 file, 1 hard link, 2 symbolic link, 3 character device, 4 block device, 5 directory, 6 FIFO. */
  readonly flag: '0' | '1' | '2' | '3' | '4' | '5' | '6'
  readonly mode: number
  readonly size: number
  /** Whole seconds since 1970; the exact time, if ustar cannot hold it, also belongs in `records`. */
  readonly mtime: number
  readonly linkname?: string
  /** 0 if omitted; a value that ustar cannot hold goes into a PAX record. */
  readonly uid?: number
  readonly gid?: number
  /** Numbers of a device: at most 2097151 each, which is more than Linux uses. */
  readonly device?: { readonly major: number; readonly minor: number }
  /** The caller's own PAX records, written in order of their keys. A value may be any bytes. */
  readonly records?: Readonly<Record<string, string | Uint8Array>>
}

/**
 * The bytes before the content of `entry`, with its own PAX records, and `path`, `linkpath`, `size`, `uid` and `gid` if
 * ustar cannot hold them. Throws LAYER_UNSUPPORTED for records of over 1 MiB.
 */
export function encodeEntry(entry: TarEntry): Uint8Array {
  const { name, flag, mode, size, mtime, linkname = '', uid = 0, gid = 0, device } = entry
  const parts = splitName(name)
  const fits = /^[\x20-\x7e]{0,100}$/.test(linkname)
  const records: Record<string, string | Uint8Array> = {
    ...entry.records,
    ...(parts ? {} : { path: name }),
    ...(fits ? {} : { linkpath: linkname }),
    ...(size > USTAR_SIZE_LIMIT ? { size: String(size) } : {}),
    ...(uid > USTAR_ID_LIMIT ? { uid: String(uid) } : {}),
    ...(gid > USTAR_ID_LIMIT ? { gid: String(gid) } : {}),
  }
  const { prefix, rest } = parts ?? { prefix: '', rest: shorten(name) }
  const body = paxBody(records)
  const bodySize = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  if (bodySize > RECORDS_LIMIT) {
    throw new StowageError(
      'LAYER_UNSUPPORTED',
      `${name.slice(0, 1000)}: ${bodySize} bytes of PAX records; tar readers accept at most ${RECORDS_LIMIT}`,
      {
        hint: 'It has very many or very large extended attributes; remove some of them at the source.',
      },
    )
  }
  const before = bodySize === 0 ? 0 : BLOCK + bodySize + paddingSize(bodySize)
  const bytes = Buffer.allocUnsafe(before + BLOCK)
  bytes.fill(0, BLOCK + bodySize, before)
  if (before > 0) {
    const extended = `PaxHeaders/${shorten(name).slice(0, 80)}`
    writeBlock(bytes, { prefix: '', name: extended, linkname: '', mode: 0o644, size: bodySize, mtime, flag: 'x' })
    if (typeof body === 'string') bytes.write(body, BLOCK)
    else bytes.set(body, BLOCK)
  }
  writeBlock(bytes.subarray(before), {
    prefix,
    name: rest,
    linkname: fits ? linkname : shorten(linkname),
    mode,
    size: size > USTAR_SIZE_LIMIT ? 0 : size,
    mtime,
    flag,
    uid: Math.min(uid, USTAR_ID_LIMIT),
    gid: Math.min(gid, USTAR_ID_LIMIT),
    device,
  })
  return bytes
}

/**
 * The header of a file whose size was unknown when space was reserved for it: always 512 bytes. From 8 GiB on, the size
 * is in GNU's base-256 form, which every tar reader supports. Throws INVALID_ARGUMENT for a name that ustar cannot
 * hold.
 */
export function encodeReservedHeader(member: TarMember): Uint8Array {
  const header = Buffer.from(encodeHeader({ ...member, size: Math.min(member.size, USTAR_SIZE_LIMIT) }))
  if (header.length !== BLOCK)
    throw new StowageError('INVALID_ARGUMENT', `${member.name} does not fit into one tar header`)
  if (member.size > USTAR_SIZE_LIMIT) {
    header.fill(0, 124, 136)
    header[124] = 0x80
    header.writeBigUInt64BE(BigInt(member.size), 128)
    writeOctal(header, checksum(header), 148, 6)
  }
  return header
}

/** The 0 to 511 zero bytes that follow `size` bytes of content. */
export function padding(size: number): Uint8Array {
  return PADDING.subarray(0, paddingSize(size))
}

const PADDING = new Uint8Array(BLOCK)

function paddingSize(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

interface Fields {
  readonly prefix: string
  readonly name: string
  readonly linkname: string
  readonly mode: number
  readonly size: number
  readonly mtime: number
  readonly flag: string
  readonly uid?: number
  readonly gid?: number
  readonly device?: TarEntry['device'] | undefined
}

/** What most headers have in common: owner 0, no device, and spaces in the checksum field. */
const BLANK = blankHeader()

function blankHeader(): Buffer {
  const header = Buffer.alloc(BLOCK)
  for (const at of [108, 116, 329, 337]) header.write('0000000', at, 'latin1')
  header.write('        ', 148, 'latin1')
  header.write('ustar\u000000', 257, 'latin1')
  return header
}

/** Fills the first 512 bytes of `header`. Creates no strings: a million entries have two headers each. */
function writeBlock(
  header: Buffer,
  { prefix, name, linkname, mode, size, mtime, flag, uid = 0, gid = 0, device }: Fields,
): void {
  header.set(BLANK)
  header.write(name, 0, 100, 'latin1')
  writeOctal(header, mode, 100, 7)
  if (uid !== 0) writeOctal(header, uid, 108, 7)
  if (gid !== 0) writeOctal(header, gid, 116, 7)
  writeOctal(header, size, 124, 11)
  writeOctal(header, mtime, 136, 11)
  header[156] = flag.charCodeAt(0)
  if (linkname !== '') header.write(linkname, 157, 100, 'latin1')
  if (device) {
    writeOctal(header, device.major, 329, 7)
    writeOctal(header, device.minor, 337, 7)
  }
  if (prefix !== '') header.write(prefix, 345, 155, 'latin1')
  writeOctal(header, checksum(header), 148, 6)
  header[154] = 0
}

function writeOctal(header: Buffer, value: number, offset: number, digits: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value >= 8 ** digits) {
    throw new StowageError('INVALID_ARGUMENT', `${value} does not fit into ${digits} octal digits of a tar header`)
  }
  let rest = value
  for (let at = offset + digits - 1; at >= offset; at -= 1) {
    const higher = Math.floor(rest / 8)
    header[at] = 0x30 + rest - 8 * higher
    rest = higher
  }
}

/** Sum of the header's bytes, with the checksum field counted as spaces. */
export function checksum(header: Uint8Array): number {
  let sum = 8 * 0x20
  for (let n = 0; n < BLOCK; n += 1) {
    if (n < 148 || n >= 156) sum += header[n] ?? 0
  }
  return sum
}

/** Splits `name` into ustar's prefix and name; undefined if it needs PAX because it is too long or not ASCII. */
function splitName(name: string): { readonly prefix: string; readonly rest: string } | undefined {
  if (!/^[\x20-\x7e]+$/.test(name)) return undefined
  if (name.length <= 100) return { prefix: '', rest: name }
  const slash = name.indexOf('/', name.length - 101)
  if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined
  return { prefix: name.slice(0, slash), rest: name.slice(slash + 1) }
}

/** An approximation of `name` for readers that do not support PAX. */
function shorten(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, '_').slice(0, 100)
}

/** The records in order of their keys; bytes if one of them is not text. */
function paxBody(records: Readonly<Record<string, string | Uint8Array>>): string | Buffer {
  const pieces = Object.keys(records)
    .sort()
    .map(key => {
      const value = records[key] ?? ''
      return typeof value === 'string' ? paxRecord(key, value) : binaryRecord(key, value)
    })
  const texts = pieces.filter(piece => typeof piece === 'string')
  if (texts.length === pieces.length) return texts.join('')
  return Buffer.concat(pieces.map(piece => (typeof piece === 'string' ? Buffer.from(piece) : piece)))
}

/** Like {@link paxRecord}, for a value of bytes. */
function binaryRecord(key: string, value: Uint8Array): Buffer {
  const rest = Buffer.byteLength(` ${key}=\n`) + value.length
  let length = rest + String(rest).length
  length = rest + String(length).length
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')])
}

/** `"<length> key=value\n"`; the length includes itself. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

function checkName(name: string): void {
  const parts = name.replace(/\/+$/, '').split('/')
  if (name.includes('\0') || parts.some(part => part === '' || part === '.' || part === '..')) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(name)} is not a name for a member of a tar archive`)
  }
}
