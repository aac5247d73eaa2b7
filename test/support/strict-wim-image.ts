/** The metadata of an image, read strictly; see `strict-wim.ts`. */
import { createHash } from 'node:crypto'
import { check } from './strict-wim.js'

/** A file, as all its names have it. SHA-1s are in hex, and empty for no content. */
export interface StrictFile {
  readonly attributes: number
  readonly security: string
  readonly times: readonly [creation: bigint, access: bigint, write: bigint]
  readonly shortName: string
  readonly reparse: { readonly tag: number; readonly flags: number; readonly sha1: string } | undefined
  readonly data: string
  /** `NAME SHA-1` of each named stream, sorted. */
  readonly streams: readonly string[]
  /** Tagged items, by their tags, in hex. */
  readonly items: Readonly<Record<string, string>>
  /** All paths of the file, sorted; only its own if there is one. */
  readonly names: readonly string[]
}

export interface StrictImage {
  /** By path, with slashes; the root is empty. */
  readonly files: ReadonlyMap<string, StrictFile>
  readonly references: ReadonlyMap<string, number>
  /** By path, how its streams are stored: the hash in the dentry, then `NAME SHA-1` of each entry behind it. */
  readonly stored: ReadonlyMap<string, readonly string[]>
  readonly counts: Readonly<Record<'DIRCOUNT' | 'FILECOUNT' | 'TOTALBYTES' | 'HARDLINKBYTES', number>>
}

const DIRECTORY = 0x10
const REPARSE = 0x400
const FIXED = 102
const STREAM = 38
const TAGS = new Set([1, 2, 0x337dd873, 0x337dd874])

type Blobs = ReadonlyMap<string, Buffer>

/** Reads a metadata resource, each byte of which must belong to one thing. */
export function readStrictImage(bytes: Buffer, blobs: Blobs): StrictImage {
  const { security, end } = readSecurity(bytes)
  const dentries: Dentry[] = []
  const covered: [from: number, to: number][] = [[0, end]]
  const readList = (from: number, path: string): void => {
    check(from % 8 === 0 && from >= end, `${path}: its children are at ${from}`)
    const names = new Set<string>()
    let at = from
    for (;;) {
      check(at + 8 <= bytes.length, `${path}: the list of its children does not end`)
      if (bytes.readBigUInt64LE(at) === 0n) break
      const dentry = readDentry(bytes, at, path, security, blobs)
      check(!names.has(dentry.name), `${dentry.path} is there twice`)
      names.add(dentry.name)
      at = dentry.end
      dentries.push(dentry)
      check(dentries.length < 1_000_000, 'directories without end')
      if (dentry.subdirectory > 0) readList(dentry.subdirectory, dentry.path)
      if (path === ROOT) break // it has no siblings
    }
    covered.push([from, at + 8])
  }
  const ROOT = '<root>'
  readList(end, ROOT)
  let at = 0
  for (const [from, to] of covered.toSorted(([a], [b]) => a - b)) {
    check(from === at, `metadata: bytes ${at} to ${from} belong to nothing, or to two things`)
    at = to
  }
  check(at === bytes.length, `metadata: ${bytes.length - at} bytes follow its end`)
  return summarize(dentries, blobs)
}

function readSecurity(bytes: Buffer): { readonly security: readonly string[]; readonly end: number } {
  const [total, count] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)]
  check(total % 8 === 0 && total <= bytes.length, `security data of ${total} bytes`)
  let at = 8 + 8 * count
  const security = Array.from({ length: count }, (_, n) => {
    const size = Number(bytes.readBigUInt64LE(8 + 8 * n))
    at += size
    check(at <= total, `security descriptor ${n} is beyond the end`)
    return bytes.toString('hex', at - size, at)
  })
  check(total - at < 8 && bytes.subarray(at, total).every(byte => byte === 0), 'security data with a remainder')
  check(new Set(security).size === count, 'two security descriptors are the same')
  return { security, end: total }
}

interface Dentry {
  readonly path: string
  readonly name: string
  readonly end: number
  readonly subdirectory: number
  readonly linkGroup: bigint
  readonly hashes: readonly string[]
  readonly stored: readonly string[]
  readonly file: Omit<StrictFile, 'names'>
}

const align = (size: number): number => Math.ceil(size / 8) * 8

function readDentry(bytes: Buffer, start: number, parent: string, security: readonly string[], blobs: Blobs): Dentry {
  const size = Number(bytes.readBigUInt64LE(start))
  const where = `the entry at ${start} of ${parent}`
  check(size % 8 === 0 && size >= align(FIXED) && start + size <= bytes.length, `${where} has ${size} bytes`)
  const u16 = (at: number): number => bytes.readUInt16LE(start + at)
  const attributes = bytes.readUInt32LE(start + 8)
  const descriptor = bytes.readInt32LE(start + 12)
  check(descriptor >= -1 && descriptor < security.length, `${where} has security descriptor ${descriptor}`)
  check(
    bytes.subarray(start + 24, start + 40).every(byte => byte === 0),
    `${where}: its unused fields are not zero`,
  )
  let at = start + FIXED
  const text = (length: number): string => {
    check(length % 2 === 0, `${where} has a name of ${length} bytes`)
    const found = bytes.toString('utf16le', at, at + length)
    if (length > 0) check(bytes.readUInt16LE(at + length) === 0, `${where}: no NUL after a name`)
    at += length === 0 ? 0 : length + 2
    return found
  }
  const name = text(u16(100))
  const shortName = text(u16(98))
  const root = parent === '<root>'
  check((name === '') === root && !/[/\0]|^\.\.?$/.test(name), `${where} is named ${JSON.stringify(name)}`)
  const path = root ? '' : `${parent}/${name}`
  const items: Record<string, string> = {}
  for (at = align(at); at < start + size;) {
    const [tag, length] = [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)]
    check(TAGS.has(tag) && !(`0x${tag.toString(16)}` in items), `${path}: an item with tag 0x${tag.toString(16)}`)
    check(length > 0 && at + 8 + length <= start + size, `${path}: an item of ${length} bytes`)
    items[`0x${tag.toString(16)}`] = bytes.toString('hex', at + 8, at + 8 + length)
    at += align(8 + length)
  }
  check(at === start + size, `${path}: its items end at ${at} instead of ${start + size}`)
  const isReparse = (attributes & REPARSE) !== 0
  const subdirectory = Number(bytes.readBigUInt64LE(start + 16))
  const list = (attributes & DIRECTORY) !== 0 && !isReparse
  check(list === subdirectory > 0, `${path}: attributes 0x${attributes.toString(16)} and children at ${subdirectory}`)
  const main = bytes.toString('hex', start + 64, start + 84)
  const { streams, end } = readStreams(bytes, at, u16(96), path)
  const resolved = resolve(main, streams, { isReparse, path })
  const hashes = [resolved.reparse, resolved.data, ...resolved.named.map(([, hash]) => hash)].filter(
    hash => hash !== '',
  )
  for (const hash of hashes) check(blobs.has(hash), `${path}: its content ${hash} is not there`)
  if ((attributes & DIRECTORY) !== 0) check(resolved.data === '', `${path}: a directory with content`)
  const tag = isReparse ? bytes.readUInt32LE(start + 88) : 0
  if (isReparse) check(tag !== 0, `${path}: a reparse point without a tag`)
  const time = (offset: number): bigint => bytes.readBigUInt64LE(start + offset)
  return {
    ...{ path, name, end, subdirectory, hashes },
    linkGroup: isReparse ? 0n : bytes.readBigUInt64LE(start + 88),
    stored: [main, ...streams.map(([streamName, hash]) => `${streamName} ${hash}`)],
    file: {
      ...{ attributes, shortName, items, data: resolved.data },
      security: descriptor < 0 ? '' : (security[descriptor] ?? ''),
      times: [time(40), time(48), time(56)],
      reparse: isReparse ? { tag, flags: u16(94), sha1: resolved.reparse } : undefined,
      streams: resolved.named.map(([streamName, hash]) => `${streamName} ${hash}`).sort(),
    },
  }
}

type Streams = readonly (readonly [name: string, hash: string])[]

function readStreams(bytes: Buffer, from: number, count: number, path: string) {
  let at = from
  const streams: (readonly [string, string])[] = []
  for (let n = 0; n < count; n += 1) {
    const size = Number(bytes.readBigUInt64LE(at))
    const length = bytes.readUInt16LE(at + 36)
    check(bytes.readBigUInt64LE(at + 8) === 0n, `${path}: the unused field of a stream is not zero`)
    const named = length === 0 ? 0 : length + 2
    check(size === align(STREAM + named), `${path}: stream ${n} has ${size} bytes for a name of ${length}`)
    streams.push([
      bytes.toString('utf16le', at + STREAM, at + STREAM + length),
      bytes.toString('hex', at + 16, at + 36),
    ])
    at += size
  }
  const names = streams.map(([name]) => name).filter(name => name !== '')
  check(new Set(names).size === names.length, `${path}: two streams of one name`)
  return { streams, end: at }
}

/** Which stream is which: the unnamed ones are the reparse data, if there is any, and then the content. */
function resolve(main: string, streams: Streams, { isReparse, path }: { isReparse: boolean; path: string }) {
  const none = '0'.repeat(40)
  const plain = (hash: string | undefined): string => (hash === undefined || hash === none ? '' : hash)
  const unnamed = streams.filter(([name]) => name === '').map(([, hash]) => hash)
  if (streams.length > 0) check(main === none, `${path}: a hash beside its streams`)
  else unnamed.push(main)
  check(unnamed.length <= (isReparse ? 2 : 1), `${path}: ${unnamed.length} unnamed streams`)
  const [first, second] = unnamed
  return {
    reparse: isReparse ? plain(first) : '',
    data: isReparse ? plain(second) : plain(first),
    named: streams.filter(([name]) => name !== '').map(([name, hash]) => [name, plain(hash)] as const),
  }
}

function summarize(dentries: readonly Dentry[], blobs: Blobs): StrictImage {
  const groups = new Map<bigint, Dentry[]>()
  const references = new Map<string, number>()
  const counts = { DIRCOUNT: 0, FILECOUNT: 0, TOTALBYTES: 0, HARDLINKBYTES: 0 }
  const sizeOf = ({ hashes }: Dentry): number => hashes.reduce((sum, hash) => sum + (blobs.get(hash)?.length ?? 0), 0)
  for (const dentry of dentries) {
    for (const hash of dentry.hashes) references.set(hash, 1 + (references.get(hash) ?? 0))
    counts[dentry.subdirectory > 0 ? 'DIRCOUNT' : 'FILECOUNT'] += 1
    counts.TOTALBYTES += sizeOf(dentry)
    if (dentry.linkGroup === 0n) continue
    const group = groups.get(dentry.linkGroup)
    if (group) group.push(dentry)
    else groups.set(dentry.linkGroup, [dentry])
  }
  const namesOf = new Map<bigint, readonly string[]>()
  for (const [group, members] of groups) {
    namesOf.set(group, members.map(member => member.path).sort())
    const [first, ...others] = members
    check(first !== undefined && others.length > 0, `link group ${group} has one name, ${first?.path}`)
    const same = ({ file: { shortName: _short, ...file } }: Dentry): string => hashOf(file)
    const wanted = same(first)
    for (const other of others) {
      check(same(other) === wanted, `${other.path} is not the same as ${first.path} of its link group`)
    }
    counts.HARDLINKBYTES += others.length * sizeOf(first)
  }
  const files = new Map(
    dentries.map(({ path, linkGroup, file }) => {
      const names = namesOf.get(linkGroup) ?? [path]
      return [path, { ...file, names }] as const
    }),
  )
  return { files, references, counts, stored: new Map(dentries.map(({ path, stored }) => [path, stored])) }
}

function hashOf(file: object): string {
  const text = JSON.stringify(file, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
  return createHash('sha1').update(text).digest('hex')
}
