/** A decompressor of LZMS for tests, as in `wim-codecs.ts`. Source: wimlib's documentation of the format. */
import { type ChunkDecoder, copyMatch, fail, PrefixCode, UnitBits } from './wim-codecs.js'

/** How many slots have that many extra bits: of offsets, and of lengths. Both begin with 1. */
const LZMS_OFFSETS = lzmsSlots(
  [[0, 8], [2, 9], [3, 7], [4, 10], [5, 15], [6, 15], [7, 20], [8, 20], [9, 30], [10, 33], [11, 40], [12, 42]],
  [[13, 45], [14, 60], [15, 73], [16, 80], [17, 85], [18, 95], [19, 105], [20, 6], [30, 1]],
) // prettier-ignore
const LZMS_LENGTHS = lzmsSlots(
  [[0, 26], [1, 4], [2, 6], [3, 4], [4, 5], [5, 2]],
  [[6, 1], [7, 1], [8, 1], [9, 1], [10, 1], [16, 1], [30, 1]],
) // prettier-ignore

type Slots = readonly (readonly [base: number, bits: number])[]

function lzmsSlots(...runs: (readonly (readonly [bits: number, count: number])[])[]): Slots {
  const slots: (readonly [number, number])[] = []
  let base = 1
  for (const [bits, count] of runs.flat()) {
    for (let n = 0; n < count; n += 1) {
      slots.push([base, bits])
      base += 2 ** bits
    }
  }
  return slots
}

/** Units from the end to the beginning. */
class BackwardBits extends UnitBits {
  #at: number
  readonly #input: Buffer

  constructor(input: Buffer) {
    super()
    this.#input = input
    this.#at = input.length
  }

  get at(): number {
    return this.#at + 2 * Math.floor(this.count / 16)
  }

  protected next(): number {
    this.#at -= 2
    return this.#at >= 0 ? this.#input.readUInt16LE(this.#at) : 0
  }
}

/** Bits of known probability, from the beginning on. */
class RangeBits {
  #range = 0xffffffff
  #code: number
  #at = 4
  readonly #input: Buffer

  constructor(input: Buffer) {
    this.#input = input
    this.#code = ((input.readUInt16LE(0) << 16) | input.readUInt16LE(2)) >>> 0
  }

  get at(): number {
    return this.#at
  }

  /** `zeros` of 64 bits were 0. */
  read(zeros: number): number {
    if (this.#range <= 0xffff) {
      this.#range = (this.#range << 16) >>> 0
      const unit = this.#at + 2 <= this.#input.length ? this.#input.readUInt16LE(this.#at) : 0
      this.#code = ((this.#code << 16) | unit) >>> 0
      this.#at += 2
    }
    const bound = (this.#range >>> 6) * Math.min(Math.max(zeros, 1), 63)
    if (this.#code < bound) {
      this.#range = bound
      return 0
    }
    this.#range -= bound
    this.#code -= bound
    return 1
  }
}

/** A decision, whose probability depends on those before it: on the last 4, 5 or 6, and on their last 64 results. */
class Decision {
  #state = 0
  readonly #zeros: Uint8Array
  /** The last 64 results of each state, as two numbers of 32 bits. */
  readonly #history: Uint32Array

  constructor(states: number) {
    this.#zeros = new Uint8Array(states).fill(48)
    this.#history = new Uint32Array(2 * states)
    for (let n = 1; n < 2 * states; n += 2) this.#history[n] = 0x55555555
  }

  read(range: RangeBits): number {
    const state = this.#state
    const bit = range.read(this.#zeros[state] ?? 0)
    const [high, low] = [this.#history[2 * state] ?? 0, this.#history[2 * state + 1] ?? 0]
    this.#zeros[state] = (this.#zeros[state] ?? 0) + (high >>> 31) - bit
    this.#history[2 * state] = (high << 1) | (low >>> 31)
    this.#history[2 * state + 1] = (low << 1) | bit
    this.#state = ((state << 1) | bit) & (this.#zeros.length - 1)
    return bit
  }
}

/** A Huffman code that is made anew from time to time, of how often each symbol occurred. */
class AdaptiveCode {
  readonly #frequencies: Uint32Array
  readonly #period: number
  #left: number
  #code: PrefixCode

  constructor(symbols: number, period: number) {
    this.#frequencies = new Uint32Array(symbols).fill(1)
    this.#period = period
    this.#left = period
    this.#code = new PrefixCode(huffmanLengths(this.#frequencies), symbols > 1)
  }

  read(bits: BackwardBits): number {
    const symbol = this.#code.read(bits)
    this.#frequencies[symbol] = (this.#frequencies[symbol] ?? 0) + 1
    this.#left -= 1
    if (this.#left === 0) {
      this.#code = new PrefixCode(huffmanLengths(this.#frequencies), this.#frequencies.length > 1)
      for (const [n, frequency] of this.#frequencies.entries()) this.#frequencies[n] = (frequency >> 1) + 1
      this.#left = this.#period
    }
    return symbol
  }
}

/** Lengths of a Huffman code. Of equal frequencies, a symbol is taken before a pair, and the smaller symbol first. */
function huffmanLengths(frequencies: Uint32Array): Uint8Array {
  const lengths = new Uint8Array(frequencies.length)
  if (frequencies.length < 2) return lengths.fill(1)
  const leaves = [...frequencies.keys()].sort((a, b) => (frequencies[a] ?? 0) - (frequencies[b] ?? 0) || a - b)
  const weights: number[] = []
  const parents: number[] = [] // of the leaves in that order, then of the pairs
  const count = leaves.length
  let [leaf, pair] = [0, 0]
  const take = (): readonly [node: number, weight: number] => {
    const own = leaf < count ? (frequencies[leaves[leaf] ?? 0] ?? 0) : Infinity
    const other = weights[pair] ?? Infinity
    if (own <= other) return [leaf++, own]
    return [count + pair++, other]
  }
  for (let n = 0; n < count - 1; n += 1) {
    const [[a, first], [b, second]] = [take(), take()]
    weights.push(first + second)
    parents[a] = count + n
    parents[b] = count + n
  }
  const depths = new Map([[2 * count - 2, 0]])
  for (let node = 2 * count - 3; node >= 0; node -= 1) depths.set(node, 1 + (depths.get(parents[node] ?? 0) ?? 0))
  // The longest codes go to the first in that order, whatever leaf they came from
  const sorted = leaves.map((_, n) => depths.get(n) ?? 0).sort((a, b) => b - a)
  for (const [n, symbol] of leaves.entries()) lengths[symbol] = sorted[n] ?? 0
  return lengths
}

/** The last three places that matches came from. One that was used is put back only after the next item. */
class RecentPlaces<T> {
  #list: T[]
  #pending: T | undefined
  #pendingAt = -1

  constructor(list: readonly T[]) {
    this.#list = [...list]
  }

  /** Before a match at `at` is read. */
  begin(at: number): void {
    if (this.#pending === undefined || at === this.#pendingAt) return
    this.#list = [this.#pending, ...this.#list.slice(0, 3)]
    this.#pending = undefined
  }

  take(n: number): T {
    const [taken] = this.#list.splice(n, 1)
    return taken ?? fail('a repeated place that is not there')
  }

  /** `place` was used by a match that ends at `end`. */
  use(place: T, end: number): void {
    if (this.#pending !== undefined) this.#list = [this.#pending, ...this.#list.slice(0, 3)]
    this.#pending = place
    this.#pendingAt = end
  }
}

/** LZMS: LZ and delta matches, with a range coder from the front and Huffman codes from the back. */
export const decodeLzms: ChunkDecoder = (input, size) => {
  if (input.length < 4 || input.length % 2 !== 0) fail(`${input.length} bytes of LZMS`)
  const slots = size < 2 ? 0 : LZMS_OFFSETS.findLastIndex(([base]) => base <= size - 1) + 1
  const range = new RangeBits(input)
  const bits = new BackwardBits(input)
  const decision = { main: new Decision(16), match: new Decision(32), lz: new Decision(64), delta: new Decision(64) }
  const repeats = { lz: [new Decision(64), new Decision(64)], delta: [new Decision(64), new Decision(64)] } as const
  const code = {
    literal: new AdaptiveCode(256, 1024),
    offset: new AdaptiveCode(slots, 1024),
    length: new AdaptiveCode(LZMS_LENGTHS.length, 512),
    deltaOffset: new AdaptiveCode(slots, 1024),
    power: new AdaptiveCode(8, 512),
  }
  const places = new RecentPlaces([1, 2, 3, 4])
  const deltas = new RecentPlaces([1, 2, 3, 4].map(offset => ({ power: 0, offset })))
  const slot = (of: AdaptiveCode, list: Slots): number => {
    const [base, extra] = list[of.read(bits)] ?? fail('a slot that is not there')
    return base + bits.read(extra)
  }
  const repeat = ([first, second]: readonly [Decision, Decision]): number =>
    first.read(range) === 0 ? 0 : second.read(range) === 0 ? 1 : 2
  const out = Buffer.alloc(size)
  for (let at = 0; at < size;) {
    if (decision.main.read(range) === 0) {
      out[at] = code.literal.read(bits)
      at += 1
    } else if (decision.match.read(range) === 0) {
      places.begin(at)
      const offset = decision.lz.read(range) === 0 ? slot(code.offset, LZMS_OFFSETS) : places.take(repeat(repeats.lz))
      const length = slot(code.length, LZMS_LENGTHS)
      copyMatch(out, at, offset, length)
      at += length
      places.use(offset, at)
    } else {
      deltas.begin(at)
      const place =
        decision.delta.read(range) === 0
          ? { power: code.power.read(bits), offset: slot(code.deltaOffset, LZMS_OFFSETS) }
          : deltas.take(repeat(repeats.delta))
      const length = slot(code.length, LZMS_LENGTHS)
      copyDelta(out, at, place, length)
      at += length
      deltas.use(place, at)
    }
  }
  if (range.at > bits.at + 4) fail('its two streams overlap')
  undoLzmsCalls(out)
  return out
}

function copyDelta(
  out: Buffer,
  from: number,
  { power, offset: raw }: { readonly power: number; readonly offset: number },
  length: number,
): void {
  const [span, offset] = [2 ** power, raw * 2 ** power]
  if (offset + span > from) fail(`a delta match ${offset + span} bytes before byte ${from}`)
  if (from + length > out.length) fail('a delta match beyond the end')
  const byte = (at: number): number => out[at] ?? 0
  for (let at = from; at < from + length; at += 1)
    out[at] = byte(at - offset) + byte(at - span) - byte(at - offset - span)
}

/** Addresses in what looks like x86 code were made absolute. */
function undoLzmsCalls(out: Buffer): void {
  if (out.length <= 17) return
  const lastUse = new Int32Array(65_536).fill(-65_536)
  let lastCode = -1024
  for (let at = 1; at < out.length - 16;) {
    const size = relativeAddressAt(out, at)
    if (size <= 0) {
      at += 1 - size
      continue
    }
    const place = at + size
    if (at - lastCode <= (size === 1 ? 511 : 1023)) out.writeUInt32LE((out.readUInt32LE(place) - at) >>> 0, place)
    const target = (at + out.readUInt16LE(place)) & 0xffff
    const end = place + 3
    if (end - (lastUse[target] ?? 0) <= 65_535) lastCode = end
    lastUse[target] = end
    at = place + 4
  }
}

/** The size of an opcode before a relative address; 0 or less if there is none: minus the bytes to skip besides. */
function relativeAddressAt(out: Buffer, at: number): number {
  const [first, second = 0, third = 0] = out.subarray(at, at + 3)
  if (first === 0xe8) return 1
  if (first === 0xe9) return -4
  if (first === 0xff) return second === 0x15 ? 2 : 0
  if (first === 0xf0) return second === 0x83 && third === 0x05 ? 3 : 0
  if ((first !== 0x48 && first !== 0x4c) || (third & 7) !== 5) return 0
  return second === 0x8d || (second === 0x8b && first === 0x48 && (third & 0xf0) === 0) ? 3 : 0
}
