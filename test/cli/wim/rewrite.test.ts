import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { incompressible } from '../../../fixtures/make/bytes.js'
import { imagex, sampleTree, stowageWim, told } from '../../support/wim-compare.js'
import { richWim, splitWim } from '../../support/wims.js'

const cwd = t.testdir({ tree: {} })
sampleTree(join(cwd, 'tree'))
writeFileSync(join(cwd, 'tree', 'large.bin'), incompressible('large', 1_500_000))
imagex(['capture', 'tree', 'tree.wim', 'one', 'the first', '--check'], { cwd })
imagex(['append', 'tree/data', 'tree.wim', 'two', '--boot'], { cwd })
imagex(['capture', 'tree/names', 'small.wim', 'small', '--compress=xpress', '--chunk-size=8K'], { cwd })

/** Runs both programs on a copy of `original` each, or on none, named `theirs.wim` and `ours.wim`, and compares those. */
async function same(t: Test, original: string | undefined, words: (wim: string) => readonly string[]): Promise<void> {
  for (const name of ['theirs.wim', 'ours.wim']) {
    rmSync(join(cwd, name), { force: true })
    if (original !== undefined) copyFileSync(join(cwd, original), join(cwd, name))
  }
  const theirs = imagex(words('theirs.wim'), { cwd })
  const ours = await stowageWim(words('ours.wim'), { cwd })
  t.equal(ours.code === 0, theirs.code === 0, `${words('ours.wim').join(' ')}: ${ours.stderr}${theirs.stderr}`)
  // The metadata of directories with streams is put right, and gets shorter
  const facts = (name: string): string => told(join(cwd, name)).replace(/^Size: .*$/m, '')
  if (existsSync(join(cwd, 'theirs.wim'))) t.equal(facts('ours.wim'), facts('theirs.wim'), words('ours.wim').join(' '))
  else t.notOk(existsSync(join(cwd, 'ours.wim')))
}

t.test('wim delete - deletes what wimlib-imagex deletes', async t => {
  await same(t, 'tree.wim', wim => ['delete', wim, '1'])
  await same(t, 'tree.wim', wim => ['delete', wim, 'two', '--soft', '--check'])
  await same(t, 'tree.wim', wim => ['delete', wim, 'all', '--include-integrity'])
  await same(t, 'small.wim', wim => ['delete', wim, '1', '--unsafe-compact'])
  await same(t, 'tree.wim', wim => ['delete', wim, '3'])
  const { stdout } = await stowageWim(['delete', 'ours.wim', '2', '--json'], { cwd })
  t.same(JSON.parse(String(stdout)), { schema: 'stowage.wim-delete/v1', path: 'ours.wim', image: 2, name: 'two' })
})

t.test('wim export - exports what wimlib-imagex exports, to a new WIM and to one that is there', async t => {
  const rich = richWim(t)
  for (const words of [
    [],
    ['renamed', 'described', '--boot', '--check'],
    ['--compress=fast', '--chunk-size=64K'],
    ['--solid', '--solid-chunk-size=1M'],
    ['--wimboot'],
    ['--recompress', '--compress=lzx:20', '--nocheck'],
    ['--pipable', '--include-integrity'],
    ['--rebuild'],
    ['--unsafe-compact'],
  ])
    await same(t, undefined, wim => ['export', 'tree.wim', '2', wim, ...words])
  await same(t, undefined, wim => ['export', 'small.wim', 'small', wim, ''])
  await same(t, undefined, wim => ['export', 'tree.wim', 'all', wim, '--boot'])
  await same(t, undefined, wim => ['export', rich, 'all', wim, '--compress=none'])
  for (const words of [
    [],
    ['renamed'],
    ['--rebuild', '--check'],
    ['--unsafe-compact'],
    ['--pipable'],
    ['--compress=lzms'],
    ['--boot', '--threads=2'],
  ]) {
    await same(t, 'small.wim', wim => ['export', 'tree.wim', '1', wim, ...words])
  }
  await same(t, 'tree.wim', wim => ['export', 'tree.wim', '1', wim])
})

t.test('wim export - writes a pipable WIM to stdout, and reads split WIMs', async t => {
  const theirs = imagex(['export', 'tree.wim', '1', '-'], { cwd })
  const ours = await stowageWim(['export', 'tree.wim', '1', '-'], { cwd })
  t.equal(ours.code, 0, ours.stderr)
  for (const [name, { stdout }] of [
    ['theirs', theirs],
    ['ours', ours],
  ] as const)
    writeFileSync(join(cwd, `${name}.wim`), stdout)
  t.equal(told(join(cwd, 'ours.wim')), told(join(cwd, 'theirs.wim')))
  const [first = ''] = splitWim(t)
  await same(t, undefined, wim => ['export', first, 'all', wim, `--ref=${first.replace('.swm', '*.swm')}`])
})

t.test('wim optimize - makes what wimlib-imagex makes', async t => {
  for (const words of [
    [],
    ['--recompress'],
    ['--compress=xpress:80', '--chunk-size=4K'],
    ['--solid', '--compress=lzx', '--solid-compress=lzx:20', '--solid-chunk-size=128K'],
    ['--pipable'],
    ['--nocheck', '--unsafe-compact'],
    ['--compress=none', '--not-pipable', '--check', '--threads=1'],
  ])
    await same(t, 'tree.wim', wim => ['optimize', wim, ...words])
  await stowageWim(['optimize', 'ours.wim', '--solid', '--solid-chunk-size=1M'], { cwd })
  t.match(told(join(cwd, 'ours.wim')), /^Compression: +LZMS\nChunk Size: +131072 /m, 'as from wimlib 1.14')
  await stowageWim(['optimize', 'ours.wim', '--compress=none'], { cwd })
  const { stdout } = await stowageWim(['optimize', 'ours.wim', '--compress=max', '--json'], { cwd })
  const { size, sizeBefore } = JSON.parse(String(stdout))
  t.ok(size < sizeBefore)
  t.equal(size, readFileSync(join(cwd, 'ours.wim')).length)
})

t.test('wim split and join - make what wimlib-imagex makes', async t => {
  for (const words of [['0.5'], ['1', '--check'], ['100', '--include-integrity']]) {
    for (const name of ['theirs', 'ours']) rmSync(join(cwd, name), { recursive: true, force: true })
    for (const name of readdirSync(cwd).filter(each => each.endsWith('.swm'))) rmSync(join(cwd, name))
    imagex(['split', 'tree.wim', 'theirs.swm', ...words], { cwd })
    const split = await stowageWim(['split', 'tree.wim', 'ours.swm', ...words, '--json'], { cwd })
    t.equal(split.code, 0, split.stderr)
    const parts = (name: string): string[] =>
      readdirSync(cwd)
        .filter(each => each.startsWith(name) && each.endsWith('.swm'))
        .sort()
    t.same(
      parts('ours').map(part => part.replace('ours', 'theirs')),
      parts('theirs'),
    )
    t.same(JSON.parse(String(split.stdout)).parts.toSorted(), parts('ours'))
    for (const part of parts('ours')) {
      const [ours, theirs] = [part, part.replace('ours', 'theirs')].map(name =>
        imagex(['info', name, '--blobs'], { cwd }),
      )
      t.equal(String(ours?.stdout), String(theirs?.stdout), part)
    }
    const options = words.slice(1)
    imagex(['join', 'theirs.wim', ...parts('theirs'), ...options], { cwd })
    const joined = await stowageWim(['join', 'ours.wim', ...parts('ours').reverse(), ...options], { cwd })
    t.equal(joined.code, 0, joined.stderr)
    t.equal(told(join(cwd, 'ours.wim')), told(join(cwd, 'theirs.wim')))
  }
})

t.test('wim delete, export, optimize, split and join - leave files alone where they refuse', async t => {
  for (const name of readdirSync(cwd).filter(each => each.endsWith('.swm'))) rmSync(join(cwd, name))
  await stowageWim(['split', 'tree.wim', 'part.swm', '0.5'], { cwd })
  const files = new Map(
    readdirSync(cwd, { withFileTypes: true })
      .filter(each => each.isFile())
      .map(({ name }) => [name, readFileSync(join(cwd, name))]),
  )
  const wrong: readonly (readonly [words: readonly string[], code: number, message: RegExp])[] = [
    [['delete', 'tree.wim'], 2, /IMAGE is missing: expected stowage wim delete WIMFILE IMAGE/],
    [['delete', 'tree.wim', 'nine'], 3, /no image "nine"/],
    [['delete', 'part.swm', '1'], 1, /split/],
    [['export', 'tree.wim', '1', 'tree.wim', 'three'], 2, /the source itself/],
    [['export', 'tree.wim', 'all', 'new.wim', 'name'], 2, /given the same name/],
    [['export', 'small.wim', 'all', 'new.wim', '--boot'], 2, /no image of small\.wim is bootable/],
    [['export', 'tree.wim', '1', 'small.wim', '--compress=lzx'], 2, /compressed with xpress, not lzx/],
    [['export', 'small.wim', '1', 'small2.wim', '--unsafe-compact'], 2, /is for an existing WIM/],
    [['export', 'tree.wim', '1', 'no/where.wim'], 3, /no/],
    [['export', 'tree.wim', '1', '-', '--not-pipable'], 2, /cannot be used together/],
    [['export', 'tree.wim', '1', 'new.wim', '--pipable', '--solid'], 2, /./],
    [['optimize', 'none.wim'], 3, /none\.wim does not exist/],
    [['optimize', 'tree.wim', '--solid-compress=none', '--solid'], 2, /always compressed/],
    [['optimize', 'tree.wim', '--compress=xpress', '--unsafe-compact'], 1, /compact/i],
    [['split', 'tree.wim', 'tree.wim', '1'], 2, /the WIM itself/],
    [['split', 'tree.wim', 'x.swm', '1M'], 2, /size of a part in MiB/],
    [['split', 'tree.wim', 'x.swm', '0'], 2, /size of a part in MiB/],
    [['join', 'part.swm', 'part.swm', 'part2.swm'], 2, /one of the parts itself/],
    [['join', 'new.wim', 'part2.swm'], 1, /3 parts in the split WIM/],
    [['join', 'new.wim', 'tree.wim', 'small.wim'], 1, /split WIM/],
    [['join', 'new.wim'], 2, /SPLIT_WIM_PART is missing: expected stowage wim join OUT_WIMFILE SPLIT_WIM_PART\.\.\./],
  ]
  for (const [words, code, message] of wrong) {
    const result = await stowageWim(words, { cwd })
    t.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`)
    t.match(result.stderr, message)
  }
  for (const [name, bytes] of files) t.ok(readFileSync(join(cwd, name)).equals(bytes), `${name} is as it was`)
  t.same(
    readdirSync(cwd).filter(name => !files.has(name) && name !== 'tree'),
    [],
    'and no other file is there',
  )
})
