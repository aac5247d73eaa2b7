/**
 * WIM files for tests, each made once and copied to the test that asks for it.
 * They are kept under node_modules/.cache by the hash of the scripts that make them, so a changed script makes new ones.
 */
import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { type Flaw, FLAWS } from '../../fixtures/make/flaws.js'
import { fillRich } from '../../fixtures/make/rich-tree.js'
import { exportAs, type Form, FORMS, makeBaseOsWim, splitAs, wimlib } from '../../fixtures/make/wim.js'
import { type Scratch, scratch } from './scratch.js'

export { type Flaw, type Form, wimlib }

/** Every form of {@link richWim} that is one file. */
export const WIM_FORMS = Object.keys(FORMS) as readonly Form[] // the keys of FORMS are what Form is made of

const ROOT = resolve(import.meta.dirname, '../..')
const MAKERS = join(ROOT, 'fixtures', 'make')

/**
 * The rich WIM (`fixtures/make/rich-tree.ts`, image 1 "NanoServer", image 2 "UtilityVM") in one form: a copy in the
 * test's own directory, to be changed at will. Needs root, /dev/fuse, ntfs-3g, attr and wimtools, and says so.
 */
export function richWim(t: Scratch, form: Form = 'lzx'): string {
  return own(scratch(t), cachedForm(form))
}

/** The rich WIM cut into parts (`rich.swm`, `rich2.swm` …): their paths, the first part first. */
export function splitWim(t: Scratch): string[] {
  const directory = cached('split', made => {
    mkdirSync(made)
    splitAs(cachedForm('lzx'), join(made, 'rich.swm'), 3)
  })
  const number = (name: string): number => Number(/(\d+)\.swm$/.exec(name)?.[1] ?? 1)
  const target = scratch(t)
  return readdirSync(directory)
    .sort((a, b) => number(a) - number(b))
    .map(name => own(target, join(directory, name)))
}

/** A base OS WIM with one flaw that a layer cannot carry, or should not lack. LZX. */
export function flawedWim(t: Scratch, flaw: Flaw): string {
  return own(
    scratch(t),
    cached(`${flaw}.wim`, made => makeBaseOsWim(made, FLAWS[flaw], 16 * 1024 * 1024)),
  )
}

export interface DirectoryWimOptions {
  /** Paths and contents; the default is a small tree with a hard link, an empty file and a directory in a directory. */
  readonly files?: Readonly<Record<string, Uint8Array>>
  /** Options of `wimlib-imagex capture`, such as `--compress=none`. */
  readonly args?: readonly string[]
  readonly name?: string
}

/** A plain capture of a directory: needs wimtools, neither root nor FUSE. Has no security descriptors and no streams. */
export function directoryWim(t: Scratch, { files, args = [], name = 'tree' }: DirectoryWimOptions = {}): string {
  const directory = join(scratch(t), 'tree')
  writeTree(directory, files)
  const wim = `${directory}.wim`
  wimlib('capture', directory, wim, name, ...args)
  return wim
}

/** A WIM whose `ea.txt` carries two extended attributes, `user.one` and `user.two` (wimlib 1.13.6 and later). */
export function extendedAttributeWim(t: Scratch): string {
  const directory = join(scratch(t), 'tree')
  writeTree(directory, { 'ea.txt': Buffer.from('has attributes'), 'plain.txt': Buffer.from('has none') })
  for (const [name, value] of [
    ['user.one', 'first value'],
    ['user.two', '2'],
  ] as const) {
    execFileSync('setfattr', ['-n', name, '-v', value, join(directory, 'ea.txt')])
  }
  const wim = `${directory}.wim`
  wimlib('capture', directory, wim, 'attributes', '--unix-data')
  return wim
}

/** What {@link corruptBlob} did. */
export interface Corruption {
  /** SHA-1 the blob should have, 40 lower-case hex digits. */
  readonly sha1: string
  /** Where the byte was flipped, from the start of the file. */
  readonly offset: number
}

/**
 * Flips one byte in the middle of a blob's data in the WIM at `path`: of the blob with this SHA-1, else of the largest one.
 * In a compressed chunk that may show as data that does not decompress rather than as a wrong hash, and in a solid resource
 * it hits whichever blob lies in the middle.
 */
export function corruptBlob(path: string, sha1?: string): Corruption {
  const blobs = blobsOf(path).sort((a, b) => b.size - a.size)
  const blob = sha1 === undefined ? blobs[0] : blobs.find(found => found.sha1 === sha1)
  if (!blob) throw new Error(`${path} has no blob ${sha1 ?? 'at all'}`)
  const offset = blob.offset + Math.floor(blob.size / 2)
  flipByte(path, offset)
  return { sha1: blob.sha1, offset }
}

export function flipByte(path: string, offset: number): void {
  const fd = openSync(path, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, offset)
  byte.writeUInt8(byte.readUInt8(0) ^ 0xff)
  writeSync(fd, byte, 0, 1, offset)
  closeSync(fd)
}

/** Cuts the file at `path` to `size` bytes. */
export function truncate(path: string, size: number): void {
  if (size >= statSync(path).size) throw new RangeError(`${path} has no more than ${size} bytes`)
  truncateSync(path, size)
}

/** A blob as `wimlib-imagex info --blobs` lists it: `size` and `offset` are of the bytes stored in the file. */
export interface StoredBlob {
  readonly sha1: string
  readonly size: number
  readonly offset: number
}

/** The file blobs of a WIM (no metadata) in the order of its table; for one in a solid resource, where the resource is. */
export function blobsOf(path: string): StoredBlob[] {
  const blobs: StoredBlob[] = []
  for (const block of wimlib('info', path, '--blobs').split(/\n\s*\n/)) {
    const field = (name: RegExp): string | undefined => name.exec(block)?.[1]
    const sha1 = field(/^Hash\s+= 0x([0-9a-f]{40})$/m)
    if (sha1 === undefined || /^Flags.*WIM_RESHDR_FLAG_METADATA/m.test(block)) continue
    const size = field(/^Compressed size\s+= (\d+)/m) ?? field(/^Solid resource\s+= \d+ => (\d+)/m)
    const offset = field(/^Offset in WIM\s+= (\d+)/m) ?? field(/^Solid resource\s+=.*@ offset (\d+)/m)
    if (size === undefined || offset === undefined) continue
    blobs.push({ sha1, size: Number(size), offset: Number(offset) })
  }
  return blobs
}

function cachedForm(form: Form): string {
  if (form === 'lzx') return cached('rich-lzx.wim', made => makeBaseOsWim(made, fillRich))
  return cached(`rich-${form}.wim`, made => exportAs(form, cachedForm('lzx'), made))
}

/** The file or directory `name` of the cache, made beside its place and renamed when it is not there yet. */
function cached(name: string, make: (path: string) => void): string {
  const directory = join(ROOT, 'node_modules', '.cache', 'stowage-fixtures', recipeHash())
  const path = join(directory, name)
  if (existsSync(path)) return path
  const beside = join(directory, `building-${randomUUID()}`)
  mkdirSync(beside, { recursive: true })
  try {
    make(join(beside, name))
    if (!existsSync(path)) renameSync(join(beside, name), path) // another process may have been faster: theirs is the same
  } finally {
    rmSync(beside, { recursive: true, force: true })
  }
  return path
}

/** Changes when a maker or wimlib does. */
function recipeHash(): string {
  const hash = createHash('sha256').update(wimlib('--version').split('\n')[0] ?? '')
  for (const name of readdirSync(MAKERS).sort()) hash.update(`${name}\0`).update(readFileSync(join(MAKERS, name)))
  return hash.digest('hex').slice(0, 16)
}

function own(directory: string, path: string): string {
  const copy = join(directory, basename(path))
  copyFileSync(path, copy)
  return copy
}

function writeTree(directory: string, files?: Readonly<Record<string, Uint8Array>>): void {
  for (const [path, content] of Object.entries(files ?? SMALL_TREE())) {
    const target = join(directory, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, content)
  }
  if (!files) linkSync(join(directory, 'docs', 'text.txt'), join(directory, 'link.txt'))
}

const SMALL_TREE = (): Record<string, Uint8Array> => ({
  empty: new Uint8Array(),
  'docs/text.txt': text('small tree', 100_000),
  'docs/deep/random.bin': incompressible('small tree', 50_000),
  'docs/deep/ünïcode 🐋.txt': Buffer.from('name'),
})

/**
 * Changes the metadata of the only image of an uncompressed WIM as `change` likes, and makes its hash right again: what a
 * hostile writer can do that wimlib-imagex will not.
 */
export function patchMetadata(path: string, change: (metadata: Buffer) => void): void {
  const block =
    wimlib('info', path, '--blobs')
      .split(/\n\s*\n/)
      .find(text => text.includes('WIM_RESHDR_FLAG_METADATA')) ?? ''
  const number = (name: string): number => Number(new RegExp(`^${name}\\s+= (\\d+)`, 'm').exec(block)?.[1])
  const [offset, size] = [number('Offset in WIM'), number('Uncompressed size')]
  const whole = readFileSync(path)
  const metadata = whole.subarray(offset, offset + size)
  const before = createHash('sha1').update(metadata).digest()
  change(metadata)
  createHash('sha1').update(metadata).digest().copy(whole, whole.lastIndexOf(before))
  writeFileSync(path, whole)
}

/** For {@link patchMetadata}: writes another name of the same length, wherever the old one stands. */
export function renameIn(metadata: Buffer, from: string, to: string): void {
  const [old, name] = [Buffer.from(from, 'utf16le'), Buffer.from(to, 'utf16le')]
  if (old.length !== name.length) throw new RangeError(`${from} and ${to} differ in length`)
  for (let at = metadata.indexOf(old); at >= 0; at = metadata.indexOf(old, at + 1)) name.copy(metadata, at)
}
