/**
 * WIM files that no tool would write: uncompressed, with any tree in them, every hash right. Source: Microsoft's WIM white
 * paper, "Header", "Lookup table", "Metadata"; wimlib, for pipable ones.
 */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'

export const DIRECTORY = 0x10
export const FILE = 0x20
export const REPARSE_POINT = 0x400
export const SYMLINK = 0xa000000c
export const MOUNT_POINT = 0xa0000003

export interface CraftedDentry {
  /** UTF-16, or the bytes themselves. */
  readonly name: string | Buffer
  /** FILE_ATTRIBUTE_*; a directory where there are children, else a file. */
  readonly attributes?: number
  readonly reparseTag?: number
  /** The unnamed stream: a file's data, or a reparse point's. */
  readonly content?: Uint8Array
  /** The unnamed stream by its SHA-1 alone, 40 hex digits: the WIM may not hold it. */
  readonly sha1?: string
  /** All dentries with one number are names of one file. */
  readonly linkGroup?: bigint
  readonly children?: readonly CraftedDentry[]
  /** Named streams, by their content or by its SHA-1 alone. */
  readonly streams?: readonly ({ readonly name: string } & (
    { readonly content: Uint8Array } | { readonly sha1: string }
  ))[]
  /** What `--unix-data` restores. */
  readonly unix?: { readonly uid: number; readonly gid: number; readonly mode: number; readonly rdev?: number }
  /** Where the children stand instead: the n-th directory that was written before (0: the root). */
  readonly childrenOf?: number
}

export interface CraftedImage {
  readonly name?: string
  readonly tree: readonly CraftedDentry[]
  /** What the root is, beside being the root. */
  readonly root?: Partial<CraftedDentry>
}

const HEADER_SIZE = 208
const RESOURCE = { metadata: 2 }

/** Writes the WIM at `path`. Contents stand in the file in the order in which the trees name them. */
export function craftWim(path: string, images: readonly CraftedImage[]): void {
  const { pieces, append, size } = piecesAfter(HEADER_SIZE)
  const contents = new Map<string, Uint8Array>()
  const metadata = images.map(image => craftMetadata(image, contents))
  const entries = [...contents.values()].map(bytes => tableEntry(append(bytes), bytes, 0))
  entries.push(...metadata.map(bytes => tableEntry(append(bytes), bytes, RESOURCE.metadata)))
  const table = Buffer.concat(entries)
  const tableAt = append(table)
  const xml = craftXml(images, size())
  const header = craftHeader('MSWIM', images.length)
  const xmlAt = append(xml)
  resourceHeader(tableAt, table.length, 0).copy(header, 0x30)
  resourceHeader(xmlAt, xml.length, 0).copy(header, 0x48)
  writeFileSync(path, Buffer.concat([header, ...pieces]))
}

/** Where in a pipable WIM the 40-byte headers of its resources stand. */
export interface PipableLayout {
  readonly xml: number
  readonly metadata: readonly number[]
  readonly contents: readonly number[]
}

/** The same as a pipable WIM: the XML data and the metadata come first, and each resource has a header before it. */
export function craftPipableWim(path: string, images: readonly CraftedImage[]): PipableLayout {
  const { pieces, append, size } = piecesAfter(HEADER_SIZE)
  const blob = (bytes: Uint8Array, flags: number): number => {
    const header = Buffer.alloc(40)
    header.writeBigUInt64LE(0x2b9b9ba2443db9d8n, 0)
    header.writeBigUInt64LE(BigInt(bytes.length), 8)
    sha1(bytes).copy(header, 16)
    header.writeUInt32LE(flags, 36)
    return append(Buffer.concat([header, bytes]))
  }
  const contents = new Map<string, Uint8Array>()
  const trees = images.map(image => craftMetadata(image, contents))
  const xml = craftXml(images, 0)
  const layout = {
    xml: blob(xml, RESOURCE.metadata),
    metadata: trees.map(bytes => blob(bytes, RESOURCE.metadata)),
    contents: [...contents.values()].map(bytes => blob(bytes, 0)),
  }
  const table = Buffer.concat([
    ...[...contents.values()].map((bytes, n) => tableEntry((layout.contents[n] ?? 0) + 40, bytes, 0)),
    ...trees.map((bytes, n) => tableEntry((layout.metadata[n] ?? 0) + 40, bytes, RESOURCE.metadata)),
  ])
  const [first, last] = [craftHeader('WLPWM', images.length), craftHeader('WLPWM', images.length)]
  resourceHeader(append(table), table.length, 0).copy(last, 0x30)
  resourceHeader(append(xml), xml.length, 0).copy(last, 0x48)
  append(last)
  writeFileSync(path, Buffer.concat([first, ...pieces], size()))
  return layout
}

interface Pieces {
  readonly pieces: readonly Buffer[]
  /** Gives the offset of what it appends. */
  readonly append: (bytes: Uint8Array) => number
  /** Of all, with what stands before them. */
  readonly size: () => number
}

function piecesAfter(before: number): Pieces {
  const pieces: Buffer[] = []
  let size = before
  const append = (bytes: Uint8Array): number => {
    const at = size
    pieces.push(Buffer.from(bytes))
    size += bytes.length
    return at
  }
  return { pieces, append, size: () => size }
}

function craftXml(images: readonly CraftedImage[], totalBytes: number): Buffer {
  const list = images.map(({ name = '' }, n) => `<IMAGE INDEX="${n + 1}"><NAME>${name}</NAME></IMAGE>`).join('')
  return Buffer.from(`\ufeff<WIM><TOTALBYTES>${totalBytes}</TOTALBYTES>${list}</WIM>`, 'utf16le')
}

function craftHeader(magic: string, images: number): Buffer {
  const header = Buffer.alloc(HEADER_SIZE)
  header.write(`${magic}\0\0\0`, 'latin1')
  header.writeUInt32LE(HEADER_SIZE, 0x08)
  header.writeUInt32LE(0x10d00, 0x0c)
  header.write('made by hand ...', 0x18, 'latin1')
  header.writeUInt16LE(1, 0x28)
  header.writeUInt16LE(1, 0x2a)
  header.writeUInt32LE(images, 0x2c)
  return header
}

/** REPARSE_DATA_BUFFER of a symbolic link, without its first 8 bytes, as a WIM has it. Source: [MS-FSCC] 2.1.2.4. */
export function symlinkData(target: string, { relative = !/^([a-z]:)?[\\/]/i.test(target) } = {}): Buffer {
  const substitute = Buffer.from(relative ? target : `\\??\\${target}`, 'utf16le')
  const print = Buffer.from(target, 'utf16le')
  const head = Buffer.alloc(12)
  head.writeUInt16LE(0, 0)
  head.writeUInt16LE(substitute.length, 2)
  head.writeUInt16LE(substitute.length, 4)
  head.writeUInt16LE(print.length, 6)
  head.writeUInt32LE(relative ? 1 : 0, 8)
  return Buffer.concat([head, substitute, print])
}

export function symlink(name: string, target: string, more: Partial<CraftedDentry> = {}): CraftedDentry {
  return { name, attributes: REPARSE_POINT, reparseTag: SYMLINK, content: symlinkData(target), ...more }
}

export function file(name: string, content = `content of ${name}`): CraftedDentry {
  return { name, content: Buffer.from(content) }
}

export const directory = (name: string, children: readonly CraftedDentry[]): CraftedDentry => ({ name, children })

const sha1 = (bytes: Uint8Array): Buffer => createHash('sha1').update(bytes).digest()
const aligned = (size: number): number => (size + 7) & ~7

/** The metadata resource of a tree: no security descriptors, then the root, then directory after directory. */
export function craftMetadata(
  { tree, root: given }: CraftedImage,
  contents: Map<string, Uint8Array> = new Map(),
): Buffer {
  const security = Buffer.alloc(8)
  security.writeUInt32LE(8, 0)
  const root: CraftedDentry = { name: '', children: tree, ...given }
  const directories: { readonly dentry: CraftedDentry; readonly pointer: number }[] = []
  const starts: number[] = []
  const pieces: Buffer[] = [security]
  let size = security.length
  const append = (dentry: CraftedDentry): void => {
    const bytes = craftDentry(dentry, contents)
    if (dentry.children || dentry.childrenOf !== undefined) directories.push({ dentry, pointer: size + 16 })
    pieces.push(bytes)
    size += bytes.length
  }
  append(root)
  pieces.push(Buffer.alloc(8)) // the end of the directory that holds the root alone
  size += 8
  const pointers: [at: number, to: number][] = []
  for (const { dentry, pointer } of directories) {
    if (dentry.childrenOf !== undefined) {
      pointers.push([pointer, starts[dentry.childrenOf] ?? 0])
      starts.push(0)
      continue
    }
    starts.push(size)
    pointers.push([pointer, size])
    for (const child of dentry.children ?? []) append(child)
    pieces.push(Buffer.alloc(8))
    size += 8
  }
  const metadata = Buffer.concat(pieces)
  for (const [at, to] of pointers) metadata.writeBigUInt64LE(BigInt(to), at)
  return metadata
}

function craftDentry(dentry: CraftedDentry, contents: Map<string, Uint8Array>): Buffer {
  const { attributes = dentry.children ? DIRECTORY : FILE, reparseTag, content, streams = [], linkGroup = 0n } = dentry
  const name = typeof dentry.name === 'string' ? Buffer.from(dentry.name, 'utf16le') : dentry.name
  const fixed = aligned(102 + (name.length > 0 ? name.length + 2 : 0))
  const length = fixed + (dentry.unix ? 24 : 0)
  const bytes = Buffer.alloc(length)
  bytes.writeBigUInt64LE(BigInt(length), 0)
  if (dentry.unix) {
    const { uid, gid, mode, rdev = 0 } = dentry.unix
    for (const [n, value] of [0x337dd873, 16, uid, gid, mode, rdev].entries()) bytes.writeUInt32LE(value, fixed + 4 * n)
  }
  bytes.writeUInt32LE(attributes, 8)
  bytes.writeInt32LE(-1, 12)
  for (const at of [40, 48, 56]) bytes.writeBigUInt64LE(131_000_000_000_000_000n, at)
  const hashed = (stream: Uint8Array): Buffer => {
    const hash = sha1(stream)
    if (stream.length === 0) return Buffer.alloc(20)
    contents.set(hash.toString('hex'), stream)
    return hash
  }
  const main = dentry.sha1 === undefined ? hashed(content ?? Buffer.alloc(0)) : Buffer.from(dentry.sha1, 'hex')
  const named = streams.map(stream => ({
    name: stream.name,
    hash: 'sha1' in stream ? Buffer.from(stream.sha1, 'hex') : hashed(stream.content),
  }))
  const extra = named.length === 0 ? [] : [{ name: '', hash: main }, ...named]
  if (extra.length === 0) main.copy(bytes, 64)
  if (reparseTag === undefined) bytes.writeBigUInt64LE(linkGroup, 88)
  else bytes.writeUInt32LE(reparseTag, 88)
  bytes.writeUInt16LE(extra.length, 96)
  bytes.writeUInt16LE(name.length, 100)
  name.copy(bytes, 102)
  return Buffer.concat([bytes, ...extra.map(stream => craftStream(stream))])
}

function craftStream({ name, hash }: { readonly name: string; readonly hash: Buffer }): Buffer {
  const text = Buffer.from(name, 'utf16le')
  const length = aligned(38 + (text.length > 0 ? text.length + 2 : 0))
  const bytes = Buffer.alloc(length)
  bytes.writeBigUInt64LE(BigInt(length), 0)
  hash.copy(bytes, 16)
  bytes.writeUInt16LE(text.length, 36)
  text.copy(bytes, 38)
  return bytes
}

function resourceHeader(offset: number, size: number, flags: number): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.writeBigUInt64LE(BigInt(size), 0)
  bytes.writeUInt8(flags, 7)
  bytes.writeBigUInt64LE(BigInt(offset), 8)
  bytes.writeBigUInt64LE(BigInt(size), 16)
  return bytes
}

function tableEntry(offset: number, content: Uint8Array, flags: number): Buffer {
  const bytes = Buffer.alloc(50)
  resourceHeader(offset, content.length, flags).copy(bytes, 0)
  bytes.writeUInt16LE(1, 24)
  bytes.writeUInt32LE(1, 26)
  sha1(content).copy(bytes, 30)
  return bytes
}
