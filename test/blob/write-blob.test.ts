import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import type { Bytes } from '../../src/blob/blob-store.js'
import { writeBlob } from '../../src/blob/write-blob.js'
import { describe } from '../../src/oci/descriptor.js'
import { noise } from '../support/images.js'

const MIB = 1024 * 1024

/** The bytes in pieces of odd sizes, so that none falls together with what the thread is given. */
async function* pieces(bytes: Uint8Array, from = 0): Bytes {
  let step = 77_777
  for (let at = from; at < bytes.length; at += step, step = (step * 7) % 300_007 || 1) {
    yield bytes.subarray(at, Math.min(at + step, bytes.length))
    step = Math.max(step, 1)
  }
}

for (const directory of [t.testdir(), '/dev/shm']) {
  for (const direct of [true, false]) {
    t.test(
      `a blob stands in its file as it came, ${direct ? 'past' : 'through'} the page cache, below ${directory === '/dev/shm' ? 'memory' : 'a disk'}`,
      async t => {
        const own = mkdtempSync(join(directory, 'stowage-write-'))
        t.teardown(() => rmSync(own, { recursive: true, force: true }))
        for (const size of [0, 1, 4095, 4096, MIB - 1, MIB, MIB + 1, 5 * MIB + 3, 7 * MIB]) {
          const bytes = noise(size, `blob ${size}`)
          const path = join(own, String(size))
          await writeFile(path, '')
          const blob = describe('application/octet-stream', bytes)
          await writeBlob({ path, offset: 0, held: 0, direct }, blob, () => pieces(bytes))
          t.equal(
            execFileSync('sha256sum', [path], { encoding: 'utf8' }).split(' ')[0],
            blob.digest.slice('sha256:'.length),
            `${size} bytes`,
          )
        }
      },
    )
  }
}

t.test('what a file holds already is hashed with the rest, and not believed', async t => {
  const bytes = noise(6 * MIB + 5, 'held')
  const blob = describe('application/octet-stream', bytes)
  const held = 3 * MIB + 4096
  for (const direct of [true, false]) {
    const path = join(t.testdir(), 'blob')
    await writeFile(path, bytes.subarray(0, held))
    await writeBlob({ path, offset: 0, held, direct }, blob, () => pieces(bytes, held))
    t.ok((await readFile(path)).equals(bytes))
    await writeFile(path, bytes.subarray(1, held + 1))
    await t.rejects(
      writeBlob({ path, offset: 0, held, direct }, blob, () => pieces(bytes, held)),
      { code: 'DIGEST_MISMATCH' },
    )
  }
})

t.test('a blob goes into the middle of a file, and touches nothing before or behind it', async t => {
  const path = join(t.testdir(), 'file')
  const bytes = noise(3 * MIB + 100, 'middle')
  await writeFile(path, noise(8 * MIB, 'around'))
  const file = await open(path, 'r+')
  await writeBlob({ path, open: file, offset: 512, held: 0, direct: false }, describe('x', bytes), () => pieces(bytes))
  await file.close()
  const whole = await readFile(path)
  const around = Buffer.from(noise(8 * MIB, 'around'))
  around.set(bytes, 512)
  t.ok(whole.equals(around))
})

t.test('a blob that is too long, too short or another is an error, and the file keeps what came', async t => {
  for (const size of [1000, 3 * MIB]) {
    const bytes = noise(size, 'wrong')
    const path = join(t.testdir(), 'blob')
    const place = { path, offset: 0, held: 0, direct: true }
    await writeFile(path, '')
    const blob = describe('x', bytes)
    await t.rejects(
      writeBlob(place, { ...blob, size: size + 1 }, () => pieces(bytes)),
      { code: 'SIZE_MISMATCH' },
    )
    t.equal((await readFile(path)).length, size)
    await t.rejects(
      writeBlob(place, { ...blob, size: size - 1 }, () => pieces(bytes)),
      { code: 'SIZE_MISMATCH' },
    )
    await t.rejects(
      writeBlob(place, { ...blob, digest: describe('x', noise(3, 'other')).digest }, () => pieces(bytes)),
      { code: 'DIGEST_MISMATCH' },
    )
  }
})

t.test('what ends in the middle is in the file up to there, so that another try can go on', async t => {
  const bytes = noise(4 * MIB, 'cut')
  const path = join(t.testdir(), 'blob')
  await writeFile(path, '')
  async function* cut(): Bytes {
    yield bytes.subarray(0, 2 * MIB + 777)
    throw new Error('the wire was cut')
  }
  await t.rejects(writeBlob({ path, offset: 0, held: 0, direct: true }, describe('x', bytes), cut), {
    message: 'the wire was cut',
  })
  t.ok((await readFile(path)).equals(bytes.subarray(0, 2 * MIB + 777)))
})

t.test('aborting ends it, and a file that cannot be written is told by its name', async t => {
  const bytes = noise(4 * MIB, 'abort')
  const path = join(t.testdir(), 'blob')
  await writeFile(path, '')
  const controller = new AbortController()
  async function* stopping(): Bytes {
    yield bytes.subarray(0, MIB)
    controller.abort()
    yield bytes.subarray(MIB)
  }
  const options = { signal: controller.signal }
  await t.rejects(writeBlob({ path, offset: 0, held: 0, direct: true }, describe('x', bytes), stopping, options), {
    code: 'ABORTED',
  })
  const gone = join(path, 'nothing')
  await t.rejects(
    writeBlob({ path: gone, offset: 0, held: 0, direct: true }, describe('x', bytes), () => pieces(bytes)),
    { message: new RegExp(gone) },
  )
  await t.rejects(
    writeBlob({ path: '/dev/full', offset: 0, held: 0, direct: false }, describe('x', bytes), () => pieces(bytes)),
    { code: 'NO_SPACE' },
  )
})

t.test('many blobs are written at a time, each to its own file', async t => {
  const directory = t.testdir()
  await Promise.all(
    Array.from({ length: 12 }, async (_, n) => {
      const bytes = noise(2 * MIB + n, `many ${n}`)
      const path = join(directory, String(n))
      await writeFile(path, '')
      await writeBlob({ path, offset: 0, held: 0, direct: true }, describe('x', bytes), () => pieces(bytes))
      t.ok((await readFile(path)).equals(bytes))
    }),
  )
})

t.test('a blob that stands in a file is read from there, not through JavaScript', async t => {
  const bytes = noise(9 * MIB + 77, 'source')
  const blob = describe('x', bytes)
  const own = t.testdir()
  const source = join(own, 'source')
  await writeFile(source, Buffer.concat([Buffer.alloc(1000), bytes, Buffer.alloc(1000)]))
  const never = (): Bytes => {
    throw new Error('read through JavaScript')
  }
  for (const direct of [true, false]) {
    const path = join(own, `direct ${direct}`)
    await writeFile(path, '')
    let saved = 0
    await writeBlob({ path, offset: 0, held: 0, direct }, blob, never, {
      place: { file: source, offset: 1000 },
      onSaved: size => (saved += size),
    })
    t.ok((await readFile(path)).equals(bytes))
    t.equal(saved, bytes.length)
  }
  const place = (file: string, offset = 1000) => ({ place: { file, offset } })
  const path = join(own, 'blob')
  const target = { path, offset: 0, held: 0, direct: false }
  await writeFile(path, '')
  await t.rejects(writeBlob(target, blob, never, place(source, 999)), { code: 'DIGEST_MISMATCH' })
  await t.rejects(writeBlob(target, blob, never, place(source, 3 * MIB)), { code: 'SIZE_MISMATCH' }, 'it ends early')
  await t.rejects(writeBlob(target, blob, never, place(join(own, 'none'))), {
    code: 'FILE_NOT_FOUND',
    message: `${join(own, 'none')} does not exist`,
  })
  await t.rejects(writeBlob(target, blob, never, place(own)), {
    code: 'INVALID_ARGUMENT',
    message: /^\S+: .*directory/,
  })
  await t.rejects(writeBlob(target, blob, never, { ...place(source), signal: AbortSignal.abort(new Error('stop')) }), {
    code: 'ABORTED',
  })
})

t.test('a process that exits in the middle of a layer ends', async t => {
  const own = t.testdir()
  const path = join(own, 'blob')
  await writeFile(path, '')
  const layer = join(own, 'layer.tar.gz')
  await writeFile(layer, gzipSync(noise(8 * MIB, 'layer'), { level: 1 }))
  const code = `
    const { BlobWriteJob } = require(${JSON.stringify(join(import.meta.dirname, '../../build/Release/stowage.node'))})
    const settings = { path: ${JSON.stringify(path)}, handle: -1, offset: 0, held: 0, direct: false, plain: true }
    const job = new BlobWriteJob(settings, () => undefined)
    job.push(require('fs').readFileSync(${JSON.stringify(layer)}).subarray(0, ${6 * MIB}))
    setTimeout(() => process.exit(7), Number(process.argv[1]))`
  for (const after of [1, 5, 20, 200]) {
    const { status, signal } = spawnSync(process.execPath, ['-e', code, String(after)], { timeout: 60_000 })
    t.same({ status, signal }, { status: 7, signal: null }, `after ${after} ms`)
  }
})
