/**
 * WIM files made byte by byte, with whatever is wrong in them: what neither wimlib-imagex nor we would write. Source:
 * Microsoft's WIM white paper. Uncompressed.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'

/** A file of the image. What is left out is 0 or empty. */
export interface MadeFile {
  readonly name: string
  /** The 8.3 name. */
  readonly shortName?: string
  /** With 0x4000 the content is raw data of EFS. */
  readonly attributes?: number
  /** Index into {@link MadeImage.security}. */
  readonly security?: number
  /** FILETIMEs of creation, last access and last write. */
  readonly times?: readonly [bigint, bigint, bigint]
  readonly content?: Uint8Array | string
  readonly reparse?: { readonly tag: number; readonly flags: number; readonly data: Uint8Array }
  readonly attributesItem?: Uint8Array
  /** Alternate data streams by name. */
  readonly streams?: Readonly<Record<string, Uint8Array | string>>
  /** Names of one file have the same number, and the same content. */
  readonly linkGroup?: number
  /** Makes it a directory, and a reparse point one with a list of children. */
  readonly children?: readonly MadeFile[]
  /** Gives a directory, by `children` or attribute 0x10, the entry for an unnamed data stream that libwim before 1.14.2 does. */
  readonly unnamedEntry?: boolean
}

export interface MadeImage {
  /** Default: made. */
  readonly name?: string
  readonly security?: readonly Uint8Array[]
  /** Index into `security`, of the root. */
  readonly rootSecurity?: number
  readonly root: readonly MadeFile[]
  /** What else the XML says of the image: elements inside IMAGE. */
  readonly xml?: string
}

export interface MadeWim extends MadeImage {
  readonly rpfix?: boolean
  /** Images after the first. */
  readonly others?: readonly MadeImage[]
}

const TIME = 131_000_000_000_000_000n
const NOTHING = Buffer.alloc(20)

/** Writes the WIM to `path`. */
export function makeWim(path: string, { rpfix = false, others = [], ...first }: MadeWim): string {
  const blobs = new Map<string, { bytes: Buffer; references: number }>()
  const blob = (content: Uint8Array | string = ''): Buffer => {
    const bytes = Buffer.from(content)
    if (bytes.length === 0) return NOTHING
    const hash = createHash('sha1').update(bytes).digest()
    const known = blobs.get(hash.toString('hex'))
    if (known) known.references += 1
    else blobs.set(hash.toString('hex'), { bytes, references: 1 })
    return hash
  }
  const described = [first, ...others]
  const images = described.map(image => imageOf(image, blob))
  const pieces: Buffer[] = [Buffer.alloc(208)]
  let end = 208
  const add = (bytes: Buffer): number => {
    pieces.push(bytes)
    end += bytes.length
    return end - bytes.length
  }
  const entry = (bytes: Buffer, references: number, flags: number): Buffer => {
    const fields = Buffer.alloc(50)
    resource(fields, 0, bytes.length, add(bytes), flags)
    fields.writeUInt16LE(1, 24)
    fields.writeUInt32LE(references, 26)
    createHash('sha1').update(bytes).digest().copy(fields, 30)
    return fields
  }
  const table = Buffer.concat([
    ...images.map(image => entry(image, 1, 2)),
    ...[...blobs.values()].map(({ bytes, references }) => entry(bytes, references, 0)),
  ])
  const header = pieces[0] as Buffer // it was put there above
  header.write('MSWIM\0\0\0', 'latin1')
  header.writeUInt32LE(208, 8)
  header.writeUInt32LE(0x10d00, 12)
  header.writeUInt32LE(rpfix ? 0x80 : 0, 16)
  header.write('0123456789abcdef', 24)
  header.writeUInt16LE(1, 40)
  header.writeUInt16LE(1, 42)
  header.writeUInt32LE(images.length, 44)
  resource(header, 48, table.length, add(table), 0)
  const xml = Buffer.from(
    `\ufeff<WIM><TOTALBYTES>${end}</TOTALBYTES>${described.map(describe).join('')}</WIM>`,
    'utf16le',
  )
  resource(header, 72, xml.length, add(xml), 0)
  writeFileSync(path, Buffer.concat(pieces))
  return path
}

function describe({ name = 'made', root, xml = '' }: MadeImage, n: number): string {
  const counts = [...countsOf(root)].map(([element, count]) => `<${element}>${count}</${element}>`).join('')
  return `<IMAGE INDEX="${n + 1}"><NAME>${name}</NAME>${counts}${xml}</IMAGE>`
}

function countsOf(root: readonly MadeFile[]): ReadonlyMap<string, number> {
  const counts = new Map([
    ['DIRCOUNT', 1],
    ['FILECOUNT', 0],
    ['TOTALBYTES', 0],
    ['HARDLINKBYTES', 0],
  ])
  const add = (name: string, count: number): unknown => counts.set(name, count + (counts.get(name) ?? 0))
  const groups = new Set<number>()
  const walk = (files: readonly MadeFile[]): void => {
    for (const { reparse, content = '', streams = {}, children, linkGroup = 0 } of files) {
      const main = reparse ? reparse.data.length : Buffer.from(content).length
      const size = Object.values(streams).reduce((sum, stream) => sum + Buffer.from(stream).length, main)
      add(children !== undefined && !reparse ? 'DIRCOUNT' : 'FILECOUNT', 1)
      add('TOTALBYTES', size)
      if (linkGroup > 0 && groups.has(linkGroup)) add('HARDLINKBYTES', size)
      groups.add(linkGroup)
      walk(children ?? [])
    }
  }
  walk(root)
  return counts
}

function resource(to: Buffer, at: number, size: number, offset: number, flags: number): void {
  to.writeBigUInt64LE(BigInt(size) | (BigInt(flags) << 56n), at)
  to.writeBigUInt64LE(BigInt(offset), at + 8)
  to.writeBigUInt64LE(BigInt(size), at + 16)
}

type BlobOf = (content?: Uint8Array | string) => Buffer

function imageOf({ security = [], rootSecurity = -1, root }: MadeImage, blob: BlobOf): Buffer {
  const sizes = Buffer.alloc(8 + 8 * security.length)
  security.forEach((descriptor, n) => sizes.writeBigUInt64LE(BigInt(descriptor.length), 8 + 8 * n))
  const head = padded(Buffer.concat([sizes, ...security]))
  head.writeUInt32LE(head.length, 0)
  head.writeUInt32LE(security.length, 4)
  const pieces: Buffer[] = [head]
  let end = head.length
  const place = (files: readonly MadeFile[]): number => {
    const start = end
    const dentries = files.map(file => ({ file, bytes: dentry(file, blob) }))
    pieces.push(...dentries.map(({ bytes }) => bytes), Buffer.alloc(8))
    end += dentries.reduce((sum, { bytes }) => sum + bytes.length, 8)
    for (const { file, bytes } of dentries) {
      if (file.children !== undefined) bytes.writeBigUInt64LE(BigInt(place(file.children)), 16)
    }
    return start
  }
  place([{ name: '', security: rootSecurity, children: root }])
  return Buffer.concat(pieces)
}

function dentry(file: MadeFile, blob: BlobOf): Buffer {
  const { name, security = -1, times = [TIME, TIME, TIME], content, reparse, attributesItem, children } = file
  const { shortName = '', streams } = file
  const fixed = Buffer.alloc(102)
  const kind = (children === undefined ? 0 : 0x10) | (reparse ? 0x400 : 0)
  fixed.writeUInt32LE((file.attributes ?? 0) | kind || 0x80, 8)
  fixed.writeInt32LE(security, 12)
  times.forEach((time, n) => fixed.writeBigUInt64LE(time, 40 + 8 * n))
  const main = blob(reparse ? reparse.data : content)
  const listed = streams !== undefined || file.unnamedEntry === true
  if (!listed) main.copy(fixed, 64)
  if (reparse) {
    fixed.writeUInt32LE(reparse.tag, 88)
    fixed.writeUInt16LE(reparse.flags, 94)
  } else {
    fixed.writeBigUInt64LE(BigInt(file.linkGroup ?? 0), 88)
  }
  fixed.writeUInt16LE(2 * shortName.length, 98)
  fixed.writeUInt16LE(2 * name.length, 100)
  const names = [name, shortName].map(each => Buffer.from(each === '' ? '' : `${each}\0`, 'utf16le'))
  const named = padded(Buffer.concat([fixed, ...names]))
  const item = attributesItem ? padded(Buffer.concat([Buffer.alloc(8), attributesItem])) : Buffer.alloc(0)
  if (attributesItem) {
    item.writeUInt32LE(2, 0)
    item.writeUInt32LE(attributesItem.length, 4)
  }
  const bytes = Buffer.concat([named, item])
  bytes.writeBigUInt64LE(BigInt(bytes.length), 0)
  if (!listed) return bytes
  const unnamed = children === undefined || reparse ? [stream('', main)] : []
  if (file.unnamedEntry) unnamed.push(stream('', NOTHING))
  const entries = Object.entries(streams ?? {}).map(([each, bytesOf]) => stream(each, blob(bytesOf)))
  bytes.writeUInt16LE(unnamed.length + entries.length, 96)
  return Buffer.concat([bytes, ...unnamed, ...entries])
}

/** An entry in the list of streams that follows a dentry. */
function stream(name: string, hash: Buffer): Buffer {
  const head = Buffer.alloc(38)
  hash.copy(head, 16)
  head.writeUInt16LE(2 * name.length, 36)
  const bytes = padded(Buffer.concat([head, Buffer.from(name === '' ? '' : `${name}\0`, 'utf16le')]))
  bytes.writeBigUInt64LE(BigInt(bytes.length), 0)
  return bytes
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)])
}

/** Packed extended attributes, each with flags 0. */
export function packedAttributes(attributes: readonly (readonly [name: string | Buffer, value: string])[]): Buffer {
  return Buffer.concat(
    attributes.flatMap(([name, value]) => {
      const bytes = Buffer.from(name as string) // either type makes a Buffer
      const head = Buffer.alloc(4)
      head.writeUInt16LE(value.length, 0)
      head.writeUInt8(bytes.length, 2)
      return [head, bytes, Buffer.alloc(1), Buffer.from(value, 'latin1')]
    }),
  )
}

/** The data of a link whose two names may differ; `relative` only of a symbolic link. */
export function linkData(
  type: 'symlink' | 'junction',
  substitute: string,
  print: string,
  relative = false,
): { readonly tag: number; readonly data: Buffer } {
  const head = Buffer.alloc(type === 'symlink' ? 12 : 8)
  head.writeUInt16LE(2 * substitute.length, 2)
  head.writeUInt16LE(2 * substitute.length + 2, 4)
  head.writeUInt16LE(2 * print.length, 6)
  if (relative) head.writeUInt32LE(1, 8)
  const data = Buffer.concat([head, Buffer.from(`${substitute}\0${print}\0`, 'utf16le')])
  return { tag: type === 'symlink' ? 0xa000000c : 0xa0000003, data }
}
