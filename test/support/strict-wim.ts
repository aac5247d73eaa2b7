/**
 * A second reader of WIM files, for tests: strict about everything that the format says, and sharing nothing with the
 * addon, libwim or `src/`. Sources: Microsoft's WIM white paper; wimlib's documentation of solid and pipable WIMs.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { decodeLzms } from './lzms.js'
import { readStrictImage, type StrictImage } from './strict-wim-image.js'
import { type ChunkDecoder, decodeXpress, lzxDecoder } from './wim-codecs.js'

export interface StrictWim {
  readonly compression: 'none' | 'xpress' | 'lzx' | 'lzms'
  readonly chunkSize: number
  readonly pipable: boolean
  readonly solid: boolean
  readonly rpfix: boolean
  readonly guid: string
  readonly images: readonly StrictImage[]
  /** Contents by their SHA-1 in hex, each of which was right. */
  readonly blobs: ReadonlyMap<string, Buffer>
  readonly xml: string
  /** Bytes of the files that belong to nothing. */
  readonly unused: number
}

const HEADER = 208
const PIPE_HEADER = 40
const FLAGS = { compressed: 2, readonly: 4, spanned: 8, rpfix: 0x80, xpress: 0x20000, lzx: 0x40000, lzms: 0x80000 }
const METADATA = 2
const COMPRESSED = 4
const SOLID = 0x10
/** The size that an entry of the blob table has if it is a solid resource. */
const SOLID_MARK = 0x1_0000_0000
const LIMITS = { none: [0, 0], xpress: [4096, 65536], lzx: [32768, 2 ** 21], lzms: [32768, 2 ** 30] } as const

export function fail(what: string): never {
  throw new Error(`strict WIM: ${what}`)
}

export function check(claim: boolean, what: string): asserts claim {
  if (!claim) fail(what)
}

interface Resource {
  readonly size: number
  readonly flags: number
  readonly offset: number
  readonly original: number
}

interface Part {
  readonly bytes: Buffer
  readonly header: Header
  readonly ranges: Ranges
}

type Header = ReturnType<typeof parseHeader>

/** Byte ranges, each of which belongs to one thing. */
class Ranges {
  readonly #list: (readonly [from: number, to: number, what: string])[] = []

  add(from: number, size: number, what: string): void {
    if (size > 0) this.#list.push([from, from + size, what])
  }

  /** Number of bytes up to `end` that belong to nothing. Throws if two overlap. */
  unused(end: number): number {
    const sorted = this.#list.toSorted(([a], [b]) => a - b)
    let [at, unused, before] = [0, 0, 'the beginning']
    for (const [from, to, what] of [...sorted, [end, end, 'the end'] as const]) {
      check(from >= at, `${what} at ${from} overlaps ${before}, which ends at ${at}`)
      unused += from - at
      at = to
      before = what
    }
    return unused
  }
}

/** Reads a WIM of one file, or all parts of a split one. Throws for the first thing that is not as it must be. */
export function readStrictWim(...paths: readonly string[]): StrictWim {
  const parts = paths.map(readPart)
  const [first] = parts
  check(first !== undefined, 'no part')
  checkParts(parts)
  const { header } = first
  const blobs = new Map<string, Buffer>()
  const references = new Map<string, number>()
  const metadata: Buffer[] = []
  let solid = false
  for (const part of parts) {
    const found = readTable(part)
    solid ||= found.solid
    metadata.push(...found.metadata)
    for (const { hash, bytes, count } of found.blobs) {
      check(!blobs.has(hash), `the blob ${hash} is there twice`)
      blobs.set(hash, bytes)
      references.set(hash, count)
    }
  }
  check(metadata.length === header.images, `${metadata.length} metadata resources of ${header.images} images`)
  const images = metadata.map(bytes => readStrictImage(bytes, blobs))
  const counted = new Map<string, number>()
  for (const { references: own } of images)
    for (const [hash, count] of own) counted.set(hash, count + (counted.get(hash) ?? 0))
  for (const [hash, count] of references)
    check(counted.get(hash) === count, `the blob ${hash} has ${count} references, but ${counted.get(hash) ?? 0} files`)
  const xml = readXml(parts, images)
  const unused = parts.reduce((sum, { ranges, bytes }) => sum + ranges.unused(bytes.length), 0)
  const { compression, chunkSize, guid, flags } = header
  return {
    ...{ compression, chunkSize, guid, solid, images, blobs, xml, unused },
    pipable: header.pipable,
    rpfix: (flags & FLAGS.rpfix) !== 0,
  }
}

function readPart(path: string): Part {
  const bytes = readFileSync(path)
  const ranges = new Ranges()
  check(bytes.length >= HEADER, `${bytes.length} bytes are too few for a header`)
  const front = parseHeader(bytes.subarray(0, HEADER))
  ranges.add(0, HEADER, 'the header')
  if (!front.pipable) return { bytes, header: front, ranges }
  const end = bytes.length - HEADER
  ranges.add(end, HEADER, 'the header at the end')
  const header = parseHeader(bytes.subarray(end))
  for (const key of ['flags', 'chunkSize', 'guid', 'part', 'parts', 'images'] as const)
    check(front[key] === header[key], `the headers at the beginning and the end differ in ${key}`)
  // For a reader of a pipe, the XML is there right after the header, too, when TOTALBYTES is not known yet
  const size = Number(bytes.readBigUInt64LE(HEADER + 8))
  checkPipeHeader(bytes, HEADER + PIPE_HEADER, size)
  const described = (from: number, length: number): string =>
    imagesIn(bytes.toString('utf16le', from, from + length)).join('')
  const late = described(header.xml.offset, header.xml.original)
  check(described(HEADER + PIPE_HEADER, size) === late, 'the XML is not the same at both ends')
  ranges.add(HEADER, PIPE_HEADER + size, 'the XML at the beginning')
  return { bytes, header, ranges }
}

function parseHeader(bytes: Buffer) {
  const magic = bytes.toString('latin1', 0, 8)
  check(magic === 'MSWIM\0\0\0' || magic === 'WLPWM\0\0\0', `the magic is ${JSON.stringify(magic)}`)
  check(bytes.readUInt32LE(8) === HEADER, 'the header has another size')
  const [version, flags, chunkSize] = [12, 16, 20].map(at => bytes.readUInt32LE(at)) as [number, number, number]
  const known = Object.values(FLAGS).reduce((all, flag) => all | flag)
  check((flags & ~known) === 0, `flags 0x${flags.toString(16)}, of which some are unknown`)
  const codecs = (['xpress', 'lzx', 'lzms'] as const).filter(name => (flags & FLAGS[name]) !== 0)
  check(codecs.length === ((flags & FLAGS.compressed) === 0 ? 0 : 1), 'not one kind of compression')
  const compression: StrictWim['compression'] = codecs[0] ?? 'none'
  check(version === 0x10d00 || version === 0xe00, `version 0x${version.toString(16)}`)
  const [least, most] = LIMITS[compression]
  check(chunkSize >= least && chunkSize <= most, `chunks of ${chunkSize} bytes with ${compression}`)
  check((chunkSize & (chunkSize - 1)) === 0, `chunks of ${chunkSize} bytes`)
  check(
    bytes.subarray(0x94).every(byte => byte === 0),
    'the unused bytes of the header are not zero',
  )
  return {
    ...{ version, flags, chunkSize, compression, pipable: magic.startsWith('WLP') },
    guid: bytes.toString('hex', 24, 40),
    part: bytes.readUInt16LE(40),
    parts: bytes.readUInt16LE(42),
    images: bytes.readUInt32LE(44),
    table: resourceAt(bytes, 48),
    xml: resourceAt(bytes, 72),
    boot: resourceAt(bytes, 96),
    bootIndex: bytes.readUInt32LE(120),
    integrity: resourceAt(bytes, 124),
  }
}

function resourceAt(bytes: Buffer, at: number): Resource {
  const [offset, original] = [at + 8, at + 16].map(place => Number(bytes.readBigUInt64LE(place))) as [number, number]
  return {
    size: bytes.readUIntLE(at, 6) + bytes.readUInt8(at + 6) * 2 ** 48,
    flags: bytes.readUInt8(at + 7),
    offset,
    original,
  }
}

function isNothing(resource: Resource): boolean {
  return Object.values(resource).every(value => value === 0)
}

function checkParts(parts: readonly Part[]): void {
  for (const [n, { header }] of parts.entries()) {
    check(header.part === n + 1 && header.parts === parts.length, `part ${header.part} of ${header.parts}`)
    for (const { flags } of [header.table, header.xml, header.integrity])
      check((flags & ~METADATA) === 0, `part ${n + 1}: a table with flags ${flags}`)
    check(header.guid === parts[0]?.header.guid, `part ${n + 1} has another GUID`)
    check(header.images === parts[0].header.images, `part ${n + 1} has another number of images`)
    check(((header.flags & FLAGS.spanned) !== 0) === parts.length > 1, `part ${n + 1} is wrong about being a part`)
    check(header.bootIndex <= header.images, `image ${header.bootIndex} boots, of ${header.images}`)
  }
}

interface Table {
  readonly metadata: readonly Buffer[]
  readonly blobs: readonly { readonly hash: string; readonly bytes: Buffer; readonly count: number }[]
  readonly solid: boolean
}

/** Reads the blob table of a part, and everything that it lists. */
function readTable(part: Part): Table {
  const { header } = part
  const table = readResource(part, header.table, 'the blob table')
  check(table.length % 50 === 0, `a blob table of ${table.length} bytes`)
  const metadata: Buffer[] = []
  const blobs: { hash: string; bytes: Buffer; count: number }[] = []
  let run: { pieces: Buffer[]; next: number } | undefined
  const endRun = (): void => {
    if (run) check(run.next === Buffer.concat(run.pieces).length, 'a solid resource that its blobs do not fill')
    run = undefined
  }
  let solid = false
  for (let at = 0; at < table.length; at += 50) {
    const resource = resourceAt(table, at)
    const count = table.readUInt32LE(at + 26)
    const hash = table.toString('hex', at + 30, at + 50)
    check(table.readUInt16LE(at + 24) === header.part, `an entry of part ${table.readUInt16LE(at + 24)}`)
    check((resource.flags & ~(METADATA | COMPRESSED | SOLID)) === 0, `a resource with flags ${resource.flags}`)
    if ((resource.flags & SOLID) !== 0) {
      solid = true
      if (resource.original === SOLID_MARK) {
        if (run && run.next > 0) endRun()
        run ??= { pieces: [], next: 0 }
        run.pieces.push(readSolid(part, resource))
        continue
      }
      check(run !== undefined, 'a blob in a solid resource that is not there')
      const whole = run.pieces.length === 1 ? (run.pieces[0] as Buffer) : Buffer.concat(run.pieces) // it has one
      check(resource.offset === run.next, `a blob at ${resource.offset} of a solid resource, expected at ${run.next}`)
      run.next += resource.size
      blobs.push({ hash, count, bytes: verified(whole.subarray(resource.offset, run.next), resource.size, hash) })
      continue
    }
    endRun()
    const bytes = readResource(part, resource, `the resource ${hash}`, hash)
    verified(bytes, resource.original, hash)
    if ((resource.flags & METADATA) === 0) {
      blobs.push({ hash, bytes, count })
      continue
    }
    check(count === 1, `metadata with ${count} references`)
    metadata.push(bytes)
    if (metadata.length === header.bootIndex)
      check(header.boot.offset === resource.offset && header.boot.size === resource.size, 'another image boots')
  }
  endRun()
  if (header.bootIndex === 0) check(isNothing(header.boot), 'no image boots, and yet one')
  return { metadata, blobs, solid }
}

function verified(bytes: Buffer, size: number, hash: string): Buffer {
  check(bytes.length === size && size > 0, `${bytes.length} bytes instead of ${size} of ${hash}`)
  const found = createHash('sha1').update(bytes).digest('hex')
  check(found === hash, `content with SHA-1 ${found} instead of ${hash}`)
  return bytes
}

function decoderOf(compression: string, chunkSize: number): ChunkDecoder {
  if (compression === 'xpress') return decodeXpress
  if (compression === 'lzx') return lzxDecoder(chunkSize)
  return compression === 'lzms' ? decodeLzms : fail(`compressed with ${compression}`)
}

/** The content of a resource that is not solid. */
function readResource(part: Part, resource: Resource, what: string, hash?: string): Buffer {
  const { bytes, header, ranges } = part
  const { size, flags, offset, original } = resource
  check(offset + size <= bytes.length, `${what} is beyond the end of the file`)
  ranges.add(offset, size, what)
  const stored = bytes.subarray(offset, offset + size)
  if (header.pipable) {
    checkPipeHeader(bytes, offset, original, hash, hash === undefined ? undefined : flags & METADATA)
    ranges.add(offset - PIPE_HEADER, PIPE_HEADER, `the head of ${what}`)
  }
  if ((flags & COMPRESSED) === 0) {
    check(size === original, `${what} has ${size} bytes instead of ${original}`)
    return stored
  }
  const { chunkSize } = header
  const count = Math.ceil(original / chunkSize)
  const width = original > 0xffffffff ? 8 : 4
  const tableSize = (count - 1) * width
  const table = header.pipable ? stored.subarray(size - tableSize) : stored.subarray(0, tableSize)
  const data = header.pipable ? stored.subarray(0, size - tableSize) : stored.subarray(tableSize)
  const start = (n: number): number =>
    n === 0 ? 0 : width === 8 ? Number(table.readBigUInt64LE(8 * (n - 1))) : table.readUInt32LE(4 * (n - 1))
  const prefix = header.pipable ? 4 : 0
  const sizes = Array.from({ length: count }, (_, n) =>
    n + 1 < count ? start(n + 1) - start(n) : data.length - prefix * count - start(n),
  )
  return readChunks(data, sizes, prefix, {
    decode: decoderOf(header.compression, chunkSize),
    chunkSize,
    original,
    what,
  })
}

interface Chunking {
  readonly decode: ChunkDecoder
  readonly chunkSize: number
  readonly original: number
  readonly what: string
}

function readChunks(data: Buffer, sizes: readonly number[], prefix: number, chunking: Chunking): Buffer {
  const { decode, chunkSize, original, what } = chunking
  let at = 0
  const chunks = sizes.map((stored, n) => {
    const size = Math.min(chunkSize, original - n * chunkSize)
    check(stored > 0 && stored <= size, `chunk ${n} of ${what} has ${stored} bytes for ${size}`)
    if (prefix > 0) check(data.readUInt32LE(at) === stored, `chunk ${n} of ${what} has another size before it`)
    const from = at + prefix
    at = from + stored
    check(at <= data.length, `chunk ${n} of ${what} ends after its resource`)
    const bytes = data.subarray(from, at)
    return stored === size ? bytes : decode(bytes, size)
  })
  check(at === data.length, `${data.length - at} bytes follow the last chunk of ${what}`)
  return Buffer.concat(chunks)
}

/** The content of a solid resource: size, chunk size and compression, the sizes of its chunks, then the chunks. */
function readSolid({ bytes, ranges }: Part, { size, offset }: Resource): Buffer {
  const what = `the solid resource at ${offset}`
  check(offset + size <= bytes.length && size >= 16, `${what} is beyond the end of the file`)
  ranges.add(offset, size, what)
  const stored = bytes.subarray(offset, offset + size)
  const original = Number(stored.readBigUInt64LE(0))
  const chunkSize = stored.readUInt32LE(8)
  const compression = ['none', 'xpress', 'lzx', 'lzms'][stored.readUInt32LE(12)] ?? fail(`${what} in another codec`)
  const count = Math.ceil(original / chunkSize)
  const sizes = Array.from({ length: count }, (_, n) => stored.readUInt32LE(16 + 4 * n))
  const chunking = { decode: decoderOf(compression, chunkSize), chunkSize, original, what }
  return readChunks(stored.subarray(16 + 4 * count), sizes, 0, chunking)
}

/** The head of a resource in a pipable WIM, before `offset`. */
function checkPipeHeader(bytes: Buffer, offset: number, size: number, hash?: string, flags?: number): void {
  const head = bytes.subarray(offset - PIPE_HEADER, offset)
  check(head.readBigUInt64LE(0) === 0x2b9b_9ba2_443d_b9d8n, `no head of a resource before ${offset}`)
  check(Number(head.readBigUInt64LE(8)) === size, `the head before ${offset} has another size`)
  if (hash !== undefined) check(head.toString('hex', 16, 36) === hash, `the head before ${offset} has another hash`)
  if (flags !== undefined)
    check((head.readUInt32LE(36) & METADATA) === flags, `the head before ${offset} has other flags`)
}

function readXml(parts: readonly Part[], images: readonly StrictImage[]): string {
  const texts = parts.map(part => {
    const bytes = readResource(part, part.header.xml, 'the XML')
    check(bytes.length % 2 === 0 && bytes.readUInt16LE(0) === 0xfeff, 'the XML is not UTF-16 with a byte order mark')
    checkIntegrity(part)
    return bytes.toString('utf16le', 2)
  })
  const [xml = ''] = texts
  const number = (text: string, name: string): number => Number(new RegExp(`<${name}>(\\d+)</${name}>`).exec(text)?.[1])
  const [only, ...others] = parts
  if (only && others.length === 0) {
    const before = xml.replace(/<IMAGE[\s>][^]*?<\/IMAGE>/g, '')
    const end = only.header.table.offset + only.header.table.size
    check(number(before, 'TOTALBYTES') === end, `TOTALBYTES ${number(before, 'TOTALBYTES')} instead of ${end}`)
  }
  const described = imagesIn(xml)
  check(described.length === images.length, `the XML has ${described.length} images`)
  for (const [n, text] of described.entries()) {
    check(text.includes(`INDEX="${n + 1}"`), `image ${n + 1} has another index in the XML`)
    const { counts } = images[n] as StrictImage // there are as many
    for (const [name, count] of Object.entries(counts))
      check(number(text, name) === count, `image ${n + 1}: ${name} is ${number(text, name)} instead of ${count}`)
  }
  return xml
}

function imagesIn(xml: string): string[] {
  return xml.match(/<IMAGE[\s>][^]*?<\/IMAGE>/g) ?? []
}

/** SHA-1s of pieces of the file, from the header to the end of the blob table. */
function checkIntegrity({ bytes, header, ranges }: Part): void {
  const { size, offset } = header.integrity
  if (size === 0) {
    check(isNothing(header.integrity), 'an integrity table without bytes')
    return
  }
  ranges.add(offset, size, 'the integrity table')
  const table = bytes.subarray(offset, offset + size)
  const [own, count, piece] = [0, 4, 8].map(at => table.readUInt32LE(at)) as [number, number, number]
  const end = header.table.offset + header.table.size
  check(own === size && size === 12 + 20 * count, `an integrity table of ${size} bytes`)
  check(count === Math.ceil((end - HEADER) / piece), `${count} hashes of ${end - HEADER} bytes`)
  for (let n = 0; n < count; n += 1) {
    const from = HEADER + n * piece
    const found = createHash('sha1')
      .update(bytes.subarray(from, Math.min(from + piece, end)))
      .digest('hex')
    check(found === table.toString('hex', 12 + 20 * n, 32 + 20 * n), `piece ${n} of the file has another SHA-1`)
  }
}
