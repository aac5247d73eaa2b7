import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { open, readFile, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { HashPool } from '../../src/blob/hash-pool.js'
import { blobPath } from '../../src/oci/layout.js'
import type { ProgressEvent } from '../../src/progress.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { writeBundle } from '../support/bundles.js'
import { layeredImage, noise } from '../support/images.js'

// Layers large enough to be hashed on threads of their own
const image = await layeredImage(3, { size: 6_000_000 })
const layer = blobPath(image.layers[1]!.digest)

const quiet = { onRead: () => undefined }

for (const addon of [true, false]) {
  t.test(`HashPool.hash() gives what sha256sum says of a range, ${addon ? 'by the addon' : 'in workers'}`, async t => {
    const file = join(t.testdir(), 'file')
    const bytes = noise(40_000_000, 'range')
    await writeFile(file, bytes)
    await using pool = new HashPool({ addon })
    const reads: number[] = []
    const whole = await pool.hash([{ file, offset: 0, size: bytes.length }], { onRead: read => reads.push(read) })
    t.equal(whole.digest.slice(7), execFileSync('sha256sum', [file], { encoding: 'utf8' }).slice(0, 64))
    t.ok(reads.length > 0 && reads.every((read, n) => read > (reads[n - 1] ?? 0)))
    const part = await pool.hash([{ file, offset: 12_345, size: 5_000_000 }], quiet)
    t.equal(part.digest.slice(7), createHash('sha256').update(bytes.subarray(12_345, 5_012_345)).digest('hex'))
    t.match(
      await pool.hash([{ file, offset: 39_000_000, size: 2_000_000 }], quiet),
      { read: 1_000_000 },
      'an end before the end',
    )
    const several = [
      { file, offset: 12_345, size: 20_000_000 },
      { file, offset: 0, size: 100 },
    ]
    const joined = createHash('sha256').update(bytes.subarray(12_345, 20_012_345)).update(bytes.subarray(0, 100))
    t.match(await pool.hash(several, quiet), { digest: `sha256:${joined.digest('hex')}`, read: 20_000_100 })
  })

  t.test(
    `HashPool.hash() names what cannot be read, and goes on, ${addon ? 'by the addon' : 'in workers'}`,
    async t => {
      const directory = t.testdir({ file: 'x', link: t.fixture('symlink', 'file') })
      await using pool = new HashPool({ addon })
      const hash = (name: string) => pool.hash([{ file: join(directory, name), offset: 0, size: 1 }], quiet)
      await t.rejects(hash('none'), { code: 'FILE_NOT_FOUND', message: /none does not exist/ })
      await t.rejects(hash('link'), { code: 'INVALID_ARGUMENT' })
      t.match(await hash('file'), { read: 1 })
      await t.rejects(
        pool.hash([{ file: join(directory, 'file'), offset: 0, size: 1 }], { ...quiet, signal: AbortSignal.abort() }),
        { code: 'ABORTED' },
      )
    },
  )
}

t.test('verifyBundle() finds defects in large files, in a directory and in a tar behind a link', async t => {
  const directory = t.testdir()
  const bundle = join(directory, 'bundle')
  await writeBundle(bundle, { 'big:1': image })
  await writeBundle(join(directory, 'real.tar'), { 'big:1': image })
  await symlink('real.tar', join(directory, 'link.tar'))
  const events: ProgressEvent[] = []
  for (const path of [bundle, join(directory, 'link.tar')]) {
    t.match(await verifyBundle(path, { onProgress: event => events.push(event) }), { ok: true, findings: [] })
  }
  const done = events.flatMap(event => (event.type === 'bytes' && event.subject === bundle ? [event.done] : []))
  t.same(
    done,
    [...done].sort((a, b) => a - b),
    'progress never falls',
  )
  const found = async (path: string) => (await verifyBundle(path)).findings.map(({ code, path }) => `${code} ${path}`)
  const file = await open(join(bundle, layer), 'r+')
  await file.write(Buffer.from([1, 2, 3]), 0, 3, 4_000_000)
  await file.close()
  t.same(await found(bundle), [`DIGEST_MISMATCH ${layer}`])
  await truncate(join(bundle, layer), 5_000_000)
  t.same(await found(bundle), [`SIZE_MISMATCH ${layer}`])
  const tar = await readFile(join(directory, 'real.tar'))
  tar[tar.length - 5_000_000] = (tar[tar.length - 5_000_000] ?? 0) ^ 1
  await writeFile(join(directory, 'real.tar'), tar)
  t.match(await found(join(directory, 'link.tar')), [/^DIGEST_MISMATCH blobs/])
})

t.test('verifyBundle() stops in the middle of a large file', async t => {
  const bundle = join(t.testdir(), 'bundle')
  await writeBundle(bundle, { 'big:1': image })
  const controller = new AbortController()
  const onProgress = (event: ProgressEvent): void => {
    if (event.type === 'bytes') controller.abort()
  }
  await t.rejects(verifyBundle(bundle, { signal: controller.signal, onProgress }), { code: 'ABORTED' })
})
