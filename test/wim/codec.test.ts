import t from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { type Codec, compressChunk, compressorMemory, decompressChunk } from '../../src/wim/codec.js'

const CODECS: readonly Codec[] = ['xpress', 'lzx', 'lzms']

t.test('compressChunk() and decompressChunk() undo each other in every codec, and the level counts', async t => {
  const chunk = text('codec', 32768)
  for (const compression of CODECS) {
    const sizes: number[] = []
    for (const level of [10, 100]) {
      const compressed = await compressChunk(chunk, { compression, level })
      t.ok(compressed && compressed.length < chunk.length, `${compression}:${level}`)
      const whole = await decompressChunk(compressed ?? Buffer.alloc(0), chunk.length, { compression })
      t.ok(whole.equals(chunk))
      sizes.push(compressed?.length ?? 0)
    }
    t.not(sizes[0], sizes[1], `${compression}: levels differ`)
    t.ok(compressorMemory(32768, { compression }) > 10_000, compression)
  }
})

t.test('compressChunk() gives nothing for what gets no smaller', async t => {
  for (const compression of CODECS)
    t.equal(await compressChunk(incompressible('codec', 4096), { compression }), undefined)
  t.equal(await compressChunk(Buffer.alloc(1), { compression: 'lzx' }), undefined)
})

t.test('decompressChunk() refuses what is damaged, and sizes that cannot be', async t => {
  const compressed = (await compressChunk(text('codec', 32768), { compression: 'lzx' })) ?? Buffer.alloc(0)
  for (let n = 0; n < 200; n += 1) {
    const damaged = Buffer.from(compressed)
    const at = (n * 7919) % damaged.length
    damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << (n % 8)), at)
    // There is no checksum: it may decompress to something else, but it ends and stays in its room.
    await decompressChunk(damaged, 32768, { compression: 'lzx' }).then(
      whole => t.equal(whole.length, 32768),
      (error: unknown) => t.match(error, { code: 'WIM_CORRUPT' }),
    )
  }
  await t.rejects(decompressChunk(compressed.subarray(0, 10), 32768, { compression: 'lzx' }), { code: 'WIM_CORRUPT' })
  await t.rejects(decompressChunk(compressed, 0, { compression: 'lzx' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(decompressChunk(compressed, 9000, { compression: 'lzx', chunkSize: 8192 }), {
    code: 'INVALID_ARGUMENT',
  })
  await t.rejects(compressChunk(Buffer.alloc(0), { compression: 'lzx' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(compressChunk(Buffer.alloc(100_000), { compression: 'xpress' }), { code: 'INVALID_ARGUMENT' })
  t.throws(() => compressorMemory(4 << 20, { compression: 'lzx' }), { code: 'INVALID_ARGUMENT' })
})
