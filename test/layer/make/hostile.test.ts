import { execFileSync } from 'node:child_process'
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { type LayerFromWimOptions, writeLayerFromWim } from '../../../src/layer/make/from-wim.js'
import { openWim } from '../../../src/wim/wim-file.js'
import { directoryWim, patchMetadata, renameIn, richWim, splitWim, wimlib } from '../../support/wims.js'

const RAW = ['--compress=none']

async function make(wim: string, output: string, options: LayerFromWimOptions & { force?: boolean } = {}) {
  await using opened = await openWim(wim)
  return await writeLayerFromWim(opened, output, options)
}

const listing = (layer: string): string[] =>
  execFileSync('tar', ['tvf', layer, '--warning=no-unknown-keyword'], { encoding: 'utf8' }).trimEnd().split('\n')

t.test('writeLayerFromWim() links names of one content alone, whatever numbers they share', async t => {
  const directory = t.testdir({ tree: { a: 'content of a', b: 'content of b' } })
  linkSync(join(directory, 'tree/a'), join(directory, 'tree/c'))
  linkSync(join(directory, 'tree/b'), join(directory, 'tree/d'))
  wimlib('capture', join(directory, 'tree'), join(directory, 'x.wim'), 'links', ...RAW)
  patchMetadata(join(directory, 'x.wim'), metadata => {
    // The number of a's group for b's as well: each file's stands 12 bytes before its name.
    const at = (name: string): number => metadata.indexOf(Buffer.from(`${name}\0`, 'utf16le')) - 14
    for (const name of ['b', 'd']) metadata.copy(metadata, at(name), at('a'), at('a') + 8)
  })
  await make(join(directory, 'x.wim'), join(directory, 'x.tar'), { compression: { type: 'none' } })
  const applied = join(directory, 'applied')
  mkdirSync(applied)
  execFileSync('tar', ['xf', join(directory, 'x.tar'), '-C', applied, '--warning=no-unknown-keyword'])
  for (const [name, content] of Object.entries({
    a: 'content of a',
    b: 'content of b',
    c: 'content of a',
    d: 'content of b',
  })) {
    t.equal(readFileSync(join(applied, 'Files', name), 'utf8'), content, name)
  }
  t.equal(listing(join(directory, 'x.tar')).filter(line => line.startsWith('h')).length, 2)
})

t.test('writeLayerFromWim() refuses names that Windows refuses, and marks of deletion', async t => {
  for (const name of [
    'a*bcdef',
    'a?bcdef',
    'a"bcdef',
    'a<bcdef',
    'a|bcdef',
    'a\u0001bcdef',
    'a\nbcdef',
    '.wh.abc',
    'a\\bcdef',
    '..\\abcd',
    'a\0bcdef',
  ]) {
    const wim = directoryWim(t, { files: { harmless: Buffer.from('x') }, args: RAW })
    patchMetadata(wim, metadata => renameIn(metadata, 'harmless'.slice(0, 7), name))
    await t.rejects(make(wim, join(t.testdir(), 'x')), { code: 'LAYER_UNSUPPORTED' }, JSON.stringify(name))
  }
})

t.test('writeLayerFromWim() never lets a name climb out', async t => {
  for (const [from, to] of [
    ['ab', '..'],
    ['a', '.'],
    ['a/b', '../'],
  ] as const) {
    const wim = directoryWim(t, { files: { [from.replace('/', '_')]: Buffer.from('x') }, args: RAW })
    patchMetadata(wim, metadata => renameIn(metadata, from.replace('/', '_'), to))
    await t.rejects(make(wim, join(t.testdir(), 'x')), { code: 'LAYER_UNSUPPORTED' }, to)
  }
})

t.test('writeLayerFromWim() puts nothing below a link, and takes no file for a root', async t => {
  const wim = directoryWim(t, { files: { 'd/evil': Buffer.from('x') }, args: RAW })
  patchMetadata(wim, metadata => {
    const name = metadata.indexOf(Buffer.from('d\0', 'utf16le')) - 102
    metadata.writeUInt32LE(metadata.readUInt32LE(name + 8) | 0x400, name + 8)
    metadata.writeUInt32LE(0xa000000c, name + 88)
  })
  await t.rejects(make(wim, join(t.testdir(), 'x')), { code: /LAYER_UNSUPPORTED|WIM_CORRUPT/ })
  const file = directoryWim(t, { args: RAW })
  patchMetadata(file, metadata => {
    const root = (metadata.readUInt32LE(0) + 7) & ~7
    metadata.writeUInt32LE(0x20, root + 8)
  })
  await t.rejects(make(file, join(t.testdir(), 'x')), {
    code: 'WIM_CORRUPT',
    message: /root of the image.* is not a directory/,
  })
})

t.test('openWim() refuses directories that contain themselves or overlap', async t => {
  for (const shift of [0, 8]) {
    const wim = directoryWim(t, { files: { 'd/e/f': Buffer.from('x') }, args: RAW })
    patchMetadata(wim, metadata => {
      const at = (name: string): number => metadata.indexOf(Buffer.from(`${name}\0`, 'utf16le')) - 102
      metadata.writeBigUInt64LE(metadata.readBigUInt64LE(at('d') + 16) + BigInt(shift), at('e') + 16)
    })
    await t.rejects(make(wim, join(t.testdir(), 'x')), { code: 'WIM_CORRUPT' }, `shifted by ${shift}`)
  }
})

t.test('openWim() takes regular files alone, and looks past what else stands beside a part', async t => {
  const directory = t.testdir()
  execFileSync('mkfifo', [join(directory, 'fifo.wim')])
  for (const path of [join(directory, 'fifo.wim'), directory, '/dev/null']) {
    await t.rejects(
      openWim(path),
      { code: 'INVALID_ARGUMENT', message: /is (?:not a regular file|a directory, not a WIM)/ },
      path,
    )
  }
  const parts = splitWim(t)
  const beside = dirname(parts[0] ?? '')
  execFileSync('mkfifo', [join(beside, 'rich77.swm')])
  mkdirSync(join(beside, 'rich78.swm'))
  await using wim = await openWim(parts[1] ?? '')
  t.equal(wim.parts.length, parts.length)
})

t.test('writeLayerFromWim() replaces nothing but a regular file, and never the WIM itself', async t => {
  const wim = richWim(t, 'xpress')
  const size = statSync(wim).size
  const directory = t.testdir({ there: 'precious' })
  symlinkSync('there', join(directory, 'link'))
  symlinkSync('nowhere', join(directory, 'dangling'))
  execFileSync('mkfifo', [join(directory, 'fifo')])
  for (const force of [false, true]) {
    for (const name of ['link', 'dangling', 'fifo', '.']) {
      await t.rejects(make(wim, join(directory, name), { force }), { code: 'INVALID_ARGUMENT' }, name)
    }
  }
  linkSync(wim, join(dirname(wim), 'other-name'))
  await t.rejects(make(wim, wim, { force: true }), { code: 'INVALID_ARGUMENT', message: /is also an input file/ })
  await t.rejects(make(wim, join(dirname(wim), 'other-name'), { force: true }), { code: 'INVALID_ARGUMENT' })
  t.equal(statSync(wim).size, size)
  t.equal(readFileSync(join(directory, 'there'), 'utf8'), 'precious')
  await t.rejects(make(wim, ''), { code: 'INVALID_ARGUMENT' })
  await t.rejects(make(wim, join(directory, 'none', 'x')), {
    code: 'FILE_NOT_FOUND',
    message: /none does not exist, so/,
  })
  await t.rejects(make(wim, join(directory, 'n'.repeat(300))), { code: 'INVALID_ARGUMENT' })
  t.same(readdirSync(directory).sort(), ['dangling', 'fifo', 'link', 'there'])
})

t.test('writeLayerFromWim() of two at once lets one have the name', async t => {
  const wim = richWim(t, 'none')
  const output = join(t.testdir(), 'x')
  const results = await Promise.allSettled([make(wim, output), make(wim, output, { threads: 1 })])
  t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  t.match(
    results.find(({ status }) => status === 'rejected'),
    { reason: { code: 'OUTPUT_EXISTS' } },
  )
  t.same(readdirSync(t.testdirName), ['x'])
})

t.test('writeLayerFromWim() fails with what onProgress throws, and leaves nothing', async t => {
  const wim = richWim(t)
  const directory = t.testdir()
  const onProgress = (event: { type: string }): void => {
    if (event.type === 'bytes') throw new RangeError('from the caller')
  }
  await t.rejects(make(wim, join(directory, 'x'), { onProgress }), RangeError)
  t.same(readdirSync(directory), [])
})

t.test('writeLayerFromWim() holds no file and no thread when it is done', async t => {
  const wim = richWim(t)
  const directory = t.testdir()
  const held = (): [files: number, threads: number] => {
    const files = readdirSync('/proc/self/fd').length
    return [files, readdirSync('/proc/self/task').length]
  }
  await make(wim, join(directory, 'first'))
  const before = held()
  for (const name of ['a', 'b', 'c']) await make(wim, join(directory, name), { threads: 8 })
  const after = held()
  t.ok(after[0] <= before[0], `${before[0]} files before, ${after[0]} after`)
  t.ok(after[1] <= before[1], `${before[1]} threads before, ${after[1]} after`)
})

t.test('writeLayerFromWim() says so when the WIM ends while it is read', async t => {
  const wim = richWim(t, 'none')
  const opened = await openWim(wim)
  writeFileSync(wim, readFileSync(wim).subarray(0, 100_000))
  const output = join(t.testdir(), 'x')
  await t.rejects(writeLayerFromWim(opened, output), {
    code: 'WIM_CORRUPT',
    message: /ends before that; it had \d+ bytes when it was opened/,
  })
  await opened[Symbol.asyncDispose]()
  renameSync(wim, `${wim}.moved`)
  t.same(readdirSync(t.testdirName), [])
})

t.test('WimFile.readBlobs() refuses threads that make no sense', async t => {
  await using wim = await openWim(richWim(t))
  for (const threads of [0, 60_000]) {
    await t.rejects(wim.readBlobs([0], { threads })[Symbol.asyncIterator]().next(), { code: 'INVALID_ARGUMENT' })
  }
})
