/**
 * Lists the members of a tar, from a file by reading only its headers, or from a stream. Source: POSIX.1-2017 pax, GNU
 * tar manual, "Basic Tar Format".
 */
import { StowageError } from '../errors.js'
import { BLOCK, checksum } from './header.js'
import type { ReadableFile } from './pieces.js'

/** Where a tar is read from. */
export interface TarInput {
  /** In bytes; undefined for a stream that has not ended yet. */
  readonly size: number | undefined
  /** `length` bytes from `position` on, fewer if the tar ends earlier. Positions never decrease. */
  read(position: number, length: number): Promise<Buffer>
}

export interface ArchiveMember {
  /** Relative, with `/` as the separator, without a leading `./` or a trailing `/`. */
  readonly name: string
  /** `other`: types that a bundle never has, such as links, devices and sparse files. */
  readonly type: 'file' | 'directory' | 'other'
  /**
   * The target of a link as stored: of a hard link relative to the archive root, of a symbolic link to its own
   * directory.
   */
  readonly link?: { readonly type: 'hard' | 'symbolic'; readonly target: string }
  /** Size of the content, in bytes. */
  readonly size: number
  /** Offset of the content in the tar file, in bytes. */
  readonly offset: number
}

export interface ListOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * The tar was written by another tool: an absolute name loses its leading `/`, a name that occurs twice is listed twice,
   * and the zero blocks after the last member may be missing. Without this option these are errors.
   */
  readonly foreign?: boolean | undefined
}

/** Largest extended header that is read, in bytes; real ones hold little more than a name. */
const EXTENDED_LIMIT = 1024 * 1024
/** How many there may be, and their bytes together. */
const EXTENDED_COUNT = 100_000
const EXTENDED_TOTAL = 32 * 1024 * 1024
/** The most members that are read, directories included: 10,000 images have a third of it. */
export const MEMBER_LIMIT = 200_000
/** Zero bytes that a tar may have at its end: GNU tar pads it to a full record, whose size can be set. */
const TRAILER_LIMIT = 1024 * 1024

/** All members that {@link readArchive} yields. */
export async function listArchive(
  input: TarInput,
  path: string,
  options: ListOptions = {},
): Promise<readonly ArchiveMember[]> {
  const members: ArchiveMember[] = []
  for await (const member of readArchive(input, path, options)) members.push(member)
  return members
}

/**
 * Yields the members of the tar `input` in order; of a stream, each before its content, which is skipped if it is not
 * read before the next member is requested. Reads ustar, PAX (`path`, `linkpath`, `size`), GNU long names and numbers,
 * and the format before ustar. Throws INVALID_TAR with the offset for a truncated file, a wrong checksum, a name that is
 * absolute, leads out of the archive or occurs twice, a member that extends past the end of the file, bytes after the
 * end of the archive or in the padding of a member, more members than any bundle has, and anything that tar readers
 * interpret differently. `path` is for messages.
 */
export async function* readArchive(
  input: TarInput,
  path: string,
  { signal, foreign = false }: ListOptions = {},
): AsyncGenerator<ArchiveMember, void, undefined> {
  let count = 0
  const longer = { count: 0, bytes: 0 }
  const names = new Map<string, ArchiveMember['type']>()
  let extended: Extended = {}
  let position = 0
  /** Where the content before `position` ends. */
  let end = 0
  for (;;) {
    signal?.throwIfAborted()
    if (foreign && position === input.size && count > 0 && isEmpty(extended)) return
    const header = await nextHeader(end, position)
    if (header.equals(ZEROS)) break
    const fields = parseHeader(header, position)
    const offset = position + BLOCK
    if (fields.flag === 'x' || fields.flag === 'L' || fields.flag === 'K' || fields.flag === 'g') {
      if (fields.size > EXTENDED_LIMIT) {
        throw invalid(position, `an extended header of ${fields.size} bytes; the limit is ${EXTENDED_LIMIT}`)
      }
      longer.count += 1
      longer.bytes += fields.size
      if (longer.count > EXTENDED_COUNT || longer.bytes > EXTENDED_TOTAL) {
        const limit = `${EXTENDED_COUNT} of them and ${EXTENDED_TOTAL} bytes in all`
        throw invalid(
          position,
          `extended header ${longer.count}, with ${longer.bytes} bytes so far; the limit is ${limit}`,
        )
      }
      extended = extend(extended, fields.flag, await readExactly(offset, fields.size, 'an extended header'), offset)
      end = offset + fields.size
      position = offset + padded(fields.size)
      continue
    }
    if (++count > MEMBER_LIMIT) throw invalid(position, `member ${count}; the limit is ${MEMBER_LIMIT}`)
    const type = typeOf(fields.flag, extended.path ?? fields.name)
    const size = extended.size ?? fields.size
    // Tar readers differ in whether this content exists: what we check must be what they read
    if (size !== 0 && (HEADER_ONLY.test(fields.flag) || type === 'directory')) {
      throw invalid(position, `a directory, a link or a device with ${size} bytes of content`)
    }
    if (input.size !== undefined && offset + size > input.size) {
      throw invalid(
        position,
        `a member that ends at ${offset + size}, but the file has ${input.size} bytes: it is truncated`,
      )
    }
    const name = checkedName(extended.path ?? fields.name, position)
    if (name !== '') {
      const twice = names.get(name)
      if (twice && !foreign && !(twice === 'directory' && type === 'directory')) {
        throw invalid(position, `${JSON.stringify(name)} for the second time`)
      }
      const member = { name, type, size, offset, ...linkOf(fields, extended) }
      names.set(name, type)
      if (!twice || foreign) yield member
    }
    extended = {}
    end = offset + size
    position = offset + padded(size)
  }
  if (!isEmpty(extended)) {
    throw invalid(position, 'an extended header with no member after it')
  }
  await checkTrailer(position + BLOCK)

  /** Expects another zero block after the first, and only zeros after it. */
  async function checkTrailer(start: number): Promise<void> {
    const trailer = await input.read(start, TRAILER_LIMIT + 1)
    if (trailer.length < BLOCK)
      throw truncated(start, trailer.length, 'the second of the two zero blocks that end a tar')
    if (trailer.some(byte => byte !== 0)) throw invalid(start, 'the end of the archive, but more bytes follow it')
    if (trailer.length > TRAILER_LIMIT) {
      const more = input.size === undefined ? `more than ${TRAILER_LIMIT}` : input.size - start
      throw invalid(start, `the end of the archive, but ${more} more bytes follow: it was not finished`)
    }
  }

  /** The header at `at`. What is between it and the `end` of the content before is padding, which nothing else checks. */
  async function nextHeader(end: number, at: number): Promise<Buffer> {
    const found = await readExactly(end, at - end + BLOCK, HEADER_OR_END)
    const filled = foreign ? -1 : found.subarray(0, at - end).findIndex(byte => byte !== 0)
    if (filled >= 0) throw invalid(end + filled, 'a byte other than zero after the content of a member')
    return found.subarray(at - end)
  }

  async function readExactly(at: number, length: number, what: string): Promise<Buffer> {
    const found = await input.read(at, length)
    if (found.length < length) throw truncated(at, found.length, what)
    return found
  }

  function truncated(at: number, found: number, what: string): StowageError {
    if (at === 0) return notATar(`it has ${input.size ?? found} bytes, fewer than the first header of one`)
    return new StowageError(
      'INVALID_TAR',
      `${path}: expected ${what} at byte ${at} but the data ends at ${input.size ?? at + found}: it is truncated`,
      { hint: 'Copy the file again, and compare its size with the original.' },
    )
  }

  function notATar(reason: string): StowageError {
    return new StowageError('INVALID_TAR', `${path} is not a tar: ${reason}`, {
      hint: 'If it should be one, compare its checksum with that of the original, and copy it again.',
    })
  }

  function invalid(at: number, found: string): StowageError {
    return new StowageError('INVALID_TAR', `${path}: at byte ${at} found ${found}`)
  }

  function parseHeader(header: Buffer, at: number): Fields {
    const sum = octal(header, 148, 8)
    if (sum !== checksum(header)) {
      const found = `a header whose checksum should be ${checksum(header)} but is ${sum ?? 'no number'}`
      throw at === 0 ? notATar(`its first ${BLOCK} bytes are ${found}`) : invalid(at, found)
    }
    const size = octal(header, 124, 12)
    if (size === undefined) throw invalid(at, 'a header whose size is not a number')
    // GNU's own format ("ustar  ") has other fields where POSIX has the prefix
    const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? text(header, 345, 155) : ''
    const name = text(header, 0, 100)
    return {
      name: prefix === '' ? name : `${prefix}/${name}`,
      linkname: text(header, 157, 100),
      size,
      flag: String.fromCharCode(header[156] ?? 0),
    }
  }

  function extend(before: Extended, flag: string, content: Buffer, at: number): Extended {
    if (flag === 'K') return once(before, { link: content.toString('utf8').replace(/\0+$/, '') }, at)
    if (flag === 'L') return once(before, { path: content.toString('utf8').replace(/\0+$/, '') }, at)
    const { path: name, linkpath: link, size, sparse } = parsePax(content, at)
    if (sparse) throw invalid(at, 'a sparse file, which is not supported')
    if (size !== undefined && !/^\d{1,15}$/.test(size)) {
      throw invalid(at, `a PAX size that is not a number: ${JSON.stringify(size.slice(0, 40))}`)
    }
    if (flag === 'g') {
      if (name !== undefined || link !== undefined || size !== undefined)
        throw invalid(at, 'a global PAX header with a path or a size')
      return before
    }
    const own = {
      ...(name === undefined ? {} : { path: name }),
      ...(link === undefined ? {} : { link }),
      ...(size === undefined ? {} : { size: Number(size) }),
    }
    return once(before, { ...own, pax: true }, at)
  }

  /** Rejects a second extended header: tar readers differ in which of the two they use. */
  function once(before: Extended, own: Extended, at: number): Extended {
    if (Object.keys(own).some(key => key in before)) throw invalid(at, 'a second extended header for one member')
    return { ...before, ...own }
  }

  function parsePax(content: Buffer, at: number): Readonly<Record<string, string | undefined>> {
    const records: Record<string, string> = {}
    for (let start = 0, end: number; start < content.length; start = end) {
      let length = 0
      let digits = start
      for (; digits < start + 7 && isDigit(content[digits]); digits += 1)
        length = 10 * length + (content[digits] ?? 0) - 48
      end = start + length
      const equals = content.indexOf(0x3d, digits)
      const whole = digits > start && content[digits] === 0x20 && end <= content.length && content[end - 1] === 0x0a
      if (!whole || equals < digits + 2 || equals >= end) {
        throw invalid(at + start, 'a PAX record that is not "length key=value"')
      }
      // Most keys do not matter here, and a header may have a hundred thousand
      if (equals - digits > 'linkpath'.length + 1 && content[digits + 1] !== 0x47) continue
      const key = content.toString('latin1', digits + 1, equals)
      if (key.startsWith('GNU.sparse.')) records['sparse'] = key
      else if (PAX_KEYS.has(key)) records[key] = content.toString('utf8', equals + 1, end - 1)
    }
    return records
  }

  function checkedName(raw: string, at: number): string {
    if (!SPECIAL_NAME.test(raw)) return raw
    const shown = JSON.stringify(raw.slice(0, 200))
    if (raw === '' || raw.includes('\0')) throw invalid(at, `a member without a valid name: ${shown}`)
    if (!foreign && (raw.startsWith('/') || raw.includes('\\') || /^[A-Za-z]:/.test(raw))) {
      throw invalid(at, `a name that is not relative: ${shown}`)
    }
    const parts = raw.split('/').filter(part => part !== '' && part !== '.')
    if (parts.includes('..')) throw invalid(at, `a name that leads out of the archive: ${shown}`)
    return parts.join('/')
  }
}

/** How much of a file is read at once, in bytes: many small members have their headers close together. */
const READ_AHEAD = 64 * 1024

/** A tar file on disk. The handle stays open. */
export async function fileInput(file: ReadableFile): Promise<TarInput> {
  const { size } = await file.stat()
  let ahead: Buffer = Buffer.alloc(0)
  let start = 0
  return {
    size,
    async read(position, length) {
      const from = position - start
      if (from >= 0 && from + length <= ahead.length) return ahead.subarray(from, from + length)
      ahead = await readAt(position, Math.min(Math.max(length, READ_AHEAD), Math.max(size - position, 0)))
      start = position
      return ahead.subarray(0, length)
    },
  }

  async function readAt(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await file.read(buffer, done, length - done, position + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return buffer.subarray(0, done)
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

/** What the name of a member may need a look for: the others are used as they are. */
const SPECIAL_NAME = /[\\\0]|^[A-Za-z]:|(?:^|\/)\.{0,2}(?:\/|$)/
/** The PAX records that say where a member is and how long. */
const PAX_KEYS: ReadonlySet<string> = new Set(['path', 'linkpath', 'size'])
const HEADER_OR_END = 'the next header or the two zero blocks that end a tar'
const ZEROS = Buffer.alloc(BLOCK)

/** Links, devices, directories, FIFOs: no content follows. */
const HEADER_ONLY = /^[1-6]$/

interface Fields {
  readonly name: string
  readonly linkname: string
  readonly size: number
  readonly flag: string
}

/** What extended headers say about the member after them. */
interface Extended {
  /** Whether one of them was a PAX header. */
  readonly pax?: boolean
  readonly path?: string
  readonly link?: string
  readonly size?: number
}

function isEmpty({ path, link, size }: Extended): boolean {
  return path === undefined && link === undefined && size === undefined
}

function linkOf({ flag, linkname }: Fields, { link = linkname }: Extended): Pick<ArchiveMember, 'link'> {
  if (flag !== '1' && flag !== '2') return {}
  return { link: { type: flag === '1' ? 'hard' : 'symbolic', target: link } }
}

function typeOf(flag: string, name: string): ArchiveMember['type'] {
  if (flag === '5') return 'directory'
  if (flag === '0' || flag === '\0' || flag === '7') return name.endsWith('/') ? 'directory' : 'file'
  return 'other'
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK
}

function text(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length)
  const end = field.indexOf(0)
  return field.toString('utf8', 0, end < 0 ? length : end)
}

/** Reads an octal field, or GNU's base-256 form for sizes from 8 GiB; undefined if it is neither, or over 2^53 - 1. */
function octal(header: Buffer, start: number, length: number): number | undefined {
  if (header[start] === 0x80) {
    const value = header.subarray(start + 1, start + length).reduce((sum, byte) => sum * 256 + byte, 0)
    return Number.isSafeInteger(value) ? value : undefined
  }
  const digits = /^ *([0-7]*)[ \0]*$/.exec(header.toString('latin1', start, start + length))?.[1]
  if (digits === undefined) return undefined
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}
