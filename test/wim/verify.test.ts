import { spawnSync } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { WimProgress } from '../../src/wim/progress.js'
import type { VerifyOptions, WimVerification } from '../../src/wim/verify.js'
import { openWim } from '../../src/wim/wim-file.js'
import { craftWim, directory, file } from '../fuzz/crafted-wim.js'
import { blobsOf, corruptBlob, directoryWim, flipByte, richWim, splitWim, WIM_FORMS, wimlib } from '../support/wims.js'

async function verify(path: string, options?: VerifyOptions): Promise<WimVerification> {
  await using wim = await openWim(path)
  return await wim.verify(options)
}

/** Whether `wimlib-imagex verify` finds the WIM whole. */
const wholeToWimlib = (...args: readonly string[]): boolean =>
  spawnSync('wimlib-imagex', ['verify', ...args]).status === 0

/** Where the metadata of each image stand in the file, and in how many bytes. */
function metadataOf(path: string): { readonly offset: number; readonly size: number }[] {
  const blocks = wimlib('info', path, '--blobs').split(/\n\s*\n/)
  return blocks
    .filter(block => block.includes('WIM_RESHDR_FLAG_METADATA'))
    .map(block => ({
      offset: Number(/^Offset in WIM\s+= (\d+)/m.exec(block)?.[1]),
      size: Number((/^Compressed size\s+= (\d+)/m.exec(block) ?? /^Uncompressed size\s+= (\d+)/m.exec(block))?.[1]),
    }))
}

const noise = (n: number): Buffer => Buffer.alloc(20_000, `${n}${'abcdefghijklmnop'.slice(n % 16)}`)
const FILES = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`d${n % 4}/file-${n}`, noise(n)]))

t.test('WimFile.verify() finds nothing wrong with a WIM of any form', async t => {
  for (const path of [...WIM_FORMS.map(form => richWim(t, form)), splitWim(t)[1] ?? '']) {
    await using wim = await openWim(path)
    for (const threads of [1, 3]) {
      const found = await wim.verify({ threads })
      t.same(found.findings, [], `${path}, ${threads} threads`)
      t.equal(found.images, 2)
      t.equal(found.blobs, wim.blobs().count)
      t.equal(
        found.size,
        wim.blobs().sizes.reduce((sum, size) => sum + size, 0),
      )
    }
  }
})

t.test('WimFile.verify() goes on after damaged blobs, and names them all with their files', async t => {
  for (const args of [['--compress=none'], ['--compress=LZX'], ['--pipable']]) {
    const path = directoryWim(t, { files: FILES, args })
    const damaged = blobsOf(path).filter((_, n) => n % 7 === 3)
    t.ok(damaged.length > 4)
    const corruptions = damaged.map(blob => corruptBlob(path, blob.sha1))
    const { findings, blobs } = await verify(path)
    t.equal(blobs, 40)
    t.same(
      findings.map(({ type, sha1 }) => [type, sha1]).sort(),
      corruptions.map(({ sha1 }) => ['blob', sha1]).sort(),
      args.join(),
    )
    for (const finding of findings) {
      t.equal(finding.uses, 1)
      t.equal(finding.paths?.length, 1)
      t.match(finding.paths?.[0], /^\/d\d\/file-\d+$/)
      t.equal(finding.image, 1)
      t.equal(finding.part, 1)
      t.equal(finding.offset, damaged.find(({ sha1 }) => sha1 === finding.sha1)?.offset)
    }
    t.notOk(wholeToWimlib(path))
  }
})

t.test('WimFile.verify() names every blob of a damaged chunk of a solid WIM, and no other', async t => {
  const files = Object.fromEntries(
    Object.entries(FILES).flatMap(([name, bytes]) => [
      [name, bytes],
      [`${name}.copy`, bytes],
    ]),
  )
  const path = directoryWim(t, { files, args: ['--solid', '--solid-chunk-size=128K'] })
  corruptBlob(path)
  const { findings, blobs } = await verify(path)
  t.equal(blobs, 40)
  t.ok(findings.length > 0 && findings.length < 12, `${findings.length} findings`)
  for (const { type, paths, uses } of findings) {
    t.equal(type, 'blob')
    t.equal(uses, 2)
    t.equal(paths?.[1], `${paths?.[0]}.copy`)
  }
})

t.test('WimFile.verify() tells every blob of a solid resource whose chunk table is damaged', async t => {
  const path = directoryWim(t, { files: FILES, args: ['--solid', '--solid-chunk-size=128K'] })
  const solid = blobsOf(path)[0]?.offset ?? 0
  const wim = readFileSync(path)
  wim.writeUInt32LE(0xffffff, solid + 16 + 4) // the size of the second chunk
  writeFileSync(path, wim)
  const { findings } = await verify(path)
  t.equal(findings.length, 40)
  for (const { type, message } of findings)
    t.same([type, /chunk 1 ends outside the resource/.test(message)], ['blob', true])
})

t.test('WimFile.verify() finds damage in a part of a split WIM, and says which', async t => {
  const parts = splitWim(t)
  const last = parts.at(-1) ?? ''
  const blob = blobsOf(last).sort((a, b) => b.size - a.size)[0]
  flipByte(last, (blob?.offset ?? 0) + Math.floor((blob?.size ?? 0) / 2))
  const { findings } = await verify(parts[0] ?? '')
  t.equal(findings.length, 1)
  t.match(findings[0], { type: 'blob', sha1: blob?.sha1 ?? '', part: parts.length })
})

t.test('WimFile.verify() says whose metadata are damaged, and looks at the other images all the same', async t => {
  const path = richWim(t, 'xpress')
  const [first] = metadataOf(path)
  flipByte(path, (first?.offset ?? 0) + Math.floor((first?.size ?? 0) / 2))
  const { findings, images, blobs } = await verify(path)
  t.equal(images, 2)
  t.ok(blobs > 50)
  t.equal(findings.length, 1)
  t.match(findings[0], { type: 'metadata', image: 1, offset: first?.offset ?? 0 })
  t.notOk(wholeToWimlib(path))
})

t.test('WimFile.verify() names what a delta WIM misses, until it gets it', async t => {
  const base = directoryWim(t, { files: { 'd/old': noise(1), 'd/older': noise(2) } })
  const delta = join(dirname(base), 'delta.wim')
  const tree = join(dirname(base), 'tree')
  writeFileSync(join(tree, 'd/new'), noise(3))
  writeFileSync(join(tree, 'd/copy'), noise(1))
  wimlib('capture', tree, delta, 'delta', `--delta-from=${base}`)
  t.notOk(wholeToWimlib(delta))
  await using wim = await openWim(delta)
  const { findings, blobs } = await wim.verify()
  t.equal(blobs, 1)
  const missing = findings.map(({ type, image, uses = 0, paths = [] }) => ({
    type,
    image,
    uses,
    paths: [...paths].sort(),
  }))
  t.same(
    missing.sort((a, b) => b.uses - a.uses),
    [
      { type: 'missing-blob', image: 1, uses: 2, paths: ['/d/copy', '/d/old'] },
      { type: 'missing-blob', image: 1, uses: 1, paths: ['/d/older'] },
    ],
  )
  await wim.referenceFiles([base])
  t.ok(wholeToWimlib(delta, `--ref=${base}`))
  const whole = await wim.verify()
  t.same(whole.findings, [])
  t.equal(whole.blobs, 3)
})

t.test('WimFile.verify() checks integrity tables, where there are some and it is asked to', async t => {
  for (const form of ['--compress=LZX', '--pipable']) {
    const path = directoryWim(t, { files: FILES, args: [form, '--check'] })
    const events: WimProgress[] = []
    t.same((await verify(path, { onProgress: event => void events.push(event) })).findings, [])
    const integrity = events.flatMap(event => (event.type === 'verify-integrity' ? [event] : []))
    t.equal(integrity.at(-1)?.completedBytes, integrity.at(-1)?.totalBytes)
    t.equal(integrity.at(-1)?.path, path)
    // A byte that no blob and no metadata have: in the reference count of a blob in the table.
    const wim = readFileSync(path)
    let entry = Number(wim.readBigUInt64LE((form === '--pipable' ? wim.length - 208 : 0) + 0x38))
    while ((wim.readUInt8(entry + 7) & 2) !== 0) entry += 50
    flipByte(path, entry + 26)
    t.match(
      (await verify(path)).findings,
      [{ type: 'integrity', part: 1, offset: 208, message: /integrity table says/ }],
      form,
    )
    t.same((await verify(path, { integrity: false })).findings, [])
    t.notOk(wholeToWimlib(path))
  }
  const parts = splitWim(t)
  wimlib('split', richWim(t), join(dirname(parts[0] ?? ''), 'checked.swm'), '3', '--check')
  const checked = readdirSync(dirname(parts[0] ?? '')).filter(name => name.startsWith('checked'))
  const told = new Set<string | undefined>()
  const first = join(dirname(parts[0] ?? ''), 'checked.swm')
  const onProgress = (event: WimProgress): void => void (event.type === 'verify-integrity' && told.add(event.path))
  t.same((await verify(first, { onProgress })).findings, [])
  t.equal(told.size, checked.length, 'every part has one')
})

t.test('WimFile.verify() takes no integrity table that cannot be right', async t => {
  const path = directoryWim(t, { files: FILES, args: ['--check'] })
  const whole = readFileSync(path)
  const table = Number(whole.readBigUInt64LE(0x7c + 8))
  const lies: [string, (wim: Buffer) => void][] = [
    ['chunks of no bytes', wim => wim.writeUInt32LE(0, table + 8)],
    ['chunks of a byte', wim => wim.writeUInt32LE(1, table + 8)],
    ['more chunks than it has', wim => wim.writeUInt32LE(0xffffffff, table + 4)],
    ['a wrong size', wim => wim.writeUInt32LE(0, table)],
    ['a place past the end', wim => wim.writeBigUInt64LE(1n << 62n, 0x7c + 8)],
    ['a size past the end', wim => wim.writeUIntLE(0xffffffffffff, 0x7c, 6)],
    ['no size', wim => wim.writeUIntLE(0, 0x7c, 6)],
    ['compressed', wim => wim.writeUInt8(4, 0x7c + 7)],
  ]
  for (const [what, lie] of lies) {
    const lying = Buffer.from(whole)
    lie(lying)
    writeFileSync(path, lying)
    t.match((await verify(path)).findings, [{ type: 'integrity', part: 1 }], what)
  }
})

t.test('WimFile.verify() reads no bytes twice, and says which blobs stand on those of others', async t => {
  const path = join(t.testdir(), 'x.wim')
  craftWim(path, [
    { tree: [file('a', 'x'.repeat(5000)), file('b', 'y'.repeat(5000)), directory('d', [file('c', 'z'.repeat(5000))])] },
  ])
  const wim = readFileSync(path)
  const table = Number(wim.readBigUInt64LE(0x38))
  wim.writeBigUInt64LE(wim.readBigUInt64LE(table + 8) + 10n, table + 50 + 8) // the second blob begins ten bytes into the first
  writeFileSync(path, wim)
  const { findings, blobs } = await verify(path)
  t.equal(blobs, 2)
  t.match(findings, [{ type: 'blob', message: /overlaps another blob/, paths: ['/b'] }])
})

t.test('WimFile.verify() tells its progress in order, to the end', async t => {
  const events: WimProgress[] = []
  const { size, blobs } = await verify(richWim(t, 'lzms'), { onProgress: event => void events.push(event) })
  t.same(
    events
      .filter(event => event.type.startsWith('verify-image'))
      .map(event => [event.type, 'image' in event ? event.image : 0]),
    [
      ['verify-image-begin', 1],
      ['verify-image-end', 1],
      ['verify-image-begin', 2],
      ['verify-image-end', 2],
    ],
  )
  const streams = events.filter(event => event.type === 'verify-streams')
  t.match(streams.at(-1), { totalBytes: size, completedBytes: size, totalStreams: blobs, completedStreams: blobs })
  for (const [n, { completedBytes }] of streams.entries()) t.ok(completedBytes >= (streams[n - 1]?.completedBytes ?? 0))
  const failure = new RangeError('from the caller')
  await t.rejects(
    verify(richWim(t), {
      onProgress: () => {
        throw failure
      },
    }),
    failure,
  )
})

t.test('WimFile.verify() ends within a second of an abort, and leaves no thread', async t => {
  const path = directoryWim(t, {
    files: { big: Buffer.alloc(96 << 20, 'content that takes a while') },
    args: ['--compress=none'],
  })
  await verify(path)
  const threads = (): number => readdirSync('/proc/self/task').length
  const before = threads()
  for (const when of ['verify-image-end', 'verify-streams']) {
    const controller = new AbortController()
    let aborted = 0
    const onProgress = (event: WimProgress): void => {
      if (event.type !== when || aborted) return
      aborted = performance.now()
      controller.abort()
    }
    await t.rejects(verify(path, { signal: controller.signal, onProgress, threads: 2 }), { code: 'ABORTED' }, when)
    t.ok(performance.now() - aborted < 1000)
  }
  await t.rejects(verify(path, { signal: AbortSignal.abort() }), { code: 'ABORTED' })
  const deadline = performance.now() + 5000
  while (threads() > before && performance.now() < deadline) await new Promise(resolve => setTimeout(resolve, 20))
  t.ok(threads() <= before, `${before} threads before, ${threads()} after`)
})

t.test('WimFile.verify() may run several times at once, and the WIM be closed meanwhile', async t => {
  const path = richWim(t, 'solid')
  const wims = await Promise.all([openWim(path), openWim(path)])
  const running = [...wims, ...wims].map(async wim => await wim.verify())
  await Promise.all(wims.map(wim => wim[Symbol.asyncDispose]()))
  for (const { findings } of await Promise.all(running)) t.same(findings, [])
  await t.rejects(async () => await wims[0]?.verify(), { code: 'INVALID_ARGUMENT' })
})

t.test('WimFile.verify() finds what became of the file after it was opened', async t => {
  const path = richWim(t, 'none')
  await using wim = await openWim(path)
  truncateSync(path, Math.floor(statSync(path).size / 2))
  const { findings } = await wim.verify()
  t.ok(findings.length > 1)
  t.match(
    findings.find(({ type }) => type === 'blob'),
    { message: /ends before that; it had \d+ bytes when it was opened/ },
  )
  appendFileSync(path, Buffer.alloc(1 << 20))
})

t.test('WimFile.verify() refuses threads that make no sense', async t => {
  await using wim = await openWim(richWim(t))
  for (const threads of [0, 1.5, 257]) {
    await t.rejects(async () => await wim.verify({ threads }), { code: 'INVALID_ARGUMENT' })
  }
})
