/**
 * Decompressors for the chunks of a WIM, for tests: XPRESS ([MS-XCA] 2.1 and 2.2) and LZX (Microsoft's cabinet
 * documentation, with the differences that wimlib's documentation names). They are slow, share nothing with libwim, and
 * throw on anything that does not add up.
 */

export type ChunkDecoder = (input: Buffer, size: number) => Buffer

export function fail(what: string): never {
  throw new Error(`compressed data: ${what}`)
}

/** Units of 16 bits, their bits from the highest to the lowest. */
export abstract class UnitBits {
  protected bits = 0
  protected count = 0

  /** The next unit; 0 past the end. */
  protected abstract next(): number

  /** Loads units so that `count` bits, up to 16, can be looked at. */
  peek(count: number): number {
    if (count === 0) return 0
    while (this.count < count) {
      this.bits = ((this.bits & 0xffff) << 16) | this.next()
      this.count += 16
    }
    return (this.bits >>> (this.count - count)) & ((1 << count) - 1)
  }

  skip(count: number): void {
    this.count -= count
  }

  read(count: number): number {
    if (count > 16) return this.read(count - 16) * 0x1_0000 + this.read(16)
    const value = this.peek(count)
    this.skip(count)
    return value
  }
}

/** Units from the beginning to the end. */
class Bits extends UnitBits {
  at = 0
  readonly #input: Buffer

  constructor(input: Buffer) {
    super()
    this.#input = input
  }

  protected next(): number {
    this.at += 2
    return this.at <= this.#input.length ? this.#input.readUInt16LE(this.at - 2) : 0
  }

  /** Drops what is left of the unit, or a whole one if nothing is left of the last. */
  align(): void {
    this.peek(1)
    this.count = 0
  }

  bytes(count: number): Buffer {
    const bytes = this.#input.subarray(this.at, this.at + count)
    if (bytes.length !== count) fail(`it ends ${count - bytes.length} bytes too early`)
    this.at += count
    return bytes
  }

  /** After the last symbol: everything was there, and at most `spare` bytes more, such as a symbol for the end. */
  end(spare: number): void {
    const unread = this.#input.length - (this.at - 2 * Math.floor(this.count / 16))
    if (unread < 0) fail(`it ends ${-unread} bytes too early`)
    if (unread > spare) fail(`${unread} bytes follow its end`)
    if (spare === 0 && (this.bits & (2 ** this.count - 1)) !== 0) fail('the bits after its end are not zero')
  }
}

const MOST = 16

/** A canonical prefix code: shorter codes first, then by symbol. Complete, unless it has no or one symbol. */
export class PrefixCode {
  readonly #table: Int32Array
  readonly #most: number
  readonly empty: boolean

  constructor(lengths: ArrayLike<number>, complete = true) {
    let most = 0
    for (let n = 0; n < lengths.length; n += 1) most = Math.max(most, lengths[n] ?? 0)
    if (most > MOST) fail(`a code of ${most} bits`)
    this.#most = most
    this.empty = most === 0
    this.#table = new Int32Array(1 << most).fill(-1)
    let code = 0
    for (let length = 1; length <= most; length += 1) {
      for (let symbol = 0; symbol < lengths.length; symbol += 1) {
        if (lengths[symbol] !== length) continue
        const [from, count] = [code << (most - length), 1 << (most - length)]
        if (from + count > this.#table.length) fail('more codes than their lengths allow')
        this.#table.fill((symbol << 5) | length, from, from + count)
        code += 1
      }
      code <<= 1
    }
    if (complete && !this.empty && code >> 1 !== 1 << most) fail('fewer codes than their lengths allow')
  }

  read(bits: { peek(count: number): number; skip(count: number): void }): number {
    const found = this.empty ? -1 : (this.#table[bits.peek(this.#most)] ?? -1)
    if (found < 0) fail('a code that stands for nothing')
    bits.skip(found & 31)
    return found >> 5
  }
}

/** Copies byte by byte, because the two may overlap. */
export function copyMatch(out: Buffer, at: number, offset: number, length: number): void {
  if (offset > at || offset < 1) fail(`a match ${offset} bytes before byte ${at}`)
  if (at + length > out.length) fail(`a match of ${length} bytes, which ends after byte ${out.length}`)
  for (let n = 0; n < length; n += 1) out[at + n] = out[at + n - offset] as number // both are inside, see above
}

/** [MS-XCA] 2.2: LZ77 with one Huffman code. */
export const decodeXpress: ChunkDecoder = (input, size) => {
  if (input.length < 256) fail('too short for its code')
  const lengths = Array.from({ length: 512 }, (_, n) => (input.readUInt8(n >> 1) >> (n % 2 === 0 ? 0 : 4)) & 15)
  const code = new PrefixCode(lengths)
  const bits = new Bits(input)
  bits.at = 256
  const out = Buffer.alloc(size)
  for (let at = 0; at < size;) {
    bits.peek(16) // the decoder of the specification loads a whole unit before each symbol
    const symbol = code.read(bits)
    if (symbol < 256) {
      out[at] = symbol
      at += 1
      continue
    }
    bits.peek(16)
    let length = symbol & 15
    if (length === 15) {
      const more = bits.bytes(1).readUInt8()
      length = more === 255 ? bits.bytes(2).readUInt16LE() : more + 15
      if (length < 15) fail('a long match that is short')
    }
    const order = (symbol >> 4) & 15
    const offset = (1 << order) + bits.read(order)
    copyMatch(out, at, offset, length + 3)
    at += length + 3
  }
  bits.end(4)
  return out
}

/** The distance that each position slot of LZX begins with, and the number of bits that follow. */
const LZX_SLOTS: (readonly [base: number, bits: number])[] = []
for (let base = 0, slot = 0; base <= 1 << 21; slot += 1) {
  const extra = slot < 4 ? 0 : Math.min((slot >> 1) - 1, 17)
  LZX_SLOTS.push([base, extra])
  base += 1 << extra
}

/** LZX with a window of `window` bytes, the size of a chunk. */
export const lzxDecoder =
  (window: number): ChunkDecoder =>
  (input, size) => {
    const bits = new Bits(input)
    const out = Buffer.alloc(size)
    const slots = LZX_SLOTS.findIndex(([base]) => base >= window)
    const main = new Uint8Array(256 + 8 * slots)
    const long = new Uint8Array(249)
    const recent: [number, number, number] = [1, 1, 1]
    let at = 0
    while (at < size) {
      const type = bits.read(3)
      let left = bits.read(1) === 1 ? 32_768 : bits.read(16)
      if (left !== 32_768 && window >= 65_536) left = (left << 8) | bits.read(8)
      if (left === 0 || at + left > size) fail(`a block of ${left} bytes at byte ${at} of ${size}`)
      if (type === 3) {
        bits.align()
        for (const n of [0, 1, 2]) recent[n] = bits.bytes(4).readUInt32LE()
        bits.bytes(left).copy(out, at)
        if (left % 2 === 1) bits.bytes(1)
        at += left
        continue
      }
      if (type !== 1 && type !== 2) fail(`a block of type ${type}`)
      const aligned = type === 2 ? new PrefixCode(Array.from({ length: 8 }, () => bits.read(3))) : undefined
      readLengths(bits, main.subarray(0, 256))
      readLengths(bits, main.subarray(256))
      readLengths(bits, long)
      at = lzxBlock(bits, out, at, at + left, {
        main: new PrefixCode(main),
        long: new PrefixCode(long),
        aligned,
        recent,
      })
    }
    bits.end(0)
    undoLzxCalls(out)
    return out
  }

interface LzxCodes {
  readonly main: PrefixCode
  readonly long: PrefixCode
  readonly aligned: PrefixCode | undefined
  readonly recent: [number, number, number]
}

function lzxBlock(bits: Bits, out: Buffer, from: number, end: number, codes: LzxCodes): number {
  const { main, long, aligned, recent } = codes
  let at = from
  while (at < end) {
    const symbol = main.read(bits)
    if (symbol < 256) {
      out[at] = symbol
      at += 1
      continue
    }
    const length = 2 + ((symbol & 7) === 7 ? 7 + long.read(bits) : symbol & 7)
    const slot = (symbol - 256) >> 3
    if (slot < 3) {
      const offset = recent[slot] as number // there are three
      recent[slot] = recent[0]
      recent[0] = offset
    } else {
      const [base, extra] = LZX_SLOTS[slot] ?? fail('a position that is too far away')
      const low = aligned && extra >= 3
      const high = bits.read(low ? extra - 3 : extra)
      recent[2] = recent[1]
      recent[1] = recent[0]
      recent[0] = base + (low ? 8 * high + aligned.read(bits) : high) - 2
    }
    if (at + length > end) fail('a match that goes beyond its block')
    copyMatch(out, at, recent[0], length)
    at += length
  }
  return at
}

/** Code lengths as differences from those before. */
function readLengths(bits: Bits, lengths: Uint8Array): void {
  const code = new PrefixCode(Array.from({ length: 20 }, () => bits.read(4)))
  const less = (n: number, by: number): number => ((lengths[n] ?? 0) + 17 - by) % 17
  for (let n = 0; n < lengths.length;) {
    const symbol = code.read(bits)
    if (symbol < 17) {
      lengths[n] = less(n, symbol)
      n += 1
      continue
    }
    const run = symbol === 17 ? 4 + bits.read(4) : symbol === 18 ? 20 + bits.read(5) : 4 + bits.read(1)
    let value = 0
    if (symbol === 19) {
      const by = code.read(bits)
      if (by > 16) fail('a run of runs')
      value = less(n, by)
    }
    if (n + run > lengths.length) fail('a run of code lengths beyond the last')
    lengths.fill(value, n, n + run)
    n += run
  }
}

/** The targets of x86 calls were made absolute in a file of a nominal 12000000 bytes. */
function undoLzxCalls(out: Buffer): void {
  const nominal = 12_000_000
  for (let at = 0; at < out.length - 10; at += 1) {
    if (out[at] !== 0xe8) continue
    const target = out.readInt32LE(at + 1)
    if (target >= -at && target < nominal) out.writeInt32LE(target >= 0 ? target - at : target + nominal, at + 1)
    at += 4
  }
}
