/** Dentries of a WIM image, as the addon hands them over in batches. */
import { nativeError, type NativeWimFile } from './binding.js'

export const FILE_ATTRIBUTE_DIRECTORY = 0x10
export const FILE_ATTRIBUTE_REPARSE_POINT = 0x400
export const FILE_ATTRIBUTE_ENCRYPTED = 0x4000

export const IO_REPARSE_TAG_SYMLINK = 0xa000000c
export const IO_REPARSE_TAG_MOUNT_POINT = 0xa0000003

/** One stream of a file: its data, a named (alternate) data stream, or a reparse point's data. */
export interface Stream {
  readonly type: 'data' | 'reparse' | 'encrypted'
  /** Empty for the unnamed stream. */
  readonly name: string
  /** Index of its blob in the WIM; undefined for an empty stream. -1: the WIM does not hold the blob. */
  readonly blob: number | undefined
  /** SHA-1 of the content, 40 hex digits, where the WIM does not hold the blob: else the blob has it. */
  readonly sha1: string | undefined
}

/** A name in the tree of an image. Source: Microsoft's WIM white paper, "Metadata". */
export interface Dentry {
  /** Position among all dentries of the image. */
  readonly index: number
  /** Position of the directory it stands in; undefined for the root. Parents come before their children. */
  readonly parent: number | undefined
  /** UTF-16 as in the WIM, lone surrogates and all; empty for the root. */
  readonly name: string
  /** The 8.3 name, or empty. */
  readonly shortName: string
  /** FILE_ATTRIBUTE_*. */
  readonly attributes: number
  /** Index into {@link Metadata.security}, or -1. */
  readonly security: number
  readonly reparseTag: number
  readonly reparseFlags: number
  /** 0n, or a number that all names of one file share. */
  readonly linkGroup: bigint
  /** FILETIMEs: 100 ns since 1601-01-01 UTC. */
  readonly creationTime: bigint
  readonly accessTime: bigint
  readonly writeTime: bigint
  /** Packed as in the WIM; empty when there are none. */
  readonly extendedAttributes: Buffer
  readonly objectId: Buffer
  /** uid, gid, mode and rdev as wimlib's `--unix-data` stores them, or empty. */
  readonly unixData: Buffer
  readonly streams: readonly Stream[]
}

/** The metadata of one image. */
export interface Metadata {
  /** Self-relative SECURITY_DESCRIPTORs. */
  readonly security: readonly Buffer[]
  /** In batches, parents before children, the children of a directory together. */
  readonly dentries: Iterable<readonly Dentry[]>
}

const FIXED = 76
const STREAM_FIXED = 32
const NO_PARENT = 0xffffffff
const EMPTY_STREAM = 0xffffffff
const MISSING_BLOB = 0xfffffffe
const STREAM_TYPES = ['data', 'reparse', 'encrypted'] as const
const NOTHING = Buffer.alloc(0)

/** Decodes a batch of `native/dentry_reader.cc`, whose first dentry has position `first`. */
function decodeDentries(batch: Buffer, first: number): Dentry[] {
  const dentries: Dentry[] = []
  let at = 0
  function take(size: number): Buffer {
    const bytes = size === 0 ? NOTHING : batch.subarray(at, at + size)
    at += size
    return bytes
  }
  while (at < batch.length) {
    const head = at
    const u32 = (n: number): number => batch.readUInt32LE(head + 4 * n)
    const streamCount = u32(5)
    at += FIXED
    const name = take(u32(14)).toString('utf16le')
    const shortName = take(u32(15)).toString('utf16le')
    const extendedAttributes = take(u32(16))
    const objectId = take(u32(17))
    const unixData = take(u32(18))
    const streams: Stream[] = []
    for (let n = 0; n < streamCount; n += 1) {
      const type = STREAM_TYPES[batch.readUInt32LE(at)] ?? 'data'
      const blob = batch.readUInt32LE(at + 4)
      const nameSize = batch.readUInt32LE(at + 8)
      const sha1 = blob === MISSING_BLOB ? batch.toString('hex', at + 12, at + STREAM_FIXED) : undefined
      at += STREAM_FIXED
      streams.push({
        type,
        name: take(nameSize).toString('utf16le'),
        blob: blob === EMPTY_STREAM ? undefined : blob === MISSING_BLOB ? -1 : blob,
        sha1,
      })
    }
    dentries.push({
      index: first + dentries.length,
      parent: u32(0) === NO_PARENT ? undefined : u32(0),
      name,
      shortName,
      attributes: u32(1),
      security: batch.readInt32LE(head + 8),
      reparseTag: u32(3),
      reparseFlags: u32(4),
      linkGroup: batch.readBigUInt64LE(head + 24),
      creationTime: batch.readBigUInt64LE(head + 32),
      accessTime: batch.readBigUInt64LE(head + 40),
      writeTime: batch.readBigUInt64LE(head + 48),
      extendedAttributes,
      objectId,
      unixData,
      streams,
    })
  }
  return dentries
}

const DENTRIES_AT_A_TIME = 2048

/** Reads and checks the metadata of image `index` (1-based). Throws WIM_CORRUPT naming `name`. */
export async function readMetadata(native: NativeWimFile, name: string, index: number): Promise<Metadata> {
  try {
    const reader = await native.readMetadata(index)
    function* dentries(): Iterable<readonly Dentry[]> {
      let first = 0
      for (let batch = reader.next(DENTRIES_AT_A_TIME); batch; batch = reader.next(DENTRIES_AT_A_TIME)) {
        const decoded = decodeDentries(batch, first)
        first += decoded.length
        yield decoded
      }
    }
    return { security: reader.security(), dentries: dentries() }
  } catch (error) {
    throw nativeError(error, name)
  }
}
