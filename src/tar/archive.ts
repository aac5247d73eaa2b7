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
/** More members than any bundle has; the list of them must fit in memory. */
const MEMBER_LIMIT = 1_000_000
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
 * end of the archive, and anything that tar readers interpret differently. `path` is for messages.
 */
export async function* readArchive(
  input: TarInput,
  path: string,
  { signal, foreign = false }: ListOptions = {},
): AsyncGenerator<ArchiveMember, void, undefined> {
  let count = 0
  const names = new Map<string, ArchiveMember['type']>()
  let extended: Extended = {}
  let position = 0
  for (;;) {
    signal?.throwIfAborted()
    if (foreign && position === input.size && count > 0 && isEmpty(extended)) return
    const header = await readExactly(position, BLOCK, 'the next header or the two zero blocks that end a tar')
    if (header.every(byte => byte === 0)) break
    const fields = parseHeader(header, position)
    const offset = position + BLOCK
    if (fields.flag === 'x' || fields.flag === 'L' || fields.flag === 'K' || fields.flag === 'g') {
      if (fields.size > EXTENDED_LIMIT) {
        throw invalid(position, `an extended header of ${fields.size} bytes; the limit is ${EXTENDED_LIMIT}`)
      }
      extended = extend(extended, fields.flag, await readExactly(offset, fields.size, 'an extended header'), offset)
      position = offset + padded(fields.size)
      continue
    }
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
      if (!twice || foreign) {
        if (++count > MEMBER_LIMIT) throw invalid(position, `more than ${MEMBER_LIMIT} members`)
        yield member
      }
    }
    extended = {}
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
    const records = parsePax(content, at)
    const name = records.get('path')
    const link = records.get('linkpath')
    const size = records.get('size')
    const sparse = [...records.keys()].some(key => key.startsWith('GNU.sparse.'))
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

  function parsePax(content: Buffer, at: number): ReadonlyMap<string, string> {
    const records = new Map<string, string>()
    let start = 0
    while (start < content.length) {
      const length = /^(\d{1,7}) /.exec(content.toString('latin1', start, start + 8))?.[1]
      const end = start + Number(length)
      const record =
        length === undefined || end > content.length ? '' : content.toString('utf8', start + length.length + 1, end)
      const equals = record.indexOf('=')
      if (equals < 1 || !record.endsWith('\n')) throw invalid(at + start, 'a PAX record that is not "length key=value"')
      records.set(record.slice(0, equals), record.slice(equals + 1, -1))
      start = end
    }
    return records
  }

  function checkedName(raw: string, at: number): string {
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

/** A tar file on disk. The handle stays open. */
export async function fileInput(file: ReadableFile): Promise<TarInput> {
  const { size } = await file.stat()
  return {
    size,
    async read(position, length) {
      const buffer = Buffer.alloc(Math.min(length, Math.max(size - position, 0)))
      let done = 0
      while (done < buffer.length) {
        const { bytesRead } = await file.read(buffer, done, buffer.length - done, position + done)
        if (bytesRead === 0) break
        done += bytesRead
      }
      return buffer.subarray(0, done)
    },
  }
}

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
