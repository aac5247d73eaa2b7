import { createHash } from 'node:crypto'
import { linkSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { createWim, openWim } from '../../src/wim/wim-file.js'
import { craftWim, directory, file } from '../fuzz/crafted-wim.js'
import { directoryWim, richWim, splitWim, wimlib } from '../support/wims.js'

const HELLO = createHash('sha1').update('hello').digest('hex')

/** A WIM, and a delta of it with a new file and another name for an old one, in both images. */
function deltaWim(t: Test): { readonly base: string; readonly delta: string } {
  const base = directoryWim(t, { files: { 'd/old': Buffer.from('hello'), 'd/older': Buffer.from('hi') } })
  const [delta, tree] = [join(dirname(base), 'delta.wim'), join(dirname(base), 'tree')]
  writeFileSync(join(tree, 'new'), 'world')
  linkSync(join(tree, 'd/old'), join(tree, 'link'))
  wimlib('capture', tree, delta, 'delta', `--delta-from=${base}`)
  writeFileSync(join(tree, 'd/older'), 'is here')
  wimlib('append', tree, delta, 'second', `--delta-from=${base}`)
  return { base, delta }
}

t.test('WimFile.countBlobs() counts what a delta WIM lacks until its base is there, and nothing of others', async t => {
  const { base, delta } = deltaWim(t)
  await using wim = await openWim(delta)
  t.same(await wim.countBlobs(), {
    used: 4,
    missing: 2,
    images: [
      { used: 3, missing: 2 },
      { used: 3, missing: 1 },
    ],
  })
  await wim.referenceFiles([base])
  t.match(await wim.countBlobs(), { used: 4, missing: 0 })
  for (const whole of [richWim(t), richWim(t, 'solid'), splitWim(t)[0] ?? '']) {
    await using other = await openWim(whole)
    const { used, missing, images } = await other.countBlobs()
    const { blobs } = await other.verify()
    t.same({ used, missing, images: images.length }, { used: blobs, missing: 0, images: 2 })
  }
})

t.test('WimFile.missingFiles() names every name of a file that lacks content', async t => {
  await using wim = await openWim(deltaWim(t).delta)
  const files = await wim.missingFiles('all')
  t.same(
    files.map(({ image, path }) => `${image} ${path}`),
    ['1 /d/old', '1 /d/older', '1 /link', '2 /d/old', '2 /link'],
  )
  t.match(files[0], { sha1: [HELLO], directory: false })
  t.same(
    (await wim.missingFiles(2)).map(({ path }) => path),
    ['/d/old', '/link'],
  )
})

t.test('WimFile.deleteMissing() leaves what can be extracted, and the file as it was', async t => {
  const { delta } = deltaWim(t)
  const before = readFileSync(delta)
  const target = t.testdir()
  await using wim = await openWim(delta)
  await t.rejects(wim.extract(1, target), { code: 'BLOB_MISSING', hint: /--ref.*--skip-missing/ })
  t.equal((await wim.deleteMissing(1)).length, 3)
  t.same(await wim.missingFiles(1), [])
  t.equal((await wim.missingFiles(2)).length, 2, 'the other image has its files')
  await wim.extract(1, target)
  t.equal(readFileSync(join(target, 'new'), 'utf8'), 'world')
  t.ok(readFileSync(delta).equals(before))
})

t.test('WimFile.deleteMissing() refuses to leave out a directory, and deletes nothing', async t => {
  const path = join(t.testdir(), 'made.wim')
  const gone = { sha1: 'ab'.repeat(20), name: 'stream' }
  craftWim(path, [
    {
      tree: [
        { ...directory('d', [file('f')]), streams: [gone] },
        { ...file('g'), streams: [gone] },
      ],
    },
  ])
  await using wim = await openWim(path)
  t.match(await wim.missingFiles(1), [
    { path: '/d', directory: true, sha1: [gone.sha1] },
    { path: '/g', directory: false, sha1: [gone.sha1] },
  ])
  await t.rejects(wim.deleteMissing(1), { code: 'BLOB_MISSING', message: /\/d is not in/, hint: /directory/ })
  t.equal((await wim.missingFiles(1)).length, 2)
})

t.test('WimFile.countBlobs() reads no metadata twice, and refuses images whose metadata overlap', async t => {
  const path = join(t.testdir(), 'x.wim')
  const images = 12
  craftWim(
    path,
    Array.from({ length: images }, (_, n) => ({ tree: [directory('d', [file(`f${n}`, `content ${n}`)])] })),
  )
  {
    await using wim = await openWim(path)
    t.match(await wim.countBlobs(), { used: images, missing: 0 })
  }
  const wim = readFileSync(path)
  const table = Number(wim.readBigUInt64LE(0x38))
  const entries = Array.from({ length: Number(wim.readBigUInt64LE(0x30) & 0xffffffn) / 50 }, (_, n) => table + 50 * n)
  const metadata = entries.filter(at => wim.readUInt8(at + 7) === 2)
  t.equal(metadata.length, images)
  const begin = Math.min(...metadata.map(at => Number(wim.readBigUInt64LE(at + 8))))
  const end = Math.max(...metadata.map(at => Number(wim.readBigUInt64LE(at + 8) + wim.readBigUInt64LE(at + 16))))
  for (const [n, at] of metadata.entries()) {
    const size = end - begin - 8 * n
    wim.writeBigUInt64LE(BigInt(size) | (2n << 56n), at)
    wim.writeBigUInt64LE(BigInt(begin), at + 8)
    wim.writeBigUInt64LE(BigInt(size), at + 16)
    createHash('sha1')
      .update(wim.subarray(begin, begin + size))
      .digest()
      .copy(wim, at + 30)
  }
  writeFileSync(path, wim)
  await using hostile = await openWim(path)
  await t.rejects(hostile.countBlobs(), { code: 'WIM_CORRUPT', message: /overlaps/ })
})

t.test('WimFile.countBlobs() says of a WIM in memory that it has no file yet', async t => {
  await using wim = await createWim()
  await t.rejects(wim.countBlobs(), { code: 'INVALID_ARGUMENT' })
})
