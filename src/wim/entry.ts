/** Decodes the lists of dentries and blobs that libwim gives, from the records of `native/wim/entries.cc`. */

/**
 * Where and how a WIM stores a blob. Source: `struct wimlib_resource_entry` of wimlib.h. Sizes and offsets are in
 * bytes.
 */
export interface Resource {
  /** 40 hex digits; all zero for the blob of an empty file, or one that has not been hashed yet. */
  readonly sha1: string
  /** Uncompressed. */
  readonly size: number
  /** Size in the file; 0 in a solid resource. */
  readonly compressedSize: number
  /** Offset in the file, or in the decompressed solid resource. */
  readonly offset: number
  readonly partNumber: number
  readonly references: number
  readonly compressed: boolean
  readonly metadata: boolean
  readonly free: boolean
  readonly spanned: boolean
  /** Whether the WIM does not contain it. */
  readonly missing: boolean
  readonly solid: boolean
  /** Offset and sizes of the resource that contains the blob: its own, or the solid resource. */
  readonly resourceOffset: number
  readonly resourceCompressedSize: number
  readonly resourceSize: number
}

export interface EntryStream {
  /** Empty for the unnamed stream, which comes first. */
  readonly name: string
  readonly resource: Resource
}

/** A file or directory of an image. Source: `struct wimlib_dir_entry` of wimlib.h. */
export interface DirectoryEntry {
  /** From the root of the image, with slashes: `/Windows/System32`. A name may itself contain a slash; see `name`. */
  readonly path: string
  /** UTF-16 as in the WIM, possibly with unpaired surrogates; empty for the root. */
  readonly name: string
  /** The 8.3 name, or empty. */
  readonly shortName: string
  /** 0 for the root. */
  readonly depth: number
  /** FILE_ATTRIBUTE_*. */
  readonly attributes: number
  /** IO_REPARSE_TAG_*, or 0. */
  readonly reparseTag: number
  /** Number of names that the file has in the image. */
  readonly linkCount: number
  /** The same number for all names of one file. */
  readonly hardLinkGroup: bigint
  /** FILETIMEs: 100 ns since 1601-01-01 UTC. */
  readonly creationTime: bigint
  readonly writeTime: bigint
  readonly accessTime: bigint
  /** A self-relative SECURITY_DESCRIPTOR. */
  readonly security: Buffer | undefined
  readonly unix: UnixData | undefined
  /** Object, birth volume, birth object and domain id, 16 bytes each. */
  readonly objectId: Buffer | undefined
  /** The unnamed data, reparse or encrypted stream first, then the named ones. */
  readonly streams: readonly EntryStream[]
}

/** The data that `--unix-data` stores. */
export interface UnixData {
  readonly uid: number
  readonly gid: number
  readonly mode: number
  readonly rdev: number
}

/** The addon's output for a tree. */
export interface PackedEntries {
  readonly batches: readonly Buffer[]
  readonly security: readonly Buffer[]
}

const FIXED = 72
const RESOURCE = 80
const NO_SECURITY = 0xffffffff
const LATIN1 = 1
const UNIX = 2
const OBJECT_ID = 4

export function* unpackEntries({ batches, security }: PackedEntries): Generator<readonly DirectoryEntry[]> {
  for (const batch of batches) yield unpackBatch(batch, security)
}

function unpackBatch(batch: Buffer, security: readonly Buffer[]): DirectoryEntry[] {
  const entries: DirectoryEntry[] = []
  let at = 0
  while (at < batch.length) {
    const flags = batch.readUInt32LE(at)
    const pathSize = batch.readUInt32LE(at + 4)
    const nameLength = batch.readUInt32LE(at + 8)
    const shortSize = batch.readUInt32LE(at + 12)
    const depth = batch.readUInt32LE(at + 16)
    const attributes = batch.readUInt32LE(at + 20)
    const reparseTag = batch.readUInt32LE(at + 24)
    const linkCount = batch.readUInt32LE(at + 28)
    const hardLinkGroup = batch.readBigUInt64LE(at + 32)
    const creationTime = batch.readBigUInt64LE(at + 40)
    const writeTime = batch.readBigUInt64LE(at + 48)
    const accessTime = batch.readBigUInt64LE(at + 56)
    const securityIndex = batch.readUInt32LE(at + 64)
    const streamCount = batch.readUInt32LE(at + 68)
    at += FIXED
    const path = batch.toString(flags & LATIN1 ? 'latin1' : 'utf16le', at, at + pathSize)
    at += pathSize
    const shortName = shortSize === 0 ? '' : batch.toString('utf16le', at, at + shortSize)
    at += shortSize
    let unix: UnixData | undefined
    if (flags & UNIX) {
      const number = (n: number): number => batch.readUInt32LE(at + 4 * n)
      unix = { uid: number(0), gid: number(1), mode: number(2), rdev: number(3) }
      at += 16
    }
    let objectId: Buffer | undefined
    if (flags & OBJECT_ID) {
      objectId = batch.subarray(at, at + 64)
      at += 64
    }
    const streams: EntryStream[] = []
    for (let n = 0; n < streamCount; n += 1) {
      const nameSize = batch.readUInt32LE(at)
      const resource = unpackResource(batch, at + 4)
      at += 4 + RESOURCE
      streams.push({ name: nameSize === 0 ? '' : batch.toString('utf16le', at, at + nameSize), resource })
      at += nameSize
    }
    entries.push({
      path,
      name: nameLength === 0 ? '' : path.slice(-nameLength),
      shortName,
      depth,
      attributes,
      reparseTag,
      linkCount,
      hardLinkGroup,
      creationTime,
      writeTime,
      accessTime,
      security: securityIndex === NO_SECURITY ? undefined : security[securityIndex],
      unix,
      objectId,
      streams,
    })
  }
  return entries
}

/** Decodes the blobs of a WIM. */
export function unpackResources(records: Buffer): Resource[] {
  const resources: Resource[] = []
  for (let at = 0; at < records.length; at += RESOURCE) resources.push(unpackResource(records, at))
  return resources
}

function unpackResource(bytes: Buffer, at: number): Resource {
  const flags = bytes.readUInt32LE(at)
  const size = (offset: number): number =>
    bytes.readUInt32LE(at + offset) + bytes.readUInt32LE(at + offset + 4) * 0x100000000
  return {
    sha1: bytes.toString('hex', at + 12, at + 32),
    size: size(32),
    compressedSize: size(40),
    offset: size(48),
    partNumber: bytes.readUInt32LE(at + 4),
    references: bytes.readUInt32LE(at + 8),
    compressed: (flags & 1) !== 0,
    metadata: (flags & 2) !== 0,
    free: (flags & 4) !== 0,
    spanned: (flags & 8) !== 0,
    missing: (flags & 16) !== 0,
    solid: (flags & 32) !== 0,
    resourceOffset: size(56),
    resourceCompressedSize: size(64),
    resourceSize: size(72),
  }
}
