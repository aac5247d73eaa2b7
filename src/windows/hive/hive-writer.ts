/**
 * Writes a registry hive of version 1.5 from its keys, parents first. Source: Maxim Suhanov's Windows registry file
 * format specification.
 */
import { StowageError } from '../../errors.js'
import type { HiveKey, HiveName, HiveValue } from './hive-reader.js'

/** A key that has been written, for its parent. */
export interface WrittenKey {
  readonly offset: number
  readonly name: HiveName
  readonly classSize: number
}

const BASE_BLOCK = 4096
const BIN = 4096
const BIN_HEAD = 32
const NONE = 0xffffffff
const KEY_VOLATILE = 0x1
const KEY_COMPRESSED = 0x20
const SEGMENT = 16_344
/** Subkeys in one list, so that a list fits into a bin of 4 KiB. */
const LEAF = 500

interface Security {
  readonly offset: number
  count: number
}

export class HiveWriter {
  #bytes = Buffer.alloc(1024 * 1024)
  /** Offset behind the last bin, and the free part of that bin. */
  #end = 0
  #free = 0
  readonly #limit: number
  readonly #security = new Map<string, Security>()

  /** Throws LAYER_CORRUPT instead of writing over `limit` bytes, which only keys that share their cells can need. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Begins a key, whose subkeys can refer to it from now on. */
  begin(key: HiveKey, parent: number): number {
    const { name, flags, time, virtualization, security, className } = key
    const offset = this.#allocate(76 + name.bytes.length)
    const classOffset = className.length === 0 ? NONE : this.#put(className)
    const securityOffset = security === undefined ? NONE : this.#secured(security)
    const at = this.#place(offset)
    const compressed = name.compressed ? KEY_COMPRESSED : 0
    this.#bytes.write('nk', at, 'latin1')
    this.#bytes.writeUInt16LE((flags & ~(KEY_VOLATILE | KEY_COMPRESSED)) | compressed, at + 2)
    this.#bytes.writeBigUInt64LE(time, at + 4)
    this.#bytes.writeUInt32LE(parent, at + 16)
    for (const field of [28, 32, 40]) this.#bytes.writeUInt32LE(NONE, at + field)
    this.#bytes.writeUInt32LE(securityOffset, at + 44)
    this.#bytes.writeUInt32LE(classOffset, at + 48)
    this.#bytes.writeUInt16LE(virtualization, at + 54)
    this.#bytes.writeUInt16LE(name.bytes.length, at + 72)
    this.#bytes.writeUInt16LE(className.length, at + 74)
    name.bytes.copy(this.#bytes, at + 76)
    return offset
  }

  /** Adds the values and the subkeys, which have been written, to the key at `offset`. */
  end(offset: number, values: readonly HiveValue[], subkeys: readonly WrittenKey[]): void {
    const valueList = values.length === 0 ? NONE : this.#offsets(values.map(value => this.#value(value)))
    const sorted = [...subkeys].sort((a, b) => (a.name.key < b.name.key ? -1 : 1))
    const keyList = sorted.length === 0 ? NONE : this.#keyList(sorted)
    const at = this.#place(offset)
    this.#bytes.writeUInt32LE(sorted.length, at + 20)
    this.#bytes.writeUInt32LE(keyList, at + 28)
    this.#bytes.writeUInt32LE(values.length, at + 36)
    this.#bytes.writeUInt32LE(valueList, at + 40)
    this.#bytes.writeUInt16LE(largest(sorted.map(({ name }) => wideSize(name))), at + 52)
    this.#bytes.writeUInt32LE(largest(sorted.map(({ classSize }) => classSize)), at + 56)
    this.#bytes.writeUInt32LE(largest(values.map(({ name }) => wideSize(name))), at + 60)
    this.#bytes.writeUInt32LE(largest(values.map(({ data }) => data.length)), at + 64)
  }

  /** The whole hive, with the base block of `base`, which it replaces. */
  seal(base: Buffer, root: number, time: bigint): Buffer {
    this.#closeBin()
    this.#linkSecurity()
    const head = Buffer.alloc(BASE_BLOCK)
    base.copy(head, 0, 0, 112) // signature, version, format, and the name of the file
    const sequence = (base.readUInt32LE(4) + 1) >>> 0
    head.writeUInt32LE(sequence, 4)
    head.writeUInt32LE(sequence, 8)
    head.writeBigUInt64LE(time, 12)
    head.writeUInt32LE(5, 24)
    head.writeUInt32LE(root, 36)
    head.writeUInt32LE(this.#end, 40)
    let sum = 0
    for (let at = 0; at < 508; at += 4) sum ^= head.readUInt32LE(at)
    head.writeInt32LE(sum === 0 ? 1 : sum === -1 ? -2 : sum, 508)
    if (this.#end > 0) this.#bytes.writeBigUInt64LE(time, 20)
    return Buffer.concat([head, this.#bytes.subarray(0, this.#end)])
  }

  #value({ name, type, data }: HiveValue): number {
    const inline = data.length <= 4
    const dataOffset = inline ? 0 : data.length > SEGMENT ? this.#segments(data) : this.#put(data)
    const offset = this.#allocate(20 + name.bytes.length)
    const at = this.#place(offset)
    this.#bytes.write('vk', at, 'latin1')
    this.#bytes.writeUInt16LE(name.bytes.length, at + 2)
    this.#bytes.writeUInt32LE((data.length | (inline ? 0x8000_0000 : 0)) >>> 0, at + 4)
    if (inline) data.copy(this.#bytes, at + 8)
    else this.#bytes.writeUInt32LE(dataOffset, at + 8)
    this.#bytes.writeUInt32LE(type, at + 12)
    this.#bytes.writeUInt16LE(name.compressed ? 1 : 0, at + 16)
    name.bytes.copy(this.#bytes, at + 20)
    return offset
  }

  #segments(data: Buffer): number {
    const offsets: number[] = []
    for (let from = 0; from < data.length; from += SEGMENT) offsets.push(this.#put(data.subarray(from, from + SEGMENT)))
    const list = this.#offsets(offsets)
    const head = Buffer.alloc(8)
    head.write('db', 0, 'latin1')
    head.writeUInt16LE(offsets.length, 2)
    head.writeUInt32LE(list, 4)
    return this.#put(head)
  }

  #offsets(offsets: readonly number[]): number {
    const list = Buffer.alloc(4 * offsets.length)
    offsets.forEach((offset, n) => list.writeUInt32LE(offset, 4 * n))
    return this.#put(list)
  }

  /** A list of subkeys with the hashes of their names, or a list of such lists. */
  #keyList(keys: readonly WrittenKey[]): number {
    const leaves: number[] = []
    for (let from = 0; from < keys.length; from += LEAF) {
      const some = keys.slice(from, from + LEAF)
      const leaf = listHead('lh', some.length, 8)
      some.forEach(({ offset, name }, n) => {
        leaf.writeUInt32LE(offset, 4 + 8 * n)
        leaf.writeUInt32LE(hashOf(name.key), 8 + 8 * n)
      })
      leaves.push(this.#put(leaf))
    }
    const [only] = leaves
    if (leaves.length === 1 && only !== undefined) return only
    const root = listHead('ri', leaves.length, 4)
    leaves.forEach((offset, n) => root.writeUInt32LE(offset, 4 + 4 * n))
    return this.#put(root)
  }

  #secured(descriptor: Buffer): number {
    const text = descriptor.toString('latin1')
    const known = this.#security.get(text)
    if (known) {
      known.count += 1
      return known.offset
    }
    const cell = Buffer.alloc(20 + descriptor.length)
    cell.write('sk', 0, 'latin1')
    cell.writeUInt32LE(descriptor.length, 16)
    descriptor.copy(cell, 20)
    const offset = this.#put(cell)
    this.#security.set(text, { offset, count: 1 })
    return offset
  }

  /** Makes a ring of all security descriptors, and counts the keys that use each. */
  #linkSecurity(): void {
    const ring = [...this.#security.values()]
    ring.forEach(({ offset, count }, n) => {
      const at = this.#place(offset)
      this.#bytes.writeUInt32LE(ring[(n + 1) % ring.length]?.offset ?? NONE, at + 4)
      this.#bytes.writeUInt32LE(ring[(n + ring.length - 1) % ring.length]?.offset ?? NONE, at + 8)
      this.#bytes.writeUInt32LE(count, at + 12)
    })
  }

  #put(content: Buffer): number {
    const offset = this.#allocate(content.length)
    content.copy(this.#bytes, this.#place(offset))
    return offset
  }

  /** The offset of a new cell for `size` bytes; no cell crosses the end of a bin. */
  #allocate(size: number): number {
    const length = Math.ceil((4 + size) / 8) * 8
    if (length > this.#free) this.#openBin(length)
    const offset = this.#end - this.#free
    this.#free -= length
    this.#bytes.writeInt32LE(-length, offset)
    return offset
  }

  #openBin(size: number): void {
    this.#closeBin()
    const length = Math.ceil((BIN_HEAD + size) / BIN) * BIN
    const start = this.#end
    if (start + length > this.#limit)
      throw new StowageError('LAYER_CORRUPT', `a registry hive grows over ${this.#limit} bytes when it is merged`)
    if (start + length > this.#bytes.length) {
      const more = Buffer.alloc(Math.max(2 * this.#bytes.length, start + length))
      this.#bytes.copy(more)
      this.#bytes = more
    }
    this.#bytes.write('hbin', start, 'latin1')
    this.#bytes.writeUInt32LE(start, start + 4)
    this.#bytes.writeUInt32LE(length, start + 8)
    this.#end = start + length
    this.#free = length - BIN_HEAD
  }

  /** Makes the rest of the bin an unused cell. */
  #closeBin(): void {
    if (this.#free > 0) this.#bytes.writeInt32LE(this.#free, this.#end - this.#free)
    this.#free = 0
  }

  #place(offset: number): number {
    return offset + 4
  }
}

function listHead(signature: string, count: number, size: number): Buffer {
  const list = Buffer.alloc(4 + size * count)
  list.write(signature, 0, 'latin1')
  list.writeUInt16LE(count, 2)
  return list
}

function hashOf(key: string): number {
  let hash = 0
  for (let n = 0; n < key.length; n += 1) hash = (Math.imul(hash, 37) + key.charCodeAt(n)) >>> 0
  return hash
}

/** The size of the name in UTF-16. */
function wideSize({ bytes, compressed }: HiveName): number {
  return compressed ? 2 * bytes.length : bytes.length
}

function largest(sizes: readonly number[]): number {
  return sizes.reduce((most, size) => Math.max(most, size), 0)
}
