/**
 * Encodes a tree of dentries as the metadata resource of an image. Sources: Microsoft's WIM white paper, "Metadata";
 * wimlib for the order of streams and for tagged items.
 */
import { setImmediate } from 'node:timers/promises'
import { StowageError } from '../errors.js'
import { FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT } from '../windows/file-attributes.js'
import { upcase } from '../windows/upcase.js'
import { type FileFields } from './dentry.js'

/** The content of a stream. */
export interface Content {
  /** In bytes. */
  readonly size: number
  /** SHA-1, 20 bytes as characters (latin1); empty if there are no bytes. */
  sha1: string
  /** The bytes themselves, if they are not in a layer. */
  readonly bytes?: Buffer | undefined
}

/** A file, without its names. */
export interface ImageFile extends FileFields {
  readonly data: Content | undefined
  readonly reparse: Content | undefined
  /** Named (alternate) data streams. */
  readonly streams: readonly { readonly name: string; readonly content: Content }[]
}

/** A dentry: a name in the tree of an image. */
export interface ImageDentry {
  /** Empty for the root. */
  readonly name: string
  /** The 8.3 name, or empty. */
  readonly shortName: string
  readonly file: ImageFile
  /** The contents of a directory, in any order. */
  readonly children: Iterable<ImageDentry> | undefined
}

/** The result of {@link encodeMetadata}. */
export interface EncodedImage {
  readonly bytes: Buffer
  /** Number of directories, including the root. */
  readonly directories: number
  /** Number of names of everything else. */
  readonly files: number
  /**
   * Size of all streams, counted for each name of a file; and the part of it that further names of the same files add.
   */
  readonly size: number
  readonly hardLinkSize: number
}

const DENTRY_SIZE = 102
const STREAM_SIZE = 38
const END_SIZE = 8
const TAG_OBJECT_ID = 1
const TAG_EXTENDED_ATTRIBUTES = 2
const TAG_UNIX_DATA = 0x337dd873
const NO_CONTENT: Content = { size: 0, sha1: '' }
/** Dentries between two yields to the event loop. */
const SLICE = 256

/** A file, with the number of its link group and of its names. */
interface Group {
  readonly id: number
  names: number
}

interface Placed {
  readonly dentry: ImageDentry
  readonly size: number
  /** For a directory, the offset of its children after the security data. */
  subdirectory: number
  readonly children: Placed[] | undefined
}

/**
 * Encodes `root` and everything below it. `security` are self-relative SECURITY_DESCRIPTORs; only those that the image
 * uses are included. Children are sorted by their names in upper case. Yields to the event loop regularly. Throws
 * LAYER_UNSUPPORTED if the image is too large for a WIM, or has something below a reparse point.
 */
export async function encodeMetadata(root: ImageDentry, security: readonly Buffer[]): Promise<EncodedImage> {
  const descriptors = new Map<number, number>()
  const files = new Map<ImageFile, Group>()
  const counts = { directories: 1, files: 0, size: 0, hardLinkSize: 0 }
  const top: Placed = { dentry: root, size: dentrySize(root), subdirectory: 0, children: [] }
  const directories: Placed[] = [top]
  let end = top.size + END_SIZE // relative to the security data, whose size is not known yet
  let turn = 0
  need(root.file)
  for (let place = directories.pop(); place; place = directories.pop()) {
    place.subdirectory = end
    const below: Placed[] = []
    for (const { child } of sorted(place.dentry)) {
      const isDirectory = hasChildren(child)
      const placed: Placed = {
        dentry: child,
        size: dentrySize(child),
        subdirectory: 0,
        children: isDirectory ? [] : undefined,
      }
      place.children?.push(placed)
      if (isDirectory) below.push(placed)
      end += placed.size
      count(child, isDirectory)
      if ((turn += 1) % SLICE === 0) await setImmediate()
    }
    end += END_SIZE
    for (const placed of below.reverse()) directories.push(placed)
  }
  const needed = [...descriptors.keys()].map(index => security[index] ?? Buffer.alloc(0))
  const securitySize = align(8 + needed.reduce((sum, descriptor) => sum + 8 + descriptor.length, 0))
  end += securitySize
  if (end > 0xffffffff) throw new StowageError('LAYER_UNSUPPORTED', 'an image of so many files is too large for a WIM')

  const bytes = Buffer.alloc(end)
  writeSecurity(bytes, needed, securitySize)
  writeDentry(bytes, securitySize, top, 0)
  const open: Placed[] = [top]
  for (let place = open.pop(); place; place = open.pop()) {
    let at = securitySize + place.subdirectory
    for (const child of place.children ?? []) {
      const group = files.get(child.dentry.file)
      writeDentry(bytes, at, child, group && group.names > 1 ? group.id : 0)
      at += child.size
      if (child.children) open.push(child)
      if ((turn += 1) % SLICE === 0) await setImmediate()
    }
  }
  return { bytes, ...counts }

  function need({ security: index }: ImageFile): void {
    if (index >= 0 && !descriptors.has(index)) descriptors.set(index, descriptors.size)
  }

  function writeDentry(to: Buffer, start: number, placed: Placed, group: number): void {
    const subdirectory = placed.children ? securitySize + placed.subdirectory : 0
    encodeDentry(to, start, placed.dentry, subdirectory, descriptors.get(placed.dentry.file.security) ?? -1, group)
  }

  function count({ file }: ImageDentry, isDirectory: boolean): void {
    need(file)
    const streams = [file.data, file.reparse, ...file.streams.map(({ content }) => content)]
    const size = streams.reduce((sum, content) => sum + (content?.size ?? 0), 0)
    counts[isDirectory ? 'directories' : 'files'] += 1
    counts.size += size
    if (isDirectory || isReparsePoint(file)) return
    const group = files.get(file)
    if (group) {
      group.names += 1
      counts.hardLinkSize += size
    } else {
      files.set(file, { id: files.size + 1, names: 1 })
    }
  }
}

function sorted({ children = [] }: ImageDentry): { readonly key: string; readonly child: ImageDentry }[] {
  const keyed = Array.from(children, child => ({ key: upcase(child.name), child }))
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.child.name < b.child.name ? -1 : 1))
}

/**
 * Whether the dentry has a list of children, which may be empty. A reparse point has none, although it may be a
 * directory: Windows looks at its target, and readers take a list there for an error.
 */
function hasChildren({ name, file, children }: ImageDentry): boolean {
  if (children === undefined) return false
  if (!isReparsePoint(file)) return true
  for (const { name: inside } of children) {
    throw new StowageError(
      'LAYER_UNSUPPORTED',
      `${JSON.stringify(name)} is a reparse point, but has ${JSON.stringify(inside)} below it`,
    )
  }
  return false
}

function isReparsePoint({ attributes }: ImageFile): boolean {
  return (attributes & FILE_ATTRIBUTE_REPARSE_POINT) !== 0
}

/** The streams in separate stream entries; none if the dentry itself can hold the only one. */
function extraStreams(file: ImageFile): { readonly name: string; readonly content: Content }[] {
  const reparse = isReparsePoint(file)
  const directory = (file.attributes & FILE_ATTRIBUTE_DIRECTORY) !== 0
  const unnamed = (reparse ? 1 : 0) + (directory ? 0 : 1)
  if (file.streams.length === 0 && unnamed < 2) return []
  return [
    ...(reparse ? [{ name: '', content: file.reparse ?? NO_CONTENT }] : []),
    ...(directory ? [] : [{ name: '', content: file.data ?? NO_CONTENT }]),
    ...file.streams,
  ]
}

function dentrySize({ name, shortName, file }: ImageDentry): number {
  let size = align(DENTRY_SIZE + nameSize(name) + nameSize(shortName))
  for (const item of [file.objectId, file.unixData, file.extendedAttributes]) {
    if (item.length > 0) size += align(8 + item.length)
  }
  for (const stream of extraStreams(file)) size += align(STREAM_SIZE + nameSize(stream.name))
  return size
}

function writeSecurity(bytes: Buffer, security: readonly Buffer[], size: number): void {
  bytes.writeUInt32LE(size, 0)
  bytes.writeUInt32LE(security.length, 4)
  let at = 8 + 8 * security.length
  security.forEach((descriptor, n) => {
    bytes.writeUInt32LE(descriptor.length, 8 + 8 * n)
    descriptor.copy(bytes, at)
    at += descriptor.length
  })
}

function encodeDentry(
  bytes: Buffer,
  start: number,
  { name, shortName, file }: ImageDentry,
  subdirectory: number,
  security: number,
  group: number,
): void {
  const extra = extraStreams(file)
  bytes.writeUInt32LE(file.attributes >>> 0, start + 8)
  bytes.writeInt32LE(security, start + 12)
  writeU64(bytes, subdirectory, start + 16)
  bytes.writeBigUInt64LE(file.creationTime, start + 40)
  bytes.writeBigUInt64LE(file.accessTime, start + 48)
  bytes.writeBigUInt64LE(file.writeTime, start + 56)
  if (extra.length === 0)
    bytes.write((isReparsePoint(file) ? file.reparse : file.data)?.sha1 ?? '', start + 64, 'latin1')
  if (isReparsePoint(file)) {
    bytes.writeUInt32LE(file.reparseTag, start + 88)
    bytes.writeUInt16LE(file.reparseFlags, start + 94)
  } else {
    writeU64(bytes, group, start + 88)
  }
  bytes.writeUInt16LE(extra.length, start + 96)
  bytes.writeUInt16LE(2 * shortName.length, start + 98)
  bytes.writeUInt16LE(2 * name.length, start + 100)
  let at = start + DENTRY_SIZE
  bytes.write(name, at, 'utf16le')
  at += nameSize(name)
  bytes.write(shortName, at, 'utf16le')
  at = align(at + nameSize(shortName))
  const items = [
    [TAG_OBJECT_ID, file.objectId],
    [TAG_UNIX_DATA, file.unixData],
    [TAG_EXTENDED_ATTRIBUTES, file.extendedAttributes],
  ] as const
  for (const [tag, item] of items) {
    if (item.length === 0) continue
    bytes.writeUInt32LE(tag, at)
    bytes.writeUInt32LE(item.length, at + 4)
    item.copy(bytes, at + 8)
    at += align(8 + item.length)
  }
  writeU64(bytes, at - start, start)
  for (const { name: streamName, content } of extra) {
    const size = align(STREAM_SIZE + nameSize(streamName))
    writeU64(bytes, size, at)
    bytes.write(content.sha1, at + 16, 'latin1')
    bytes.writeUInt16LE(2 * streamName.length, at + 36)
    bytes.write(streamName, at + STREAM_SIZE, 'utf16le')
    at += size
  }
}

/** The size of a name with its terminating NUL, which an empty name does not have. */
function nameSize(name: string): number {
  return name === '' ? 0 : 2 * name.length + 2
}

function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at)
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4)
}

function align(size: number): number {
  return Math.ceil(size / 8) * 8
}
