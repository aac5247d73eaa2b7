/** Decodes the batches of dentries of a WIM image that the addon produces. */
import type { NativeWimFile } from './addon.js'
import { nativeError } from './binding.js'

/** One stream of a file: its data, a named (alternate) data stream, or a reparse point's data. */
export interface Stream {
  readonly type: 'data' | 'reparse' | 'encrypted'
  /** Empty for the unnamed stream. */
  readonly name: string
  /** Index of its blob in the WIM; undefined for an empty stream, -1 if the WIM does not contain the blob. */
  readonly blob: number | undefined
  /** SHA-1 of the content in 40 hex digits, only if the WIM does not contain the blob. */
  readonly sha1: string | undefined
}

/** The fields of a dentry that describe its file, not its name. Source: Microsoft's WIM white paper, "Metadata". */
export interface FileFields {
  /** FILE_ATTRIBUTE_*. */
  readonly attributes: number
  /** Index into the security descriptors of the image, or -1. */
  readonly security: number
  readonly reparseTag: number
  readonly reparseFlags: number
  /** FILETIMEs: 100 ns since 1601-01-01 UTC. */
  readonly creationTime: bigint
  readonly accessTime: bigint
  readonly writeTime: bigint
  /** Packed as in the WIM; empty if there are none. The same goes for the next two. */
  readonly extendedAttributes: Buffer
  readonly objectId: Buffer
  /** uid, gid, mode and rdev as wimlib's `--unix-data` stores them. */
  readonly unixData: Buffer
}

/** A dentry: a name in the tree of an image. */
export interface Dentry extends FileFields {
  /** Position among all dentries of the image. */
  readonly index: number
  /** Position of its directory; undefined for the root. Parents come before their children. */
  readonly parent: number | undefined
  /** UTF-16 as in the WIM, possibly with unpaired surrogates; empty for the root. */
  readonly name: string
  /** The 8.3 name, or empty. */
  readonly shortName: string
  /** 0n, or a number that all names of one file share. */
  readonly linkGroup: bigint
  readonly streams: readonly Stream[]
  /** Whether the upper 32 bits of all three times are from `low` to `high`: faster than the times themselves. */
  timesWithin(low: number, high: number): boolean
}

/** The metadata of one image. */
export interface Metadata {
  /** Self-relative SECURITY_DESCRIPTORs. */
  readonly security: readonly Buffer[]
  /** Parents before children, and the children of a directory together. They can be iterated once. */
  readonly dentries: Iterable<Dentry>
}

const FIXED = 76
/** Number of fields of variable size: name, short name, extended attributes, object ID and Unix data. */
const VARIABLE = 5
/** Index of the first of their sizes among the 32-bit numbers of the fixed part. */
const SIZES = 14
/** Index of the upper half of the first time among those numbers. */
const TIME_HIGH = 9
const STREAM_FIXED = 32
const NO_PARENT = 0xffffffff
const EMPTY_STREAM = 0xffffffff
const MISSING_BLOB = 0xfffffffe
const STREAM_TYPES = ['data', 'reparse', 'encrypted'] as const
const NOTHING = Buffer.alloc(0)

/** Decodes a batch of `native/dentry_reader.cc`. Its first dentry has position `first`. */
function decodeDentries(batch: Buffer, first: number): Dentry[] {
  const dentries: Dentry[] = []
  for (let at = 0; at < batch.length;) {
    const dentry = new PackedDentry(batch, at, first + dentries.length)
    dentries.push(dentry)
    at = dentry.end
  }
  return dentries
}

/** A dentry whose fields are decoded on access: there may be a million dentries, and few need all fields. */
class PackedDentry implements Dentry {
  readonly index: number
  readonly #batch: Buffer
  readonly #at: number

  constructor(batch: Buffer, at: number, index: number) {
    this.#batch = batch
    this.#at = at
    this.index = index
  }

  get parent(): number | undefined {
    const parent = this.#u32(0)
    return parent === NO_PARENT ? undefined : parent
  }

  get attributes(): number {
    return this.#u32(1)
  }

  get security(): number {
    return this.#batch.readInt32LE(this.#at + 8)
  }

  get reparseTag(): number {
    return this.#u32(3)
  }

  get reparseFlags(): number {
    return this.#u32(4)
  }

  get linkGroup(): bigint {
    return this.#batch.readBigUInt64LE(this.#at + 24)
  }

  get creationTime(): bigint {
    return this.#batch.readBigUInt64LE(this.#at + 32)
  }

  get accessTime(): bigint {
    return this.#batch.readBigUInt64LE(this.#at + 40)
  }

  get writeTime(): bigint {
    return this.#batch.readBigUInt64LE(this.#at + 48)
  }

  timesWithin(low: number, high: number): boolean {
    for (let n = TIME_HIGH; n < TIME_HIGH + 6; n += 2) {
      const word = this.#u32(n)
      if (word < low || word > high) return false
    }
    return true
  }

  get name(): string {
    const [from, to] = this.#place(0)
    return this.#batch.toString('utf16le', from, to)
  }

  get shortName(): string {
    const [from, to] = this.#place(1)
    return this.#batch.toString('utf16le', from, to)
  }

  get extendedAttributes(): Buffer {
    return this.#bytes(2)
  }

  get objectId(): Buffer {
    return this.#bytes(3)
  }

  get unixData(): Buffer {
    return this.#bytes(4)
  }

  get streams(): readonly Stream[] {
    const streams: Stream[] = []
    let [at] = this.#place(VARIABLE)
    for (let n = this.#u32(5); n > 0; n -= 1) {
      const blob = this.#batch.readUInt32LE(at + 4)
      const end = at + STREAM_FIXED + this.#batch.readUInt32LE(at + 8)
      streams.push({
        type: STREAM_TYPES[this.#batch.readUInt32LE(at)] ?? 'data',
        name: this.#batch.toString('utf16le', at + STREAM_FIXED, end),
        blob: blob === EMPTY_STREAM ? undefined : blob === MISSING_BLOB ? -1 : blob,
        sha1: blob === MISSING_BLOB ? this.#batch.toString('hex', at + 12, at + STREAM_FIXED) : undefined,
      })
      at = end
    }
    return streams
  }

  /** Offset of the next dentry. */
  get end(): number {
    let [at] = this.#place(VARIABLE)
    for (let n = this.#u32(5); n > 0; n -= 1) at += STREAM_FIXED + this.#batch.readUInt32LE(at + 8)
    return at
  }

  #u32(n: number): number {
    return this.#batch.readUInt32LE(this.#at + 4 * n)
  }

  /** Start and end of a field of variable size, by its number. */
  #place(number: number): readonly [from: number, to: number] {
    let from = this.#at + FIXED
    for (let n = 0; n < number; n += 1) from += this.#u32(SIZES + n)
    return [from, number < VARIABLE ? from + this.#u32(SIZES + number) : from]
  }

  #bytes(number: number): Buffer {
    const [from, to] = this.#place(number)
    return from === to ? NOTHING : this.#batch.subarray(from, to)
  }
}

const BATCH = 2048

/** Reads and checks the metadata of image `index` (from 1). Throws WIM_CORRUPT naming `name`. */
export async function readMetadata(native: NativeWimFile, name: string, index: number): Promise<Metadata> {
  try {
    const reader = await native.readMetadata(index)
    function* dentries(): Iterable<Dentry> {
      let first = 0
      for (let batch = reader.next(BATCH); batch; batch = reader.next(BATCH)) {
        const decoded = decodeDentries(batch, first)
        first += decoded.length
        yield* decoded
      }
    }
    return { security: reader.security(), dentries: dentries() }
  } catch (error) {
    throw nativeError(error, name)
  }
}
