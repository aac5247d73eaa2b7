/**
 * WIM files made byte by byte, with whatever is wrong in them: what neither wimlib-imagex nor we would write. Source:
 * Microsoft's WIM white paper. One image, uncompressed.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'

/** A file of the image. What is left out is 0 or empty. */
export interface MadeFile {
  readonly name: string
  readonly attributes?: number
  /** Index into {@link MadeWim.security}. */
  readonly security?: number
  /** FILETIMEs of creation, last access and last write. */
  readonly times?: readonly [bigint, bigint, bigint]
  readonly content?: Uint8Array | string
  readonly reparse?: { readonly tag: number; readonly flags: number; readonly data: Uint8Array }
  readonly attributesItem?: Uint8Array
  readonly linkGroup?: number
  /** Makes it a directory, and a reparse point one with a list of children. */
  readonly children?: readonly MadeFile[]
}

export interface MadeWim {
  readonly rpfix?: boolean
  readonly security?: readonly Uint8Array[]
  readonly root: readonly MadeFile[]
}

const TIME = 131_000_000_000_000_000n
const NOTHING = Buffer.alloc(20)

/** Writes the WIM to `path`. */
export function makeWim(path: string, { rpfix = false, security = [], root }: MadeWim): string {
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
  const image = imageOf(security, root, blob)
  const counts = [...countsOf(root)].map(([name, count]) => `<${name}>${count}</${name}>`).join('')
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
    entry(image, 1, 2),
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
  header.writeUInt32LE(1, 44)
  resource(header, 48, table.length, add(table), 0)
  const xml = Buffer.from(
    `\ufeff<WIM><TOTALBYTES>${end}</TOTALBYTES><IMAGE INDEX="1"><NAME>made</NAME>${counts}</IMAGE></WIM>`,
    'utf16le',
  )
  resource(header, 72, xml.length, add(xml), 0)
  writeFileSync(path, Buffer.concat(pieces))
  return path
}

/** What the XML says of the image. */
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
    for (const { reparse, content = '', children, linkGroup = 0 } of files) {
      const size = reparse ? reparse.data.length : Buffer.from(content).length
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

function imageOf(security: readonly Uint8Array[], root: readonly MadeFile[], blob: BlobOf): Buffer {
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
  place([{ name: '', children: root }])
  return Buffer.concat(pieces)
}

function dentry(file: MadeFile, blob: BlobOf): Buffer {
  const { name, security = -1, times = [TIME, TIME, TIME], content, reparse, attributesItem, children } = file
  const fixed = Buffer.alloc(102)
  const kind = (children === undefined ? 0 : 0x10) | (reparse ? 0x400 : 0)
  fixed.writeUInt32LE((file.attributes ?? 0) | kind || 0x80, 8)
  fixed.writeInt32LE(security, 12)
  times.forEach((time, n) => fixed.writeBigUInt64LE(time, 40 + 8 * n))
  blob(reparse ? reparse.data : content).copy(fixed, 64)
  if (reparse) {
    fixed.writeUInt32LE(reparse.tag, 88)
    fixed.writeUInt16LE(reparse.flags, 94)
  } else {
    fixed.writeBigUInt64LE(BigInt(file.linkGroup ?? 0), 88)
  }
  fixed.writeUInt16LE(2 * name.length, 100)
  const named = padded(Buffer.concat([fixed, Buffer.from(name === '' ? '' : `${name}\0`, 'utf16le')]))
  const item = attributesItem ? padded(Buffer.concat([Buffer.alloc(8), attributesItem])) : Buffer.alloc(0)
  if (attributesItem) {
    item.writeUInt32LE(2, 0)
    item.writeUInt32LE(attributesItem.length, 4)
  }
  const bytes = Buffer.concat([named, item])
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
