import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { imagex, stowageWim } from '../../support/wim-compare.js'

const cwd = t.testdir({ tree: { d: { 'old.txt': 'old' }, 'other.txt': 'other' } })
imagex(['capture', 'tree', 'base.wim', 'base'], { cwd })
writeFileSync(join(cwd, 'tree/d/new.txt'), 'new')
linkSync(join(cwd, 'tree/d/old.txt'), join(cwd, 'tree/link.txt'))
imagex(['capture', 'tree', 'delta.wim', 'delta', '--delta-from=base.wim'], { cwd })

const wim = async (...words: readonly string[]): ReturnType<typeof stowageWim> => await stowageWim(words, { cwd })

t.test('wim info - says what a delta WIM lacks, until --ref names its base', async t => {
  const { stdout } = await wim('info', 'delta.wim')
  const [archive = '', image = ''] = String(stdout).split('Available Images:')
  t.match(archive, /^Missing Blobs: {2}2 of 3 \(a delta WIM: name its base with --ref\)$/m)
  t.match(image, /^Missing Blobs: {10}2 of 3$/m)
  t.match(JSON.parse(String((await wim('info', 'delta.wim', '--json')).stdout)), {
    wim: { usedBlobs: 3, missingBlobs: 2 },
    images: [{ usedBlobs: 3, missingBlobs: 2 }],
  })
  t.notMatch((await wim('info', 'delta.wim', '--ref=base.wim')).stdout, 'Missing')
  t.equal(String((await wim('info', 'base.wim')).stdout), String(imagex(['info', 'base.wim'], { cwd }).stdout))
})

t.test('wim info - shows a WIM whose metadata are damaged, and says that it does not know what is missing', async t => {
  const bytes = readFileSync(join(cwd, 'base.wim'))
  const table = Number(bytes.readBigUInt64LE(0x38))
  for (let at = table; at < table + Number(bytes.readBigUInt64LE(0x30) & 0xffffffn); at += 50)
    if (bytes.readUInt8(at + 7) & 2) bytes.writeUInt8(bytes.readUInt8(at + 30) ^ 1, at + 30)
  writeFileSync(join(cwd, 'damaged.wim'), bytes)
  const { code, stdout, stderr } = await wim('info', 'damaged.wim')
  t.equal(code, 0)
  t.match(stdout, /Name: +base/)
  t.match(stderr, /not known whether blobs are missing: .*damaged\.wim/)
})

t.test('wim apply --skip-missing - extracts the rest, names what it left out, and changes no file', async t => {
  const before = readFileSync(join(cwd, 'delta.wim'))
  const refused = await wim('apply', 'delta.wim', 'out')
  t.equal(refused.code, 4)
  t.match(refused.stderr, '--skip-missing')
  rmSync(join(cwd, 'out'), { recursive: true, force: true })
  const { code, stdout, stderr } = await wim('apply', 'delta.wim', 'out', '--skip-missing')
  t.equal(code, 0)
  t.equal(String(stdout), 'delta.wim: image 1 extracted to out, without 3 files whose content is missing\n')
  for (const path of ['/d/old.txt', '/link.txt', '/other.txt'])
    t.match(stderr, `Left out, as its content is missing: ${path}\n`)
  t.equal(readFileSync(join(cwd, 'out/d/new.txt'), 'utf8'), 'new')
  for (const path of ['d/old.txt', 'link.txt', 'other.txt']) t.notOk(existsSync(join(cwd, 'out', path)))
  t.ok(readFileSync(join(cwd, 'delta.wim')).equals(before))

  const whole = await wim('apply', 'delta.wim', 'whole', '--skip-missing', '--ref=base.wim', '--json')
  t.notOk('skipped' in JSON.parse(String(whole.stdout)))
  t.equal(readFileSync(join(cwd, 'whole/link.txt'), 'utf8'), 'old')
})

t.test('wim apply --skip-missing - is refused for a pipe', async t => {
  const { code, stderr } = await stowageWim(['apply', '-', 'piped', '--skip-missing'], { cwd })
  t.equal(code, 2)
  t.match(stderr, 'cannot be used with a pipe')
})

t.test('wim extract --skip-missing - speaks only of what was asked for', async t => {
  mkdirSync(join(cwd, 'part'))
  const extract = async (...words: readonly string[]): Promise<{ code: number; skipped: readonly string[] }> => {
    const { code, stdout } = await wim(
      'extract',
      'delta.wim',
      '1',
      ...words,
      '--skip-missing',
      '--dest-dir=part',
      '--json',
    )
    const { skipped = [] } = JSON.parse(String(stdout)) as { readonly skipped?: readonly { readonly path: string }[] }
    return { code, skipped: skipped.map(({ path }) => path) }
  }
  t.same(await extract('/d'), { code: 0, skipped: ['/d/old.txt'] })
  t.equal(readFileSync(join(cwd, 'part/d/new.txt'), 'utf8'), 'new')
  t.same(await extract('d/new.txt'), { code: 0, skipped: [] })
  t.same(await extract('*.txt'), { code: 0, skipped: ['/link.txt', '/other.txt'] })
  t.same(await extract('other.txt', '/d/new.txt'), { code: 0, skipped: ['/other.txt'] })
  t.same(await extract('--no-globs', 'other.txt', '/d/new.txt'), { code: 0, skipped: ['/other.txt'] })
  t.match(await extract('none.txt'), { code: 3, skipped: [] })
  const stdout = await wim('extract', 'delta.wim', '1', 'other.txt', 'd/new.txt', '--to-stdout', '--skip-missing')
  t.match(stdout, { code: 0, stderr: /Left out.*other\.txt/ })
  t.equal(String(stdout.stdout), 'new')
})
