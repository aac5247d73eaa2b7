/** Our compressor of XPRESS, judged by libwim and by readers that are not ours. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { binding } from '../../src/wim/binding.js'
import { compressChunk, compressorMemory } from '../../src/wim/codec.js'
import { compressionNumber } from '../../src/wim/compression.js'
import { scratch } from '../support/scratch.js'
import { decodeXpress } from '../support/wim-codecs.js'

const ROOT = join(import.meta.dirname, '..', '..')
const KIB = 1024
const XPRESS = compressionNumber('xpress')

/** Each of `counts` says how often one byte comes, in an order that looks random. */
function shuffled(counts: readonly number[]): Buffer {
  const bytes = Buffer.concat(counts.map((count, byte) => Buffer.alloc(count, byte)))
  const order = incompressible('order', 4 * bytes.length)
  for (let n = bytes.length - 1; n > 0; n -= 1) {
    const other = order.readUInt32LE(4 * n) % (n + 1)
    const byte = bytes.readUInt8(n)
    bytes.writeUInt8(bytes.readUInt8(other), n)
    bytes.writeUInt8(byte, other)
  }
  return bytes
}

/** To `size` bytes and no more. */
const filled = (size: number, bytes: Buffer): Buffer => Buffer.alloc(size, bytes)

const FIBONACCI = [1, 1]
while (FIBONACCI.length < 23) FIBONACCI.push((FIBONACCI.at(-1) ?? 0) + (FIBONACCI.at(-2) ?? 0))

const KINDS: Readonly<Record<string, (size: number) => Buffer>> = {
  text: size => text('compress', size),
  zeros: size => Buffer.alloc(size),
  random: size => incompressible('compress', size),
  'random, then the same again': size => filled(size, incompressible('compress', Math.max(1, size >> 1))),
  'two bytes': size => filled(size, Buffer.from('ab')),
  'a long period': size => filled(size, incompressible('period', 300)),
  'one change in many zeros': size => Buffer.concat([Buffer.alloc(size >> 1), Buffer.alloc(size - (size >> 1), 1)]),
  'random, then text': size =>
    Buffer.concat([incompressible('compress', size >> 1), text('compress', size - (size >> 1))]),
  'Fibonacci numbers of each byte': size => filled(size, shuffled(FIBONACCI)),
  'powers of two of each byte': size => filled(size, shuffled(Array.from({ length: 16 }, (_, n) => 2 ** n))),
  'four bits': size => Buffer.from(incompressible('four', size).map(byte => byte & 15)),
  // Lengths around where they take a byte, and where they take three
  lengths: size => {
    const runs: Buffer[] = []
    for (let length = 1, total = 0; total < size; length = (length % 300) + 1) {
      runs.push(Buffer.alloc(length, length), Buffer.from([length >> 1, 255 - (length & 255)]))
      total += length + 2
    }
    return Buffer.concat(runs).subarray(0, size)
  },
}

const ours = async (chunk: Buffer, level = 0): Promise<Buffer | undefined> =>
  await binding().compressChunk(XPRESS, level, chunk, 'ours')
const theirs = async (chunk: Buffer): Promise<Buffer | undefined> =>
  await binding().compressChunk(XPRESS, 0, chunk, 'libwim')

t.test('what our compressor makes, every decompressor gives back', async t => {
  let compared = 0
  for (const [kind, make] of Object.entries(KINDS))
    for (const size of [1, 2, 3, 260, 261, 300, 4 * KIB, 32 * KIB - 1, 32 * KIB, 64 * KIB - 1, 64 * KIB]) {
      const chunk = make(size)
      t.equal(chunk.length, size, kind)
      for (const level of [1, 30, 50, 100]) {
        const what = `${kind}, ${size} bytes, level ${level}`
        const compressed = await ours(chunk, level)
        if (!compressed) continue
        if (compressed.length >= size) t.fail(`${what}: became ${compressed.length} bytes`)
        for (const whose of ['ours', 'libwim'] as const) {
          const whole = await binding().decompressChunk(XPRESS, 64 * KIB, compressed, size, whose)
          if (!whole.equals(chunk)) t.fail(`${what}: became something else for ${whose}`)
        }
        // Slow, and strict: it takes nothing but what the format's description says
        if (level === 50 && !decodeXpress(compressed, size).equals(chunk)) t.fail(`${what}: is not as it should be`)
        compared += 1
      }
    }
  t.ok(compared > 200, `${compared} chunks`)
})

t.test('a chunk gets smaller with us where it does with libwim', async t => {
  for (const [kind, make] of Object.entries(KINDS))
    for (const size of [1, 3, 261, 300, 4 * KIB, 32 * KIB, 64 * KIB]) {
      const chunk = make(size)
      const [one, other] = [await ours(chunk), await theirs(chunk)]
      if (!other) continue
      // What hardly gets smaller may stay as it is
      if (!one && other.length < 0.9 * size) t.fail(`${kind}, ${size} bytes: libwim makes it ${other.length}`)
    }
  t.equal(await ours(incompressible('compress', 64 * KIB)), undefined)
  t.ok((await ours(Buffer.alloc(64 * KIB)))!.length < 280, 'and all the same bytes are one match')
})

t.test('our compressor makes no more than 1.05 of what libwim makes', async t => {
  const program = readFileSync(process.execPath)
  const contents = [
    program.subarray(30_000_000, 31_000_000),
    readFileSync('/bin/bash'),
    readFileSync(join(ROOT, 'package-lock.json')),
    readFileSync(join(ROOT, 'CHANGELOG.md')),
    text('sizes', 500_000),
  ]
  let [one, other] = [0, 0]
  for (const content of contents)
    for (let at = 0; at < content.length; at += 32 * KIB) {
      const chunk = content.subarray(at, at + 32 * KIB)
      one += (await ours(chunk))?.length ?? chunk.length
      other += (await theirs(chunk))?.length ?? chunk.length
    }
  t.ok(one <= 1.05 * other, `${one} bytes, libwim ${other}`)
})

t.test('a higher level gives smaller chunks', async t => {
  const content = readFileSync('/bin/bash')
  const sizes: number[] = []
  for (const level of [1, 30, 50, 100, 200]) {
    let size = 0
    for (let at = 0; at < content.length; at += 32 * KIB) {
      const chunk = content.subarray(at, at + 32 * KIB)
      size += (await ours(chunk, level))?.length ?? chunk.length
    }
    sizes.push(size)
  }
  t.same(
    sizes,
    [...new Set(sizes)].sort((a, b) => b - a),
  )
})

t.test('the same chunks give the same bytes, on every machine', async t => {
  const hash = createHash('sha256')
  for (const make of Object.values(KINDS))
    for (const size of [300, 4 * KIB, 32 * KIB, 64 * KIB])
      for (const level of [20, 50, 100]) hash.update((await ours(make(size), level)) ?? 'stored')
  // A new digest means that WIMs get other bytes than before, which the changelog has to say
  t.equal(hash.digest('hex'), 'c7b8d6674d68e69dcf10046a46f835c9d42403af6b066053189e1516519a8d28')
})

t.test('libwim is not asked for XPRESS', async t => {
  const chunk = text('whose', 32 * KIB)
  t.ok((await ours(chunk))?.equals((await compressChunk(chunk, { compression: 'xpress' })) ?? Buffer.alloc(0)))
  t.notOk((await ours(chunk))?.equals((await theirs(chunk)) ?? Buffer.alloc(0)), 'whose bytes are others')
  t.ok(compressorMemory(32 * KIB, { compression: 'xpress' }) < 500_000)
  t.throws(() => compressorMemory(128 * KIB, { compression: 'xpress' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(compressChunk(Buffer.alloc(64 * KIB + 1), { compression: 'xpress' }), {
    code: 'INVALID_ARGUMENT',
    message: 'XPRESS has chunks of up to 65536 bytes, not 65537',
  })
})

t.test('codes are the shortest there are, complete, and limited where that is needed', async t => {
  const program = join(scratch(t), 'code-lengths')
  const sources = ['test/wim/code-lengths.cc', 'native/codecs/code_lengths.cc'].map(source => join(ROOT, source))
  execFileSync('g++', ['-std=c++17', '-O2', '-I', join(ROOT, 'native'), '-o', program, ...sources])
  const [tried, limited] = execFileSync(program, { encoding: 'utf8' }).split(' ').map(Number)
  t.ok(tried! > 3000 && limited! > 30, `${tried} codes, ${limited} limited`)
})
