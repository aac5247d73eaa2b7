import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import type { ProgressEvent } from '../../../src/progress.js'
import { details, field, make, pythonEntries } from '../../support/made-layers.js'
import {
  corruptBlob,
  directoryWim,
  extendedAttributeWim,
  flawedWim,
  richWim,
  splitWim,
  WIM_FORMS,
  wimlib,
} from '../../support/wims.js'

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

t.test('writeLayerFromWim() says the digests and sizes that sha256sum and gunzip find', async t => {
  const output = join(t.testdir(), 'layer.tar.gz')
  const layer = await make(richWim(t), output)
  const bytes = readFileSync(output)
  const tar = gunzipSync(bytes)
  t.equal(layer.digest, sha256(bytes))
  t.equal(layer.size, bytes.length)
  t.equal(layer.diffId, sha256(tar))
  t.equal(layer.uncompressedSize, tar.length)
  t.equal(layer.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip')
  t.equal(execFileSync('sha256sum', [output], { encoding: 'utf8' }).slice(0, 64), layer.digest.slice(7))
  execFileSync('gzip', ['-t', output])
  t.same(readdirSync(t.testdirName), ['layer.tar.gz'], 'nothing else is left')
})

t.test('writeLayerFromWim() gives the same bytes on any number of threads, and the same tar at any level', async t => {
  const wim = richWim(t)
  const directory = t.testdir()
  const first = await make(wim, join(directory, '1'), { threads: 1 })
  for (const threads of [2, 5]) t.same(await make(wim, join(directory, String(threads)), { threads }), first)
  const plain = await make(wim, join(directory, 'plain'), { compression: { type: 'none' } })
  const small = await make(wim, join(directory, 'small'), { compression: { type: 'gzip', level: 12 } })
  t.equal(plain.diffId, first.diffId)
  t.equal(plain.digest, plain.diffId)
  t.equal(small.diffId, first.diffId)
  t.ok(small.size < first.size)
})

t.test('writeLayerFromWim() makes of every form of a WIM the files that wimlib-imagex apply writes', async t => {
  for (const wim of [...WIM_FORMS.map(form => richWim(t, form)), splitWim(t)[0] ?? '']) {
    const directory = t.testdir({ applied: {}, extracted: {} })
    const layer = join(directory, 'layer.tar.gz')
    await make(wim, layer)
    const reference = wim.endsWith('.swm') ? [`--ref=${wim.replace(/\.swm$/, '*.swm')}`] : []
    for (const [image, root] of [
      ['1', 'Files'],
      ['2', 'UtilityVM/Files'],
    ] as const) {
      const applied = join(directory, 'applied', root)
      mkdirSync(applied, { recursive: true })
      wimlib('apply', wim, image, applied, ...reference)
    }
    const told = execFileSync(
      'tar',
      ['xzf', layer, '-C', join(directory, 'extracted'), '--warning=no-unknown-keyword'],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    t.equal(told, '', `${wim}: GNU tar has nothing to say`)
    // Streams are files of their own in a tar, and links have Windows' targets: both are compared elsewhere.
    const differences = execFileSync('sh', ['-c', 'diff -r --no-dereference applied extracted || true'], {
      cwd: directory,
      encoding: 'utf8',
    })
    const rest = differences
      .split('\n')
      .filter(
        line =>
          line !== '' &&
          !/^Only in extracted\/Files\/streams: .*:/.test(line) &&
          !/^(Symbolic links|File .*(symbolic link|directory)).*\/reparse\//.test(line),
      )
    t.same(rest, [], `${wim}: the same trees`)
  }
})

t.test('writeLayerFromWim() carries what wimlib-imagex dir --detailed shows, as Python reads it', async t => {
  const wim = richWim(t)
  const layer = join(t.testdir(), 'layer.tar.gz')
  await make(wim, layer)
  const entries = pythonEntries(layer)
  const byName = new Map(entries.map(entry => [entry.name, entry]))
  for (const [image, root] of [
    [1, 'Files'],
    [2, 'UtilityVM/Files'],
  ] as const) {
    for (const [path, block] of details(wim, image)) {
      const name = path === '/' ? root : `${root}${path}`
      const entry = byName.get(name)
      t.ok(entry, name)
      if (!entry) continue
      t.equal(Number(entry.pax['MSWINDOWS.fileattr']), Number(field(block, 'Attributes')), `${name}: attributes`)
      const descriptor = field(block, 'Security Descriptor')?.replace(/^0x|\s/g, '')
      if (descriptor !== undefined && entry.type !== '1') {
        t.equal(
          Buffer.from(entry.pax['MSWINDOWS.rawsd'] ?? '', 'base64').toString('hex'),
          descriptor,
          `${name}: security descriptor`,
        )
      }
      if (entry.type === '0') {
        const hash = /^\s*Hash\s+= 0x([0-9a-f]{40})/m.exec(block)?.[1]
        if (hash !== undefined && entry.size > 0 && !/\bName\s+= "/.test(block))
          t.equal(entry.sha1, hash, `${name}: content`)
      }
    }
  }
  const utilityVm = byName.get('UtilityVM')
  t.equal(utilityVm?.type, '5')
})

t.test('writeLayerFromWim() keeps times to 100 ns, before 1970 too', async t => {
  const layer = join(t.testdir(), 'layer.tar.gz')
  await make(richWim(t), layer)
  const pax = (name: string) => pythonEntries(layer).find(entry => entry.name === `Files/times/${name}`)?.pax
  t.match(pax('before-1970'), {
    'LIBARCHIVE.creationtime': `${Date.parse('1966-03-01T04:05:07Z') / 1000}.8765433`,
    mtime: '-0.0000001',
    atime: '-1',
  })
  t.match(pax('first-day'), { mtime: '-9223372036' }, '1601-01-02T00:00:00.0000001Z is too long ago for a host')
  t.match(pax('future'), { mtime: '9223372036.8547758', atime: '9223372036' }, 'the last one that it can hold')
  t.match(pax('epoch'), { atime: '0.0000001', 'LIBARCHIVE.creationtime': '0' })
})

t.test('writeLayerFromWim() orders parents first, links last, streams after their owner', async t => {
  const layer = join(t.testdir(), 'layer.tar.gz')
  const made = await make(richWim(t), layer)
  const entries = pythonEntries(layer)
  const seen = new Set<string>()
  for (const { name, type, linkname } of entries) {
    t.notOk(seen.has(name), `${name} is there once`)
    const parent = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : undefined
    if (parent !== undefined) t.ok(seen.has(parent), `${name} after ${parent}`)
    if (type === '1') t.ok(seen.has(linkname), `${name} after ${linkname}`)
    seen.add(name)
  }
  const at = entries.findIndex(entry => entry.name === 'Files/streams/file.txt')
  t.same(
    entries
      .slice(at + 1, at + 4)
      .map(entry => entry.name.slice('Files/streams/file.txt'.length))
      .sort(),
    [':Zone.Identifier', ':big', ':empty'],
  )
  const directory = entries.findIndex(entry => entry.name === 'Files/streams/directory')
  t.match(entries[directory + 1], { name: 'Files/streams/directory:notes', type: '0', size: 500 })
  const count = (type: string): number => entries.filter(entry => entry.type === type).length
  t.same(made.counts, {
    directories: count('5'),
    hardLinks: count('1'),
    symlinks: count('2'),
    streams: 5,
    files: count('0') - 5,
  })
  t.notOk(
    entries.some(entry => entry.name.endsWith('/')),
    'directories without a slash, as Windows compares them',
  )
})

t.test('writeLayerFromWim() makes the hive itself the file, and its other names the links', async t => {
  const layer = join(t.testdir(), 'layer.tar.gz')
  await make(richWim(t), layer)
  const entries = pythonEntries(layer)
  const links = entries.filter(entry => entry.type === '1')
  t.ok(links.some(entry => entry.linkname === 'Files/Windows/System32/config/SYSTEM'))
  t.equal(entries.find(entry => entry.name === 'Files/Windows/System32/config/SYSTEM')?.type, '0')
  const group = links.filter(entry => /^Files\/links\/[abc]$|^Files\/other\/d$/.test(entry.name))
  t.equal(group.length, 3)
  t.equal(new Set(group.map(entry => entry.linkname)).size, 1)
})

t.test('writeLayerFromWim() gives links and junctions the targets Windows shows', async t => {
  const layer = join(t.testdir(), 'layer.tar.gz')
  await make(richWim(t), layer)
  const found = Object.fromEntries(
    pythonEntries(layer)
      .filter(entry => entry.type === '2')
      .map(entry => [
        entry.name.slice('Files/reparse/'.length),
        [entry.linkname, entry.pax['MSWINDOWS.mountpoint'] ?? ''],
      ]),
  )
  t.match(found, {
    junction: ['C:\\Users\\Public', '1'],
    'junction-no-print-name': ['C:\\Users', '1'],
    'junction-volume': ['\\\\?\\Volume{5707a6e0-0000-4000-8000-000000000001}\\', '1'],
    'directory-relative': ['..\\Users', ''],
    'directory-absolute': ['C:\\Windows\\System32', ''],
    'file-relative': ['..\\Windows\\win.ini', ''],
    'file-rooted': ['\\Windows\\wín.ini', ''],
  })
})

t.test('writeLayerFromWim() carries extended attributes', async t => {
  const layer = join(t.testdir(), 'layer.tar.gz')
  await make(extendedAttributeWim(t), layer)
  const pax = pythonEntries(layer).find(entry => entry.name === 'Files/ea.txt')?.pax ?? {}
  t.equal(Buffer.from(pax['MSWINDOWS.xattr.user.one'] ?? '', 'base64').toString(), 'first value')
  t.equal(Buffer.from(pax['MSWINDOWS.xattr.user.two'] ?? '', 'base64').toString(), '2')
})

t.test('writeLayerFromWim() refuses what a layer cannot hold, naming it, and writes nothing', async t => {
  const directory = t.testdir()
  const output = join(directory, 'layer.tar.gz')
  await t.rejects(make(flawedWim(t, 'unknown-reparse'), output), {
    code: 'LAYER_UNSUPPORTED',
    message: /odd\/unknown \(reparse tag 0x80005707\)/,
  })
  await t.rejects(make(flawedWim(t, 'case-pair'), output), {
    code: 'LAYER_UNSUPPORTED',
    message: /case\.txt.*Case\.TXT|Case\.TXT.*case\.txt/,
  })
  await t.rejects(make(flawedWim(t, 'lone-surrogate'), output), { code: 'LAYER_UNSUPPORTED', message: /surrogate/ })
  await t.rejects(make(directoryWim(t, { files: { 'a:b': Buffer.from('x') } }), output), {
    code: 'LAYER_UNSUPPORTED',
    message: /a:b/,
  })
  t.same(readdirSync(directory), [])
  const skipped = await make(flawedWim(t, 'unknown-reparse'), output, { skipUnsupported: true })
  t.match(skipped.skipped, [/^Files\/odd\/unknown/])
  t.notOk(pythonEntries(output).some(entry => entry.name === 'Files/odd/unknown'))
})

t.test('writeLayerFromWim() takes the image that is asked for, and asks where there are several', async t => {
  const wim = richWim(t)
  const output = join(t.testdir(), 'layer.tar.gz')
  const byName = await make(wim, output, { image: 'NanoServer' })
  t.match(await make(wim, output, { image: 1, force: true }), { digest: byName.digest, utilityVm: { index: 2 } })
  const utilityVm = await make(wim, output, { image: 'UtilityVM', force: true })
  t.equal(utilityVm.utilityVm, undefined)
  await t.rejects(make(wim, output, { image: 'nanoserver', force: true }), {
    code: 'IMAGE_NOT_FOUND',
    hint: /1 "NanoServer", 2 "UtilityVM"/,
  })
  await t.rejects(make(wim, output, { image: '3', force: true }), { code: 'IMAGE_NOT_FOUND' })
  const two = directoryWim(t)
  wimlib('append', import.meta.dirname, two, 'second')
  await t.rejects(make(two, output, { force: true }), { code: 'INVALID_ARGUMENT', hint: /1 "tree", 2 "second"/ })
})

t.test('writeLayerFromWim() leaves an output that exists alone', async t => {
  const output = join(t.testdir({ 'layer.tar.gz': 'precious' }), 'layer.tar.gz')
  await t.rejects(make(directoryWim(t), output), { code: 'OUTPUT_EXISTS' })
  t.equal(readFileSync(output, 'utf8'), 'precious')
  const damaged = richWim(t, 'none')
  corruptBlob(damaged)
  await t.rejects(make(damaged, output, { force: true }), { code: 'WIM_CORRUPT' })
  t.equal(readFileSync(output, 'utf8'), 'precious', 'also with force, when the new one fails')
  t.same(readdirSync(t.testdirName), ['layer.tar.gz'])
})

t.test('writeLayerFromWim() stops at a damaged blob and leaves nothing', async t => {
  for (const form of ['none', 'lzx', 'solid', 'pipable'] as const) {
    const wim = richWim(t, form)
    corruptBlob(wim)
    const directory = t.testdir()
    await t.rejects(make(wim, join(directory, 'layer.tar.gz')), { code: 'WIM_CORRUPT' }, form)
    t.same(readdirSync(directory), [], form)
  }
})

t.test('writeLayerFromWim() stops when told to, leaves nothing, and succeeds the next time', async t => {
  const directory = t.testdir()
  const output = join(directory, 'layer.tar.gz')
  const wim = richWim(t)
  const controller = new AbortController()
  const events: ProgressEvent[] = []
  const onProgress = (event: ProgressEvent): void => {
    events.push(event)
    if (event.type === 'bytes' && event.done > 0) controller.abort()
  }
  await t.rejects(make(wim, output, { signal: controller.signal, onProgress }), { code: 'ABORTED' })
  t.same(readdirSync(directory), [])
  await t.rejects(make(wim, output, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
  await make(wim, output)
  t.ok(existsSync(output))
  const sizes = events.flatMap(event => (event.type === 'bytes' ? [event.done] : []))
  t.same(
    sizes,
    [...sizes].sort((a, b) => a - b),
  )
})

t.test('writeLayerFromWim() refuses levels and threads that make no sense', async t => {
  const wim = directoryWim(t)
  const output = join(t.testdir(), 'x')
  for (const level of [0, 13, 1.5, Number.NaN]) {
    await t.rejects(make(wim, output, { compression: { type: 'gzip', level } }), { code: 'INVALID_ARGUMENT' })
  }
  for (const threads of [0, -1, 257, 0.5]) await t.rejects(make(wim, output, { threads }), { code: 'INVALID_ARGUMENT' })
})

t.test('writeLayerFromWim() takes a WIM with no content at all', async t => {
  const empty = join(t.testdir(), 'empty')
  mkdirSync(empty)
  writeFileSync(join(empty, 'nothing'), '')
  wimlib('capture', empty, `${empty}.wim`, 'empty')
  const layer = await make(`${empty}.wim`, `${empty}.tar.gz`)
  t.match(layer.counts, { directories: 1, files: 1 })
  t.same(
    pythonEntries(`${empty}.tar.gz`).map(entry => entry.name),
    ['Files', 'Files/nothing'],
  )
})
