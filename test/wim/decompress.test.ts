/** Our decompressors against libwim's: the same bytes from what is whole, and the same refusals of what is not. */
import { existsSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { binding } from '../../src/wim/binding.js'
import type { Codec } from '../../src/wim/codec.js'
import { compressionNumber } from '../../src/wim/compression.js'

const KIB = 1024
const CHUNK_SIZES: Readonly<Record<Codec, readonly number[]>> = {
  xpress: [4, 8, 16, 32, 64].map(size => size * KIB),
  lzx: [32, 64, 128, 256, 512, 1024, 2048].map(size => size * KIB),
  lzms: [32, 128, 1024].map(size => size * KIB),
}
const CODECS = Object.keys(CHUNK_SIZES) as Codec[] // the keys of a Record<Codec, …>

/** The program that runs this, or the library that it is in. */
const machineCode = [process.execPath, ...sharedObjects()]
  .filter(file => existsSync(file))
  .map(file => readFileSync(file))
  .reduce((one, other) => (one.length > other.length ? one : other))

function sharedObjects(): readonly string[] {
  return (process.report.getReport() as unknown as { readonly sharedObjects: readonly string[] }).sharedObjects
}

const KINDS: Readonly<Record<string, (size: number) => Buffer>> = {
  text: size => text('decompress', size),
  // Machine code: calls, which LZX and LZMS translate
  executable: size => machineCode.subarray(machineCode.length >> 1).subarray(0, size),
  zeros: size => Buffer.alloc(size),
  random: size => mixed(size, 1),
  calls: size => Buffer.alloc(size, Buffer.from('e810000000488b0510000000ff1510000000e9', 'hex')),
  // Numbers that grow slowly, which LZMS has matches for
  deltas: size => {
    const bytes = Buffer.alloc(size)
    for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE((at * 1021 + (at % 28)) >>> 0, at)
    return bytes
  },
  mixed: size => mixed(size, 5),
  period: size => Buffer.alloc(size, Buffer.from('abcdefg')),
}

/** One part in `of` is random, the rest text. */
function mixed(size: number, of: number): Buffer {
  const bytes = of === 1 ? Buffer.alloc(size) : text('mixed', size)
  incompressible('mixed', Math.ceil(size / of)).copy(bytes)
  if (of === 1) bytes.fill('some text', size >> 1)
  return bytes
}

/** By libwim; undefined if the chunk does not get smaller. */
async function compress(chunk: Buffer, codec: Codec, level = 0): Promise<Buffer | undefined> {
  return await binding().compressChunk(compressionNumber(codec), level, chunk, 'libwim')
}

/** The bytes, or undefined if the chunk is refused as damaged. */
async function decompress(
  whose: 'ours' | 'libwim',
  codec: Codec,
  compressed: Buffer,
  { chunkSize, size }: { readonly chunkSize: number; readonly size: number },
): Promise<Buffer | undefined> {
  try {
    return await binding().decompressChunk(compressionNumber(codec), chunkSize, compressed, size, whose)
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'WIM_CORRUPT') throw error
    return undefined
  }
}

/** Whether both did the same, and what they did. */
async function agree(
  t: Test,
  codec: Codec,
  compressed: Buffer,
  sizes: { readonly chunkSize: number; readonly size: number },
  what: string,
): Promise<Buffer | undefined> {
  const [ours, theirs] = await Promise.all([
    decompress('ours', codec, compressed, sizes),
    decompress('libwim', codec, compressed, sizes),
  ])
  const same = ours && theirs ? ours.equals(theirs) : ours === theirs
  if (!same) {
    const did = (bytes: Buffer | undefined): string => (bytes ? 'took it' : 'refused it')
    t.fail(`${codec}, ${what}: ours ${did(ours)}, libwim ${did(theirs)}`, { compressed: compressed.toString('base64') })
  }
  return ours
}

/** Numbers that look random, the same in each run. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

for (const codec of CODECS)
  t.test(`chunks of ${codec} decompress to what was compressed, as with libwim`, async t => {
    let compared = 0
    for (const chunkSize of CHUNK_SIZES[codec])
      for (const [kind, make] of Object.entries(KINDS)) {
        const large = chunkSize > 64 * KIB
        if (large && kind !== 'executable' && kind !== 'mixed') continue
        for (const size of large ? [chunkSize] : [chunkSize, (chunkSize >> 1) + 17]) {
          const chunk = make(size)
          const compressed = await compress(chunk, codec, large ? 15 : 50)
          if (!compressed) continue
          const whole = await agree(t, codec, compressed, { chunkSize: size, size }, `${kind}, ${size} bytes`)
          if (!whole?.equals(chunk)) t.fail(`${codec}: ${kind}, ${size} bytes, became something else`)
          compared += 1
        }
      }
    t.ok(compared > 15, `${compared} chunks`)
  })

t.test('chunks of 1 to 100 bytes decompress, as with libwim', async t => {
  let compared = 0
  for (const codec of CODECS)
    for (let size = 1; size <= 100; size += 1)
      for (const kind of ['text', 'zeros', 'calls']) {
        const chunk = KINDS[kind]?.(size) ?? Buffer.alloc(0)
        const compressed = await compress(chunk, codec)
        if (!compressed) continue
        const whole = await agree(t, codec, compressed, { chunkSize: 32 * KIB, size }, `${size} bytes`)
        if (!whole?.equals(chunk)) t.fail(`${codec}: ${size} bytes became something else`)
        compared += 1
      }
  t.ok(compared > 100, `${compared} chunks`)
})

for (const codec of CODECS)
  t.test(`damaged chunks of ${codec} are refused, or give what libwim gives`, async t => {
    const random = numbers(codec.length)
    let [taken, refused] = [0, 0]
    for (const [kind, make] of Object.entries(KINDS))
      for (const size of [300, 9000, 32 * KIB]) {
        const compressed = await compress(make(size), codec)
        if (!compressed) continue
        for (let n = 0; n < 60; n += 1) {
          const damaged = damage(compressed, random)
          const claimed = random(8) === 0 ? 3 + random(32 * KIB - 2) : size
          const bytes = await agree(t, codec, damaged, { chunkSize: 32 * KIB, size: claimed }, `${kind}, damaged`)
          if (bytes) taken += 1
          else refused += 1
        }
      }
    t.ok(taken > 100 && refused > 100, `${taken} taken, ${refused} refused`)
  })

/** Cut off, lengthened, with bits turned over, bytes replaced or left out. */
function damage(bytes: Buffer, random: (below: number) => number): Buffer {
  const damaged = Buffer.from(bytes)
  const at = random(damaged.length)
  switch (random(6)) {
    case 0:
      return damaged.subarray(0, at)
    case 1:
      return Buffer.concat([damaged, Buffer.alloc(1 + random(9), random(256))])
    case 2:
      return Buffer.concat([damaged.subarray(0, at), damaged.subarray(at + 1 + random(4))])
    case 3:
      for (let n = random(9); n >= 0; n -= 1) damaged[random(damaged.length)] = random(256)
      return damaged
    case 4:
      damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << random(8)), at)
      return damaged
    default: {
      const early = random(Math.min(damaged.length, 300)) // the codes are there
      damaged.writeUInt8(damaged.readUInt8(early) ^ (1 << random(8)), early)
      return damaged
    }
  }
}

/** Writes LZX: bits from the highest to the lowest of units of 16. */
class LzxWriter {
  readonly #bytes: number[] = []
  #held = 0
  #count = 0

  bits(value: number, size: number): void {
    for (let n = size - 1; n >= 0; n -= 1) {
      this.#held = (this.#held << 1) | ((value >> n) & 1)
      if (++this.#count === 16) this.#flush()
    }
  }

  #flush(): void {
    this.#bytes.push(this.#held & 255, this.#held >> 8)
    this.#held = this.#count = 0
  }

  /** To the end of the unit, or a whole unit of zeros. */
  align(): void {
    this.bits(0, 16 - this.#count)
  }

  /** Two literals, of one bit each, come in a row that looks random. */
  verbatim(size: number, literals: readonly [number, number], random: (below: number) => number): void {
    this.bits(1, 3)
    this.bits(0, 1)
    this.bits(size, 16)
    const only = new Set<number>(literals)
    for (const [first, count] of [
      [0, 256],
      [256, 240],
      [512, 249],
    ] as const) {
      // Of the code of lengths, 0 is a length as before, 16 one bit more
      for (let symbol = 0; symbol < 20; symbol += 1) this.bits(symbol === 0 || symbol === 16 ? 1 : 0, 4)
      for (let n = first; n < first + count; n += 1) this.bits(only.has(n) ? 1 : 0, 1)
    }
    for (let n = 0; n < size; n += 1) this.bits(random(2), 1)
  }

  stored(bytes: Buffer, offsets: readonly number[]): void {
    this.bits(3, 3)
    this.bits(0, 1)
    this.bits(bytes.length, 16)
    this.align()
    for (const offset of offsets) for (let n = 0; n < 32; n += 8) this.#bytes.push((offset >> n) & 255)
    this.#bytes.push(...bytes)
    if (bytes.length % 2 === 1) this.#bytes.push(0)
  }

  end(): Buffer {
    if (this.#count > 0) this.align()
    return Buffer.from(this.#bytes)
  }
}

t.test('blocks of LZX that are stored decompress, as with libwim, which makes none', async t => {
  const random = numbers(3)
  let taken = 0
  for (let n = 0; n < 400; n += 1) {
    const writer = new LzxWriter()
    let size = 0
    for (let left = 1 + random(4); left > 0; left -= 1) {
      const block = 1 + random(70)
      // Only the first block may change the lengths of the codes
      if (size === 0 && n % 4 !== 0) writer.verbatim(block, [0x41, 0xe8], random)
      else writer.stored(mixed(block, 1 + random(3)), n % 10 === 9 ? [1, 0, 1] : [1, 2, 3])
      size += block
    }
    const compressed = writer.end()
    for (const cut of [0, 0, 1, 2, 14])
      if (await agree(t, 'lzx', compressed.subarray(0, compressed.length - cut), { chunkSize: 32 * KIB, size }, `${n}`))
        taken += 1
  }
  t.ok(taken > 500, `${taken} taken`)
})

t.test('a chunk is refused that should become larger than chunks are', async t => {
  for (const codec of CODECS) {
    const compressed = (await compress(text('large', 64 * KIB), codec)) ?? Buffer.alloc(0)
    const sizes = { chunkSize: 32 * KIB, size: 64 * KIB }
    t.equal(await agree(t, codec, compressed, sizes, 'too large'), undefined, codec)
  }
})
