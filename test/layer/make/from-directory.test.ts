import { execFileSync } from 'node:child_process'
import { appendFileSync, chownSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { incompressible } from '../../../fixtures/make/bytes.js'
import { writeLayerFromDirectory } from '../../../src/layer/make/from-directory.js'
import { stowage } from '../../support/command.js'
import { pythonEntries } from '../../support/made-layers.js'
import { facts, makeTree, run } from '../../support/unix-tree.js'

const EXTRACT = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-p']

t.test('writeLayerFromDirectory() makes the layer from which GNU tar writes the same tree', async t => {
  const directory = t.testdir({ tree: {}, extracted: {} })
  const [tree, extracted, layer] = [
    join(directory, 'tree'),
    join(directory, 'extracted'),
    join(directory, 'layer.tar.gz'),
  ]
  makeTree(tree)
  writeFileSync(join(tree, 'big'), incompressible('big', 3_000_000))
  const made = await writeLayerFromDirectory(tree, layer, { keepOwner: true })
  t.equal(run('tar', ['xf', layer, '-C', extracted, ...EXTRACT]), '')
  t.equal(facts(extracted), facts(tree), 'to the nanosecond, and directories too')
  const entries = pythonEntries(layer)
  const count = (type: string): number => entries.filter(entry => entry.type === type).length
  t.match(made.counts, {
    directories: count('5'),
    files: count('0'),
    hardLinks: count('1'),
    symlinks: count('2'),
    devices: 3,
  })
  t.equal(made.digest.slice(7), run('sha256sum', [layer]).slice(0, 64))
  const bytes = execFileSync('gunzip', ['-c', layer], { maxBuffer: 1 << 28 })
  t.equal(bytes.length, made.uncompressedSize)
  const names = entries.map(({ name }) => name)
  t.same(
    names.filter(name => !name.includes('/') && name !== '.'),
    readdirSync(tree, { encoding: 'buffer' }).sort(Buffer.compare).map(String),
    'in the order of bytes',
  )
})

t.test(
  'writeLayerFromDirectory() gives the same bytes whoever packs, on any number of threads, in any order on disk',
  async t => {
    const directory = t.testdir({ a: {}, b: {} })
    const names = ['z', 'B', 'a', 'ä', 'sub/2', 'sub/10']
    for (const [tree, order] of [
      ['a', names],
      ['b', [...names].reverse()],
    ] as const) {
      mkdirSync(join(directory, tree, 'sub'))
      for (const name of order) writeFileSync(join(directory, tree, name), `content of ${name}`.repeat(20_000))
      for (const name of [...order, 'sub', '.']) utimesSync(join(directory, tree, name), 1e9, 1.5e9 + 0.25)
    }
    chownSync(join(directory, 'b/z'), 12, 34)
    const output = join(directory, 'layer')
    const first = await writeLayerFromDirectory(join(directory, 'a'), output, { threads: 1 })
    for (const threads of [2, 5])
      t.same(await writeLayerFromDirectory(join(directory, 'b'), output, { threads, force: true }), first)
    t.not(
      (await writeLayerFromDirectory(join(directory, 'b'), output, { keepOwner: true, force: true })).diffId,
      first.diffId,
    )
    const clamped = await writeLayerFromDirectory(join(directory, 'a'), output, { epoch: 1_200_000_000, force: true })
    t.not(clamped.diffId, first.diffId)
    t.ok(pythonEntries(output).every(({ mtime }) => mtime === 1_200_000_000))
    await writeLayerFromDirectory(join(directory, 'a'), output, { epoch: 1_600_000_000, force: true })
    t.ok(
      pythonEntries(output).every(({ mtime }) => mtime === 1_500_000_000.25),
      'no time is moved forward',
    )
  },
)

t.test(
  'writeLayerFromDirectory() refuses files that change or vanish while they are read, and leaves nothing',
  async t => {
    const directory = t.testdir({ tree: { first: 'x' }, out: {} })
    const [tree, out] = [join(directory, 'tree'), join(directory, 'out')]
    for (const size of [1000, 3_000_000]) {
      const late = join(tree, 'late')
      for (const [code, change] of [
        ['IO_ERROR', () => appendFileSync(late, 'more')],
        ['IO_ERROR', () => utimesSync(late, 1, 1)],
        ['FILE_NOT_FOUND', () => rmSync(late)],
      ] as const) {
        writeFileSync(late, Buffer.alloc(size))
        const fill = Array.from({ length: 60 }, (_, n) => join(tree, `b${n}`))
        for (const path of fill) writeFileSync(path, Buffer.alloc(200_000))
        let changed = false
        await t.rejects(
          writeLayerFromDirectory(tree, join(out, 'layer'), {
            onProgress: event => {
              if (event.type !== 'bytes' || changed) return
              changed = true
              change()
            },
          }),
          { code, message: /late/ },
        )
        t.same(readdirSync(out), [])
      }
    }
  },
)

t.test('writeLayerFromDirectory() refuses what a layer cannot hold, naming it', async t => {
  const directory = t.testdir({ tree: {}, file: 'x' })
  const [tree, output] = [join(directory, 'tree'), join(directory, 'layer')]
  await t.rejects(writeLayerFromDirectory(join(directory, 'file'), output), { code: 'INVALID_ARGUMENT' })
  await t.rejects(writeLayerFromDirectory(join(directory, 'none'), output), { code: 'FILE_NOT_FOUND' })
  await t.rejects(writeLayerFromDirectory(tree, join(tree, 'layer')), {
    code: 'INVALID_ARGUMENT',
    message: /part of itself/,
  })
  run('python3', ['-c', 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'], tree)
  await t.rejects(writeLayerFromDirectory(tree, output), { code: 'LAYER_UNSUPPORTED', message: /sock \(a socket\)/ })
  t.same((await writeLayerFromDirectory(tree, output, { skipUnsupported: true })).skipped, ['sock (a socket)'])
  writeFileSync(join(tree, '.wh.x'), '')
  await t.rejects(writeLayerFromDirectory(tree, output, { force: true }), {
    code: 'LAYER_UNSUPPORTED',
    message: /\.wh\.x/,
  })
  rmSync(join(tree, '.wh.x'))
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0x61, 0xff])]), '')
  await t.rejects(writeLayerFromDirectory(tree, output, { force: true }), {
    code: 'LAYER_UNSUPPORTED',
    message: /not UTF-8/,
  })
  await t.rejects(writeLayerFromDirectory(tree, output), { code: 'OUTPUT_EXISTS' })
})

t.test('stowage layer from-dir prints what it made, honours SOURCE_DATE_EPOCH, and says what is wrong', async t => {
  const cwd = t.testdir({ tree: { file: 'content' } })
  const words = ['layer', 'from-dir', 'tree', '-o', 'layer.tar.zst', '--compression', 'zstd']
  const { code, stdout, stderr } = await stowage([...words, '--json'], {
    cwd,
    env: { SOURCE_DATE_EPOCH: '1000000000' },
  })
  t.equal(code, 0, stderr)
  t.match(JSON.parse(stdout), {
    schema: 'stowage.layer/v1',
    path: 'layer.tar.zst',
    counts: { files: 1, directories: 1 },
    mediaType: /zstd$/,
  })
  t.match(run('bsdtar', ['-tvf', join(cwd, 'layer.tar.zst')]), /^-rw.* 0 +0 +0 +7 Sep +9 +2001 file$/m)
  t.match((await stowage([...words, '--force'], { cwd })).stdout, /^entries +1 directory, 1 file$/m)
  t.match(await stowage(words, { cwd }), { code: 1, stderr: /exists already/ })
  t.match(await stowage([...words, '--force'], { cwd, env: { SOURCE_DATE_EPOCH: 'now' } }), {
    code: 2,
    stderr: /SOURCE_DATE_EPOCH/,
  })
  t.match(await stowage(['layer', 'from-dir', 'tree', '-o', 'tree/x'], { cwd }), { code: 2, stderr: /part of itself/ })
  t.ok(statSync(join(cwd, 'layer.tar.zst')).size > 100)
})
