/**
 * The packets of PAR2 files. Format: Parity Volume Set Specification 2.0 (Michael Nahas and others, 2003); numbers are
 * little-endian.
 */
import { createHash } from 'node:crypto'
import { StowageError } from '../errors.js'

/** Begins every packet. */
export const MAGIC: Buffer = Buffer.from('PAR2\0PKT', 'latin1')
/** Magic, length, MD5 of what follows it, ID of the set, type. */
export const PACKET_HEAD = 64
const HASHED_FROM = 32
const HASH = 16
/** MD5 and CRC32 of an input block. */
export const SUM = HASH + 4
/** As many input blocks as the format can number, and as many recovery blocks. */
export const MOST_BLOCKS = 32768
export const MOST_RECOVERY = 65535
/** Bytes of a file that its ID depends on. */
export const HEAD_SIZE = 16384

const TYPES = {
  main: 'PAR 2.0\0Main\0\0\0\0',
  description: 'PAR 2.0\0FileDesc',
  checksums: 'PAR 2.0\0IFSC\0\0\0\0',
  recovery: 'PAR 2.0\0RecvSlic',
  creator: 'PAR 2.0\0Creator\0',
} as const
export type PacketType = keyof typeof TYPES

/** Bytes of the longest packet of each type that {@link readHead} accepts. */
const LONGEST: Readonly<Record<PacketType, number>> = {
  main: PACKET_HEAD + 12 + 2 * MOST_BLOCKS * HASH,
  description: PACKET_HEAD + 56 + 4096,
  checksums: PACKET_HEAD + HASH + MOST_BLOCKS * SUM,
  recovery: Number.MAX_SAFE_INTEGER,
  creator: 65536,
}

export interface PacketHead {
  readonly type: PacketType
  /** Of the packet with its head, in bytes. */
  readonly length: number
  readonly md5: Buffer
  readonly setId: Buffer
}

/** What a description packet says of a file. */
export interface FileDescription {
  readonly id: Buffer
  /** Relative, with `/`; not checked. */
  readonly name: string
  readonly size: number
  /** MD5 of the file, and of its first {@link HEAD_SIZE} bytes. */
  readonly md5: Buffer
  readonly headMd5: Buffer
}

/** What a main packet says. */
export interface MainPacket {
  readonly blockSize: number
  /** IDs of the files whose blocks are numbered, in that order. */
  readonly files: readonly Buffer[]
}

/** A whole packet. */
export function encodePacket(setId: Buffer, type: PacketType, body: Buffer): Buffer {
  const hashed = Buffer.concat([setId, Buffer.from(TYPES[type], 'latin1'), body])
  return Buffer.concat([packetStart(HASHED_FROM + hashed.length, md5Of(hashed)), hashed])
}

/** What precedes the content of a recovery packet whose MD5, of all from the ID of the set on, is `md5`. */
export function recoveryHead(setId: Buffer, exponent: number, blockSize: number, md5: Buffer): Buffer {
  return Buffer.concat([packetStart(RECOVERY_HEAD + blockSize, md5), hashedHead(setId, 'recovery'), uint32(exponent)])
}

/** Bytes of a recovery packet before its block. */
export const RECOVERY_HEAD = PACKET_HEAD + 4

/** What the MD5 of a packet begins with: the ID of the set and the type. */
export function hashedHead(setId: Buffer, type: PacketType): Buffer {
  return Buffer.concat([setId, Buffer.from(TYPES[type], 'latin1')])
}

function packetStart(length: number, md5: Buffer): Buffer {
  return Buffer.concat([MAGIC, uint64(length), md5])
}

/** The head of the packet that `bytes` begin with; undefined if they begin with none that can be one. */
export function readHead(bytes: Buffer): PacketHead | undefined {
  if (bytes.length < PACKET_HEAD || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined
  const name = bytes.toString('latin1', 48, PACKET_HEAD)
  const type = (Object.keys(TYPES) as PacketType[]).find(each => TYPES[each] === name) // the keys of a constant
  const length = safeNumber(bytes, 8)
  if (!type || length === undefined || length % 4 !== 0 || length < PACKET_HEAD || length > LONGEST[type])
    return undefined
  return { type, length, md5: Buffer.from(bytes.subarray(16, 32)), setId: Buffer.from(bytes.subarray(32, 48)) }
}

/** Whether `packet`, with its head, has the MD5 that the head says. */
export function isWhole(packet: Buffer, head: PacketHead): boolean {
  return md5Of(packet.subarray(HASHED_FROM)).equals(head.md5)
}

export function encodeMain({ blockSize, files }: MainPacket): Buffer {
  return Buffer.concat([uint64(blockSize), uint32(files.length), ...files])
}

/** The ID of a set: the MD5 of the body of its main packet. */
export function setIdOf(main: Buffer): Buffer {
  return md5Of(main)
}

/** Throws BUNDLE_INVALID for numbers that no program writes. */
export function parseMain(body: Buffer): MainPacket {
  const blockSize = body.length < 12 ? undefined : safeNumber(body, 0)
  const count = body.length < 12 ? 0 : body.readUInt32LE(8)
  if (blockSize === undefined || blockSize === 0 || blockSize % 4 !== 0)
    throw unusable(`its block size is ${blockSize ?? 'not a number'}`)
  if (count > MOST_BLOCKS || 12 + count * HASH > body.length) throw unusable(`it claims ${count} files`)
  const files = Array.from({ length: count }, (_, n) => body.subarray(12 + n * HASH, 12 + (n + 1) * HASH))
  return { blockSize, files }
}

/** The ID of a file. `name` is UTF-8, which the specification's ASCII is part of. */
export function fileId(headMd5: Buffer, size: number, name: string): Buffer {
  return md5Of(Buffer.concat([headMd5, uint64(size), Buffer.from(name)]))
}

export function encodeDescription({ id, name, size, md5, headMd5 }: FileDescription): Buffer {
  const bytes = Buffer.from(name)
  const padding = Buffer.alloc((4 - (bytes.length % 4)) % 4)
  return Buffer.concat([id, md5, headMd5, uint64(size), bytes, padding])
}

/** Undefined if the body is not a description: too short, or of another ID than its content has. */
export function parseDescription(body: Buffer): FileDescription | undefined {
  const size = body.length <= 56 ? undefined : safeNumber(body, 48)
  if (size === undefined) return undefined
  let end = body.length
  while (end > 56 && body[end - 1] === 0) end -= 1
  const name = body.toString('utf8', 56, end)
  const [id, md5, headMd5] = [body.subarray(0, 16), body.subarray(16, 32), body.subarray(32, 48)]
  return fileId(headMd5, size, name).equals(id) ? { id, name, size, md5, headMd5 } : undefined
}

/** `sums` has {@link SUM} bytes for each block of the file `id`. */
export function encodeBlockSums(id: Buffer, sums: Buffer): Buffer {
  return Buffer.concat([id, sums])
}

export function parseBlockSums(body: Buffer): { readonly id: Buffer; readonly sums: Buffer } | undefined {
  if (body.length < HASH || (body.length - HASH) % SUM !== 0) return undefined
  return { id: body.subarray(0, HASH), sums: body.subarray(HASH) }
}

/** The text, padded with zeros. */
export function encodeCreator(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)])
}

/** The order of IDs in a main packet: that of 16-byte little-endian numbers. */
export function compareIds(a: Buffer, b: Buffer): number {
  return Buffer.from(a).reverse().compare(Buffer.from(b).reverse())
}

export function md5Of(bytes: Uint8Array): Buffer {
  return createHash('md5').update(bytes).digest()
}

/** Recovery data that cannot be used. */
export function unusable(reason: string): StowageError {
  return new StowageError('BUNDLE_INVALID', `the recovery data cannot be used: ${reason}`, {
    hint: 'Copy it again from where the bundle was made, or, if the bundle is intact, make it anew: stowage protect.',
  })
}

function safeNumber(bytes: Buffer, at: number): number | undefined {
  const number = bytes.readBigUInt64LE(at)
  return number <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(number) : undefined
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
