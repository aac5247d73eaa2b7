/**
 * Reads a registry hive: keys, values, security descriptors. Every offset and count is checked, because hives come from
 * layers. Source: Maxim Suhanov's Windows registry file format specification.
 */
import { StowageError } from '../../errors.js'
import { upcase } from '../upcase.js'
import { HIVE_HEAD, hiveFlaw } from '../registry-hive.js'

/** A key in a layer: how it combines with the key of the same name in the hive below. */
export const LAYER_MERGE = 0
export const LAYER_TOMBSTONE = 1
export const LAYER_SUPERSEDE_LOCAL = 2
export const LAYER_SUPERSEDE_TREE = 3

/** A key, without its values and subkeys. */
export interface HiveKey {
  readonly name: HiveName
  /** KEY_*: 0x04 for the root, 0x20 if the name is stored in bytes. */
  readonly flags: number
  /** FILETIME. */
  readonly time: bigint
  /** The bytes for virtualization and debugging, after the size of the largest name of a subkey. */
  readonly virtualization: number
  /** Self-relative SECURITY_DESCRIPTOR; undefined if it has none. */
  readonly security: Buffer | undefined
  readonly className: Buffer
  readonly layer: number
  readonly inheritsClass: boolean
  /** Where its node is, for {@link HiveReader.values} and {@link HiveReader.subkeys}. */
  readonly offset: number
}

/** The name of a key or a value. */
export interface HiveName {
  readonly bytes: Buffer
  /** Whether each byte is a character (Latin-1); otherwise, it is UTF-16. */
  readonly compressed: boolean
  /** In upper case, as Windows compares names. */
  readonly key: string
}

export interface HiveValue {
  readonly name: HiveName
  /** REG_*. */
  readonly type: number
  readonly data: Buffer
  /** Says that the value of the hive below is deleted. */
  readonly tombstone: boolean
}

const BASE_BLOCK = 4096
const NONE = 0xffffffff
const KEY_COMPRESSED = 0x20
const VALUE_COMPRESSED = 1
const VALUE_TOMBSTONE = 2
const INLINE = 0x8000_0000
const SEGMENT = 16_344
const NOTHING = Buffer.alloc(0)

export class HiveReader {
  readonly bytes: Buffer
  readonly #name: string
  readonly #end: number
  /** Nodes that have been read: in a valid hive, each has one parent. */
  readonly #seen = new Set<number>()

  /** Throws LAYER_CORRUPT, and LAYER_UNSUPPORTED for a hive that was not closed, whose changes are in its log. */
  constructor(bytes: Buffer, name: string) {
    this.bytes = bytes
    this.#name = name
    const flaw = hiveFlaw(bytes.subarray(0, HIVE_HEAD), bytes.length)
    if (flaw !== undefined) throw this.#corrupt(flaw)
    if (bytes.readUInt32LE(4) !== bytes.readUInt32LE(8)) {
      throw new StowageError('LAYER_UNSUPPORTED', `${name} was not closed: some of its changes are only in its log`, {
        hint: 'Commit the layer again after its containers have stopped.',
      })
    }
    const [major, minor] = [bytes.readUInt32LE(20), bytes.readUInt32LE(24)]
    if (major !== 1 || minor < 3 || minor > 6) {
      throw new StowageError('LAYER_UNSUPPORTED', `${name} is a hive of version ${major}.${minor}, not 1.3 to 1.6`)
    }
    this.#end = BASE_BLOCK + bytes.readUInt32LE(40)
    if (this.#end > bytes.length) throw this.#corrupt(`it ends at byte ${bytes.length}, before its ${this.#end} bytes`)
  }

  get root(): HiveKey {
    return this.#key(this.bytes.readUInt32LE(36))
  }

  /** In the order of the hive. */
  values({ offset }: HiveKey): HiveValue[] {
    const node = this.#cell(offset, 76)
    const count = node.readUInt32LE(36)
    if (count === 0) return []
    const list = this.#cell(node.readUInt32LE(40), 4 * count)
    return Array.from({ length: count }, (_, n) => this.#value(list.readUInt32LE(4 * n)))
  }

  subkeys({ offset }: HiveKey): HiveKey[] {
    const node = this.#cell(offset, 76)
    const count = node.readUInt32LE(20)
    if (count === 0) return []
    const keys = this.#listed(node.readUInt32LE(28), true).map(at => this.#key(at))
    if (keys.length !== count) throw this.#corrupt(`a key has ${keys.length} subkeys, but says ${count}`)
    return keys
  }

  /** The offsets of the keys in a list, which may be a list of lists. */
  #listed(offset: number, nested: boolean): number[] {
    const head = this.#cell(offset, 4)
    const signature = head.toString('latin1', 0, 2)
    const count = head.readUInt16LE(2)
    const size = signature === 'lf' || signature === 'lh' ? 8 : 4
    const list = this.#cell(offset, 4 + size * count)
    const offsets = Array.from({ length: count }, (_, n) => list.readUInt32LE(4 + size * n))
    if (signature === 'ri' && nested) return offsets.flatMap(at => this.#listed(at, false))
    if (/^l[fhi]$/.test(signature)) return offsets
    throw this.#corrupt(`a list of subkeys has the signature ${JSON.stringify(signature)}`)
  }

  #key(offset: number): HiveKey {
    if (this.#seen.has(offset)) throw this.#corrupt('a key has two parents')
    this.#seen.add(offset)
    const node = this.#signed(offset, 'nk', 76)
    const flags = node.readUInt16LE(2)
    const [nameSize, classSize] = [node.readUInt16LE(72), node.readUInt16LE(74)]
    const name = this.#cell(offset, 76 + nameSize).subarray(76, 76 + nameSize)
    const security = node.readUInt32LE(44)
    const classOffset = node.readUInt32LE(48)
    const layer = node.readUInt8(13)
    return {
      name: this.#named(name, (flags & KEY_COMPRESSED) !== 0),
      flags,
      time: node.readBigUInt64LE(4),
      virtualization: node.readUInt16LE(54),
      security: security === NONE ? undefined : this.#security(security),
      className:
        classSize === 0 || classOffset === NONE ? NOTHING : this.#cell(classOffset, classSize).subarray(0, classSize),
      layer: layer & 3,
      inheritsClass: (layer & 0x80) !== 0,
      offset,
    }
  }

  #value(offset: number): HiveValue {
    const value = this.#signed(offset, 'vk', 20)
    const nameSize = value.readUInt16LE(2)
    const flags = value.readUInt16LE(16)
    const name = this.#cell(offset, 20 + nameSize).subarray(20, 20 + nameSize)
    return {
      name: this.#named(name, (flags & VALUE_COMPRESSED) !== 0),
      type: value.readUInt32LE(12),
      data: this.#data(value),
      tombstone: (flags & VALUE_TOMBSTONE) !== 0,
    }
  }

  #data(value: Buffer): Buffer {
    const size = value.readUInt32LE(4)
    if (size >= INLINE) {
      const inline = size - INLINE
      if (inline > 4) throw this.#corrupt(`a value has ${inline} bytes in a field of 4`)
      return value.subarray(8, 8 + inline)
    }
    if (size === 0) return NOTHING
    const offset = value.readUInt32LE(8)
    const cell = this.#cell(offset, 0)
    const segmented = size > SEGMENT && cell.toString('latin1', 0, 2) === 'db' && this.bytes.readUInt32LE(24) > 3
    return segmented ? this.#segments(cell, size) : this.#cell(offset, size).subarray(0, size)
  }

  #segments(head: Buffer, size: number): Buffer {
    if (head.length < 8) throw this.#corrupt('a list of segments is too short')
    const count = head.readUInt16LE(2)
    if (count !== Math.ceil(size / SEGMENT)) throw this.#corrupt(`a value of ${size} bytes has ${count} segments`)
    const list = this.#cell(head.readUInt32LE(4), 4 * count)
    const pieces = Array.from({ length: count }, (_, n) => {
      const length = Math.min(SEGMENT, size - n * SEGMENT)
      return this.#cell(list.readUInt32LE(4 * n), length).subarray(0, length)
    })
    return Buffer.concat(pieces)
  }

  #security(offset: number): Buffer {
    const size = this.#signed(offset, 'sk', 20).readUInt32LE(16)
    return this.#cell(offset, 20 + size).subarray(20, 20 + size)
  }

  #named(bytes: Buffer, compressed: boolean): HiveName {
    if (!compressed && bytes.length % 2 !== 0) throw this.#corrupt('a name of UTF-16 has an odd number of bytes')
    return { bytes, compressed, key: upcase(bytes.toString(compressed ? 'latin1' : 'utf16le')) }
  }

  #signed(offset: number, signature: string, size: number): Buffer {
    const cell = this.#cell(offset, size)
    if (cell.toString('latin1', 0, 2) !== signature) throw this.#corrupt(`there is no ${signature} record at ${offset}`)
    return cell
  }

  /** The content of the cell in use at `offset`, of at least `size` bytes. */
  #cell(offset: number, size: number): Buffer {
    const start = BASE_BLOCK + offset
    if (offset % 8 !== 0 || start + 4 > this.#end) throw this.#corrupt(`it refers to a cell at ${offset}`)
    const length = -this.bytes.readInt32LE(start)
    if (length < 8 || start + length > this.#end || length - 4 < size)
      throw this.#corrupt(`the cell at ${offset} has ${length} bytes`)
    return this.bytes.subarray(start + 4, start + length)
  }

  #corrupt(what: string): StowageError {
    return new StowageError('LAYER_CORRUPT', `${this.#name} is not a valid registry hive: ${what}`)
  }
}
