/** What WimFile writes, judged by wimlib-imagex. */
import { execFileSync } from 'node:child_process'
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { openSync, closeSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { StowageError } from '../../src/errors.js'
import { WimlibError } from '../../src/wim/error.js'
import { joinWims } from '../../src/wim/join.js'
import { extractFromPipe } from '../../src/wim/pipe.js'
import { createWim, openWim, type WimFile } from '../../src/wim/wim-file.js'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { blobsOf, corruptBlob, directoryWim, richWim, splitWim, wimlib } from '../support/wims.js'

/** A tree with links, directories and contents that compress and that do not. */
function tree(t: Test): string {
  return t.testdir({
    source: {
      'a.txt': text('a', 60_000),
      'noise.bin': Buffer.from(incompressible('noise', 40_000)),
      empty: '',
      sub: { deep: { 'b.txt': text('b', 5000) }, 'same.txt': text('a', 60_000) },
      link: t.fixture('symlink', 'a.txt'),
      'hard.txt': t.fixture('link', 'a.txt'),
    },
  })
}

/** `wimlib-imagex dir --detailed` without what two captures of one tree may differ in. */
function contents(wim: string, image = '1', ...options: string[]): string {
  return wimlib('dir', wim, image, '--detailed', ...options).replace(
    /^(Last Access Time|Hard Link Group ID|.*[Oo]ffset).*$/gm,
    '',
  )
}

const field = (told: string, name: string): string | undefined => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(told)?.[1]

function leftovers(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter(name => name.includes('partial'))
}

t.test('addImage() and write() make what wimlib-imagex capture makes, in every compression', async t => {
  const root = tree(t)
  const forms = [
    ['none', {}, ['--compress=none']],
    ['xpress', {}, ['--compress=XPRESS']],
    ['lzx', {}, ['--compress=LZX']],
    ['lzms', {}, ['--compress=LZMS']],
    ['lzx', { pipable: true }, ['--compress=LZX', '--pipable']],
    ['lzx', { integrityTable: true }, ['--compress=LZX', '--check']],
    ['lzms', { solid: true }, ['--solid']],
  ] as const
  for (const [compression, options, words] of forms) {
    const [ours, theirs] = [join(root, 'ours.wim'), join(root, 'theirs.wim')]
    wimlib('capture', join(root, 'source'), theirs, 'tree', ...words)
    {
      await using wim = await createWim({ compression })
      t.equal(await wim.addImage(join(root, 'source'), { name: 'tree', rpfix: true }), 1)
      await wim.write(ours, options)
    }
    const label = words.join(' ')
    wimlib('verify', ours)
    t.equal(contents(ours), contents(theirs), label)
    const [a, b] = [wimlib('info', ours), wimlib('info', theirs)]
    for (const name of ['Compression', 'Chunk Size', 'Attributes', 'Image Count', 'Boot Index']) {
      t.equal(field(a, name), field(b, name), `${label}: ${name}`)
    }
    const size = statSync(ours).size
    t.ok(Math.abs(size - statSync(theirs).size) < 0.02 * size, `${label}: as small`)
  }
  t.same(leftovers(root), [])
})

t.test('write() takes chunk sizes, solid compressions and levels', async t => {
  const root = tree(t)
  await using wim = await createWim({ compression: 'lzx' })
  await wim.addImage(join(root, 'source'))
  await wim.setOutput({ compression: 'xpress', chunkSize: 8192, solidCompression: 'lzx', solidChunkSize: 65536 })
  await wim.write(join(root, 'plain.wim'))
  await wim.write(join(root, 'solid.wim'), { solid: true, recompress: true })
  t.equal(field(wimlib('info', join(root, 'plain.wim')), 'Chunk Size'), '8192 bytes')
  const head = readFileSync(join(root, 'solid.wim')).subarray(blobsOf(join(root, 'solid.wim'))[0]?.offset)
  t.equal(head.readUInt32LE(8), 65536, 'chunk size of the solid resource')
  t.equal(head.readUInt32LE(12), 2, 'it is LZX')
  await wim.write(join(root, 'fast.wim'), { level: 1, recompress: true })
  await wim.write(join(root, 'slow.wim'), { level: 100, recompress: true })
  t.ok(
    statSync(join(root, 'fast.wim')).size > statSync(join(root, 'slow.wim')).size,
    'a level that is higher makes less',
  )
  await t.rejects(wim.setOutput({ chunkSize: 1000 }), {
    code: 'INVALID_ARGUMENT',
    cause: { code: 'WIMLIB_ERR_INVALID_CHUNK_SIZE' },
  })
  await t.rejects(wim.setOutput({ compression: 'zip' as 'lzx' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(wim.write(join(root, 'x.wim'), { threads: 0 }), { code: 'INVALID_ARGUMENT' })
  t.notOk(existsSync(join(root, 'x.wim')))
})

t.test('two levels at once stay apart', async t => {
  const root = tree(t)
  const sizes = await Promise.all(
    [1, 100, 1, 100].map(async (level, n) => {
      await using wim = await createWim({ compression: 'lzx' })
      await wim.addImage(join(root, 'source'))
      await wim.write(join(root, `${n}.wim`), { level })
      return statSync(join(root, `${n}.wim`)).size
    }),
  )
  const [fast = 0, slow = 0, fastToo = 0, slowToo = 0] = sizes
  t.ok(Math.abs(fast - fastToo) < 64 && Math.abs(slow - slowToo) < 64, sizes.join(' '))
  t.ok(fast > slow + 300, sizes.join(' '))
})

t.test('write() to a stream and a descriptor makes a pipable WIM that wimlib-imagex applies', async t => {
  const root = tree(t)
  await using wim = await createWim()
  await wim.addImage(join(root, 'source'))
  await wim.write(createWriteStream(join(root, 'stream.wim')), { pipable: true })
  const fd = openSync(join(root, 'fd.wim'), 'w')
  await wim.write({ fd }, { pipable: true })
  closeSync(fd)
  for (const name of ['stream', 'fd']) {
    wimlib('apply', join(root, `${name}.wim`), join(root, name))
    execFileSync('diff', ['-r', '--no-dereference', join(root, 'source'), join(root, name)])
  }
  await t.rejects(wim.write(createWriteStream('/dev/full'), { pipable: true }), {
    code: /^(ENOSPC|WIM_ERROR|IO_ERROR|NO_SPACE)$/,
  })
})

t.test('extractFromPipe() applies a pipable WIM as it comes', async t => {
  const root = tree(t)
  const path = join(root, 'x.wim')
  wimlib('capture', join(root, 'source'), path, '--pipable')
  await extractFromPipe(createReadStream(path, { highWaterMark: 1000 }), undefined, join(root, 'out'))
  execFileSync('diff', ['-r', '--no-dereference', join(root, 'source'), join(root, 'out')])
  const fd = openSync(path, 'r')
  await extractFromPipe({ fd }, 1, join(root, 'out2'))
  closeSync(fd)
  execFileSync('diff', ['-r', '--no-dereference', join(root, 'source'), join(root, 'out2')])
  await t.rejects(extractFromPipe(createReadStream(directoryWim(t)), 1, join(root, 'out3')), { code: 'UNSUPPORTED' })
  const whole = readFileSync(path)
  writeFileSync(path, whole.subarray(0, whole.length / 2))
  await t.rejects(extractFromPipe(createReadStream(path), 1, join(root, 'out4')), { code: 'WIM_CORRUPT' })
})

t.test('overwrite() appends, rebuilds and leaves a WIM that is open', async t => {
  const root = tree(t)
  const path = directoryWim(t)
  await using wim = await openWim(path, { writeAccess: true })
  const before = statSync(path).size
  t.equal(await wim.addImage(join(root, 'source'), { name: 'two', boot: true }), 2)
  t.equal(wim.images().length, 2, 'in memory')
  t.equal(field(wimlib('info', path), 'Image Count'), '1', 'not yet in the file')
  await wim.overwrite()
  t.equal(field(wimlib('info', path), 'Boot Index'), '2')
  t.same(
    wim.images().map(({ name }) => name),
    ['tree', 'two'],
  )
  wimlib('verify', path)
  await wim.deleteImage(1)
  await wim.overwrite({ softDelete: true })
  const soft = statSync(path).size
  t.ok(soft > before, 'soft: no smaller')
  await wim.overwrite({ rebuild: true })
  t.ok(statSync(path).size < soft, 'rebuilt: smaller')
  t.same(
    wim.images().map(({ name }) => name),
    ['two'],
  )
  wimlib('verify', path)
  let content = ''
  for await (const piece of wim.readFile(1, '/sub/deep/b.txt')) content += Buffer.from(piece).toString()
  t.equal(content, text('b', 5000).toString(), 'read through the object that was overwritten')
})

t.test('names, descriptions, flags, properties and the header can be changed', async t => {
  const path = directoryWim(t)
  {
    await using wim = await openWim(path)
    await wim.setName(1, 'näme')
    await wim.setDescription(1, 'a description')
    await wim.setFlags(1, 'Core')
    await wim.setProperty(1, 'WINDOWS/VERSION/BUILD', '14300')
    await wim.setInfo({ bootIndex: 1, readonly: true, guid: '000102030405060708090a0b0c0d0e0f' })
    t.equal(await wim.imageNameInUse('näme'), true)
    t.equal(await wim.imageNameInUse('tree'), false)
    await t.rejects(wim.setInfo({ bootIndex: 7 }), {
      code: 'IMAGE_NOT_FOUND',
      cause: { code: 'WIMLIB_ERR_INVALID_IMAGE' },
    })
    await t.rejects(wim.setInfo({ guid: 'abc' }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(wim.overwrite(), { code: 'PERMISSION_DENIED', cause: { code: 'WIMLIB_ERR_WIM_IS_READONLY' } })
    await wim.overwrite({ ignoreReadonly: true, retainGuid: true })
  }
  const told = wimlib('info', path)
  t.equal(field(told, 'Name'), 'näme')
  t.equal(field(told, 'Description'), 'a description')
  t.equal(field(told, 'Flags'), 'Core')
  t.equal(field(told, 'Boot Index'), '1')
  t.match(told, /GUID:\s+0x000102030405060708090a0b0c0d0e0f/)
  t.match(field(told, 'Attributes'), /Readonly/)
  await using wim = await openWim(path)
  t.equal(await wim.property(1, 'WINDOWS/VERSION/BUILD'), '14300')
  t.equal(await wim.property(1, 'NO/SUCH'), undefined)
  await wim.setProperty(1, 'WINDOWS/VERSION/BUILD', undefined)
  t.equal(await wim.property(1, 'WINDOWS/VERSION/BUILD'), undefined)
  await t.rejects(openWim(path, { writeAccess: true }), { code: 'PERMISSION_DENIED' })
})

t.test('update() adds, deletes and renames as wimlib-imagex update does', async t => {
  const root = tree(t)
  const [ours, theirs] = [directoryWim(t), directoryWim(t)]
  const file = join(root, 'source', 'a.txt')
  execFileSync('wimlib-imagex', ['update', theirs, '1'], {
    input: `add '${file}' '/new/a.txt'\ndelete --recursive /docs/deep\nrename /empty /still-empty\nadd '${join(root, 'source')}' /tree\n`,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  {
    await using wim = await openWim(ours)
    await wim.update(1, [
      { type: 'add', source: file, target: '/new/a.txt', winconfig: true },
      { type: 'delete', path: '/docs/deep', recursive: true },
      { type: 'rename', source: '/empty', target: '/still-empty' },
      { type: 'add', source: join(root, 'source'), target: '/tree' },
    ])
    await wim.overwrite()
  }
  const paths = (wim: string): string => wimlib('dir', wim, '1')
  t.equal(paths(ours), paths(theirs))
  t.match(paths(ours), '/new/a.txt')
  wimlib('verify', ours)
  await using wim = await openWim(ours)
  const before = paths(ours)
  await t.rejects(
    wim.update(1, [
      { type: 'delete', path: '/new', recursive: true },
      { type: 'delete', path: '/nothing' },
    ]),
    {
      code: 'FILE_NOT_FOUND',
      message: /nothing/,
    },
  )
  await wim.deletePath(1, '/nothing', { force: true })
  await wim.renamePath(1, '/new/a.txt', '/new/b.txt')
  await wim.addTree(1, file, '/new/c.txt')
  await t.rejects(wim.addTree(1, file, '/new/c.txt', { noReplace: true }), {
    cause: { code: 'WIMLIB_ERR_INVALID_OVERLAY' },
  })
  await t.rejects(wim.deletePath(1, '/docs'), { cause: { code: 'WIMLIB_ERR_IS_DIRECTORY' } })
  t.equal(paths(ours), before, 'nothing has reached the file')
  const entries: string[] = []
  for await (const entry of wim.entries({ path: '/new', children: true })) entries.push(entry.path)
  t.same(entries, ['/new/b.txt', '/new/c.txt'], 'but memory has it')
})

t.test('exportImage() copies images between WIMs, and deltas need what they refer to', async t => {
  const root = tree(t)
  const [base, delta] = [join(root, 'base.wim'), join(root, 'delta.wim')]
  const source = richWim(t)
  {
    await using pair = await both(openWim(source), createWim({ compression: 'xpress' }))
    const [from, to] = pair
    await from.exportImage(2, to, { name: 'copy', description: 'of the second', boot: true })
    await to.write(base)
    t.same(
      to.images().map(({ name, description }) => [name, description]),
      [['copy', 'of the second']],
    )
    await t.rejects(from.exportImage(2, to, { name: 'again' }), {
      code: 'INVALID_ARGUMENT',
      cause: { code: 'WIMLIB_ERR_DUPLICATE_EXPORTED_IMAGE' },
    })
    await t.rejects(from.exportImage(1, to, { name: 'copy' }), {
      code: 'INVALID_ARGUMENT',
      cause: { code: 'WIMLIB_ERR_IMAGE_NAME_COLLISION' },
    })
  }
  wimlib('export', source, '2', join(root, 'theirs.wim'), 'copy', '--compress=XPRESS')
  t.equal(contents(base), contents(join(root, 'theirs.wim')))
  {
    await using pair = await both(openWim(base), createWim())
    const [from, to] = pair
    await to.referenceResources([from])
    await to.addImage(join(root, 'source'), { name: 'delta' })
    await to.referenceTemplate(1, from, 1)
    await from.exportImage(1, to)
    await to.write(delta, { skipExternalWims: true })
  }
  t.throws(() => wimlib('apply', delta, '2', join(root, 'out')))
  await using alone = await openWim(delta)
  await t.rejects(alone.extract(2, join(root, 'out1')), { code: 'BLOB_MISSING', hint: /--ref/ })
  const lacking: string[] = []
  for await (const { path, attributes, streams } of alone.entries(2))
    if ((attributes & 0x410) === 0 && streams.some(({ name, resource }) => name === '' && resource.missing))
      lacking.push(path)
  t.ok(lacking.length > 0)
  for (const path of lacking)
    await t.rejects(alone.readFile(2, path).next(), { code: 'BLOB_MISSING', hint: /--ref/ }, `${path} is not empty`)
  await alone.referenceFiles([join(root, 'ba*.wim')], { glob: true, errorIfNoMatch: true })
  t.same(alone.references, [base])
  await alone.extract(2, join(root, 'out2'))
  wimlib('apply', delta, '2', join(root, 'out3'), `--ref=${base}`)
  execFileSync('diff', ['-r', '--no-dereference', join(root, 'out2'), join(root, 'out3')])
  await t.rejects(alone.referenceFiles([join(root, 'none*.wim')], { glob: true, errorIfNoMatch: true }), {
    code: 'FILE_NOT_FOUND',
  })
})

t.test('split() and joinWims() are undone by wimlib-imagex, and the other way round', async t => {
  const source = richWim(t)
  const root = t.testdir({})
  {
    await using wim = await openWim(source)
    const asked: number[] = []
    await wim.split(join(root, 'x.swm'), 30_000, {
      partName: ({ number, path }) => (asked.push(number), path.replace(/x(\d*\.swm)$/, 'part$1')),
    })
    t.same(
      asked,
      asked.map((_, n) => n + 1),
    )
  }
  const parts = readdirSync(root).map(name => join(root, name))
  t.ok(parts.length > 2 && parts.every(part => /part\d*\.swm$/.test(part)), parts.join(' '))
  execFileSync('wimlib-imagex', ['join', join(root, 'theirs.wim'), ...parts], { stdio: 'ignore' })
  t.equal(contents(join(root, 'theirs.wim')), contents(source))
  await joinWims(splitWim(t), join(root, 'ours.wim'), { integrityTable: true })
  wimlib('verify', join(root, 'ours.wim'))
  t.equal(contents(join(root, 'ours.wim')), contents(source))
  await t.rejects(joinWims(parts.slice(1), join(root, 'none.wim')), StowageError)
  t.notOk(existsSync(join(root, 'none.wim')))
  await using solid = await openWim(richWim(t, 'solid'))
  await t.rejects(solid.split(join(root, 'y.swm'), 1000), { code: 'UNSUPPORTED' })
  t.same(
    readdirSync(root).filter(name => name.startsWith('y')),
    [],
  )
})

t.test('extract() makes the trees that wimlib-imagex apply makes', async t => {
  const root = tree(t)
  for (const words of [[], ['--unix-data']] as const) {
    const path = join(root, 'x.wim')
    execFileSync('chmod', ['640', join(root, 'source', 'noise.bin')])
    execFileSync('wimlib-imagex', ['capture', join(root, 'source'), path, ...words], { stdio: 'ignore' })
    await using wim = await openWim(path)
    const [ours, theirs] = [join(root, `ours${words.length}`), join(root, `theirs${words.length}`)]
    await wim.extract(1, ours, { unixData: words.length > 0 })
    wimlib('apply', path, '1', theirs, ...words)
    execFileSync('diff', ['-r', '--no-dereference', ours, theirs])
    t.equal(listing(ours), listing(theirs))
  }
})

function listing(directory: string): string {
  return execFileSync('find', ['.', '-printf', '%p %y %m %U:%G %s %T@ %n %l\\n'], { cwd: directory, encoding: 'utf8' })
    .split('\n')
    .sort()
    .join('\n')
    .replace(/^\. .*$/m, '')
}

t.test('extractPaths() takes patterns and lists, keeps or drops directories, and says what is not there', async t => {
  const root = tree(t)
  await using wim = await openWim(directoryWim(t))
  const out = join(root, 'out')
  await wim.extractPaths(1, ['/docs/deep/*.bin'], out, { glob: true })
  t.ok(existsSync(join(out, 'docs/deep/random.bin')))
  await wim.extractPaths(1, ['/docs/deep/random.bin'], join(root, 'flat'), { preserveDirStructure: false })
  t.same(readdirSync(join(root, 'flat')), ['random.bin'])
  await wim.extractPaths(1, ['/nothing*'], join(root, 'none'), { glob: true })
  await t.rejects(wim.extractPaths(1, ['/nothing*'], join(root, 'none'), { glob: true, strictGlob: true }), {
    code: 'FILE_NOT_FOUND',
  })
  writeFileSync(join(root, 'list'), '# a comment\n/docs/text.txt\n/link.txt\n')
  await wim.extractPathList(1, join(root, 'list'), join(root, 'listed'), { glob: true })
  t.same(readdirSync(join(root, 'listed'), { recursive: true, encoding: 'utf8' }).sort(), [
    'docs',
    'docs/text.txt',
    'link.txt',
  ])
})

t.test('readFile() gives streams, and says what has no data', async t => {
  const path = richWim(t, 'solid')
  await using wim = await openWim(path)
  let [file, streamed, linked] = ['', '', '']
  for await (const entry of wim.entries(1)) {
    if (entry.streams.length > 1 && !streamed) streamed = entry.path
    if (entry.reparseTag !== 0 && !linked) linked = entry.path
    if (entry.attributes & 0x10 || entry.reparseTag || (entry.streams[0]?.resource.size ?? 0) === 0) continue
    file ||= entry.path
  }
  const parts: Uint8Array[] = []
  for await (const piece of wim.readFile(1, file)) parts.push(piece)
  const theirs = execFileSync('wimlib-imagex', ['extract', path, '1', file, '--to-stdout'], {
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  t.ok(Buffer.concat(parts).equals(theirs), file)
  const name = (await first(wim, streamed)).streams[1]?.name ?? ''
  const named: Uint8Array[] = []
  for await (const piece of wim.readFile(1, streamed, { stream: name })) named.push(piece)
  t.equal(Buffer.concat(named).length, (await first(wim, streamed)).streams[1]?.resource.size)
  const read = async (p: string, stream?: string): Promise<void> => {
    for await (const _piece of wim.readFile(1, p, { stream })) {
      /* only whether it can be read */
    }
  }
  await t.rejects(read('/nope'), { code: 'FILE_NOT_FOUND' })
  await t.rejects(read(file, 'nope'), { code: 'FILE_NOT_FOUND' })
  await t.rejects(read('/'), { code: 'INVALID_ARGUMENT' })
  await t.rejects(read(linked), { code: 'INVALID_ARGUMENT', message: /reparse point/ })
})

async function first(wim: WimFile, path: string): Promise<import('../../src/wim/entry.js').DirectoryEntry> {
  for await (const entry of wim.entries(1, { path, recursive: false })) return entry
  throw new Error(`${path} is not there`)
}

t.test('write() leaves what was there when it fails, and follows a link to its file', async t => {
  const root = tree(t)
  const path = join(root, 'x.wim')
  writeFileSync(path, 'was here')
  const damaged = directoryWim(t, { args: ['--compress=none'] })
  corruptBlob(damaged)
  await using wim = await openWim(damaged)
  await wim.setOutput({ compression: 'xpress' })
  const refused: unknown = await wim.write(path).catch((error: unknown) => error)
  t.match(refused, { code: 'WIM_CORRUPT', cause: { code: /^WIMLIB_ERR_/ } })
  t.ok(refused instanceof StowageError && refused.cause instanceof WimlibError)
  t.equal(readFileSync(path, 'utf8'), 'was here')
  t.same(leftovers(root), [])
  await t.rejects(wim.write(root), { code: 'INVALID_ARGUMENT', message: /is a directory/ })
  await t.rejects(wim.write(join(root, 'no', 'x.wim')), { code: 'FILE_NOT_FOUND' })
  await using whole = await openWim(directoryWim(t))
  symlinkSync('x.wim', join(root, 'to-x.wim'))
  await whole.write(join(root, 'to-x.wim'))
  t.ok(lstatSync(join(root, 'to-x.wim')).isSymbolicLink())
  wimlib('verify', path)
  await whole.write('/dev/null')
  t.ok(lstatSync('/dev/null').isCharacterDevice(), 'a device is written to, not replaced')
})

async function both<A extends AsyncDisposable, B extends AsyncDisposable>(
  a: Promise<A>,
  b: Promise<B>,
): Promise<readonly [A, B] & AsyncDisposable> {
  const [one, two] = await Promise.all([a, b])
  const pair = [one, two] as const
  return Object.assign(pair, {
    async [Symbol.asyncDispose](): Promise<void> {
      await two[Symbol.asyncDispose]()
      await one[Symbol.asyncDispose]()
    },
  })
}
