import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { incompressible, text } from '../../../fixtures/make/bytes.js'
import { type LayerFacts, openLayer, readLayer, type ReadLayerOptions } from '../../../src/layer/read/read-layer.js'
import type { LayerTarEntry } from '../../../src/layer/read/tar-entry.js'
import { makeTar, pythonEntries, setField } from '../../support/layers.js'

interface Read {
  readonly facts: LayerFacts
  readonly entries: LayerTarEntry[]
}

async function read(path: string, options: ReadLayerOptions = { hash: true }): Promise<Read> {
  const entries: LayerTarEntry[] = []
  const facts = await readLayer(await openLayer(path), options, batch => void entries.push(...batch))
  return { facts, entries }
}

/** Reads bytes that stand nowhere, in pieces of `size`. */
async function readBytes(bytes: Uint8Array, size = 1 << 16): Promise<Read> {
  const entries: LayerTarEntry[] = []
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
  const facts = await readLayer(
    { name: 'layer', bytes: pieces(), size: bytes.length },
    { hash: true },
    batch => void entries.push(...batch),
  )
  return { facts, entries }
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function makeTree(directory: string): string {
  const tree = join(directory, 'tree')
  const deep = join(tree, 'long'.repeat(30), 'name'.repeat(40), 'ünïcode 🐋')
  mkdirSync(deep, { recursive: true })
  writeFileSync(join(deep, 'text'), text('layers', 300_000))
  writeFileSync(join(tree, 'noise'), incompressible('layers', 2_000_000))
  writeFileSync(join(tree, 'empty'), '')
  linkSync(join(tree, 'noise'), join(tree, 'link'))
  symlinkSync('t'.repeat(150), join(tree, 'symlink'))
  execFileSync('mkfifo', [join(tree, 'fifo')])
  chmodSync(join(tree, 'empty'), 0o4751)
  utimesSync(join(tree, 'empty'), -5, -5)
  return tree
}

t.test('readLayer() gives what Python reads of the tars of GNU tar, bsdtar and Python, in every format', async t => {
  const directory = t.testdir()
  const tree = makeTree(directory)
  const makers: [name: string, command: string, args: string[]][] = [
    ...['gnu', 'oldgnu', 'pax'].map((format): [string, string, string[]] => [
      `gnu-${format}.tar`,
      'tar',
      [`--format=${format}`, '--numeric-owner'],
    ]),
    ...['gnutar', 'pax'].map((format): [string, string, string[]] => [
      `bsd-${format}.tar`,
      'bsdtar',
      ['--format', format],
    ]),
  ]
  for (const [name, command, args] of makers) {
    execFileSync(command, [...args, '-C', tree, '-cf', join(directory, name), '.'], { stdio: 'pipe' })
  }
  const shallow = join(directory, 'shallow')
  mkdirSync(shallow)
  writeFileSync(join(shallow, 'file'), 'x')
  for (const format of ['ustar', 'v7'])
    execFileSync('tar', [`--format=${format}`, '-C', shallow, '-cf', join(directory, `gnu-${format}.tar`), '.'])
  execFileSync('python3', [
    '-c',
    'import sys, tarfile\nwith tarfile.open(sys.argv[1], "w", format=tarfile.PAX_FORMAT) as t: t.add(sys.argv[2], "top")',
    join(directory, 'python.tar'),
    tree,
  ])
  for (const name of [...makers.map(([maker]) => maker), 'gnu-ustar.tar', 'gnu-v7.tar', 'python.tar']) {
    const { facts, entries } = await read(join(directory, name))
    const bytes = readFileSync(join(directory, name))
    t.match(
      facts,
      {
        compression: 'none',
        digest: `sha256:${sha256(bytes)}`,
        diffId: `sha256:${sha256(bytes)}`,
        size: bytes.length,
        uncompressedSize: bytes.length,
      },
      name,
    )
    const expected = pythonEntries(join(directory, name))
    t.equal(entries.length, expected.length, name)
    const codes = {
      file: '0',
      'hard link': '1',
      symlink: '2',
      'character device': '3',
      'block device': '4',
      directory: '5',
      fifo: '6',
    }
    expected.forEach((python, n) => {
      const entry = entries[n]!
      const size = entry.type === 'file' ? python.size : 0
      t.same(
        {
          ...entry,
          name: entry.path.replace(/\/+$/, ''),
          type: codes[entry.type],
          sha256: entry.sha256 ?? null,
          pax: Object.fromEntries(
            [...entry.records].map(([key, value]) => [key, Buffer.from(value, 'latin1').toString()]),
          ),
        },
        {
          ...entry,
          name: python.name,
          type: python.type === '\0' ? '0' : python.type,
          mode: python.mode,
          size,
          uid: python.uid,
          gid: python.gid,
          uname: python.uname,
          gname: python.gname,
          linkname: python.linkname,
          sha256: python.sha256,
          pax: python.pax,
        },
        `${name}: ${python.name}`,
      )
      if (!('mtime' in python.pax)) t.equal(entry.mtime, python.mtime)
    })
  }
})

t.test('readLayer() takes gzip and zstd as their tools write them, in pieces of any size', async t => {
  const directory = t.testdir()
  const tar = makeTar([
    { name: 'a', content: text('a', 700_000) },
    { name: 'b', content: incompressible('b', 400_000) },
  ])
  const path = join(directory, 'layer.tar')
  writeFileSync(path, tar)
  execFileSync('gzip', ['-k', path])
  execFileSync('zstd', ['-q', '--long=27', path])
  const [zipped, packed] = [readFileSync(`${path}.gz`), readFileSync(`${path}.zst`)]
  const half = tar.subarray(0, 300_001),
    rest = tar.subarray(300_001)
  execFileSync('zstd', ['-q', '-', '-o', join(directory, '1.zst')], { input: half })
  execFileSync('zstd', ['-q', '--no-content-size', '-', '-o', join(directory, '2.zst')], { input: rest })
  const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
  const frames = Buffer.concat([
    skippable,
    readFileSync(join(directory, '1.zst')),
    skippable,
    readFileSync(join(directory, '2.zst')),
  ])
  const named = gzipSync(half)
  const forms: [name: string, bytes: Buffer, compression: string][] = [
    ['one member', zipped, 'gzip'],
    ['members', Buffer.concat([named, gzipSync(''), gzipSync(rest, { level: 0 })]), 'gzip'],
    ['zeros after the last member', Buffer.concat([zipped, Buffer.alloc(700)]), 'gzip'],
    ['one frame', packed, 'zstd'],
    ['frames, and some to be skipped', frames, 'zstd'],
    ['a frame that ends with an empty block', zstdOfBlocks(tar, tar.length), 'zstd'],
    // libzstd alone refuses it in one piece, and takes it in several
    ['an empty block that is compressed', Buffer.concat([packed, Buffer.from('28b52ffd2000050000', 'hex')]), 'zstd'],
    ['plain', tar, 'none'],
  ]
  for (const [name, bytes, compression] of forms) {
    for (const size of [1 << 20, 4093, 17]) {
      const { facts, entries } = await readBytes(bytes, size)
      t.match(
        facts,
        {
          compression,
          digest: `sha256:${sha256(bytes)}`,
          size: bytes.length,
          diffId: `sha256:${sha256(tar)}`,
          uncompressedSize: tar.length,
        },
        `${name}, ${size}`,
      )
      t.same(
        entries.map(({ path: at, sha256: hash }) => [at, hash]),
        [
          ['a', sha256(text('a', 700_000))],
          ['b', sha256(incompressible('b', 400_000))],
        ],
      )
    }
  }
})

t.test('readLayer() gives the beginning of contents, and no hash where none was asked for', async t => {
  const path = join(t.testdir(), 'layer.tar')
  writeFileSync(
    path,
    makeTar([
      { name: 'long', content: text('x', 100_000) },
      { name: 'short', content: 'ab' },
      { name: 'd', flag: '5' },
    ]),
  )
  const { entries } = await read(path, { headSize: 600 })
  t.same(
    entries.map(entry => entry.head.length),
    [600, 2, 0],
  )
  t.same(entries[0]?.head, Buffer.from(text('x', 100_000)).subarray(0, 600))
  t.same(
    entries.map(entry => entry.sha256),
    [undefined, undefined, undefined],
  )
})

t.test('readLayer() reads records with any bytes, global ones beneath, and the last of one key', async t => {
  const tar = makeTar([
    { name: 'global' },
    { name: 'a', records: { 'SCHILY.xattr.user.bytes': 'a\nb=c\0é', one: '1' } },
    { name: 'b' },
  ])
  const extended = makeTar([{ name: 'x', content: '9 one=g1\n9 one=g2\n9 two=g3\n12 path=all\n' }]).subarray(0, 1024)
  setField(extended, 156, 'g')
  const { entries, facts } = await readBytes(Buffer.concat([extended, tar.subarray(512)]))
  t.equal(facts.globalHeaders, 1)
  t.same(
    entries.map(entry => entry.path),
    ['all', 'all'],
    'as POSIX has it',
  )
  t.same(
    [...(entries[0]?.records ?? [])],
    [
      ['SCHILY.xattr.user.bytes', Buffer.from('a\nb=c\0é').toString('latin1')],
      ['one', '1'],
      ['path', 'all'],
      ['two', 'g3'],
    ],
  )
  t.same(
    [...(entries[1]?.records ?? [])],
    [
      ['one', 'g2'],
      ['path', 'all'],
      ['two', 'g3'],
    ],
  )
})

t.test('readLayer() reads what two layers of tar disagree on as the standard has it', async t => {
  const link = makeTar([{ name: 'd', content: 'x' }, { name: 'after' }])
  setField(link, 156, '1')
  link.copyWithin(512, 1024) // a link with a size has no content
  t.same(
    (await readBytes(link)).entries.map(({ path, size }) => [path, size]),
    [
      ['d', 0],
      ['after', 0],
    ],
  )
  const old = makeTar([{ name: 'd/', content: '' }])
  setField(old, 156, '\0')
  setField(old, 257, Buffer.alloc(8))
  t.match((await readBytes(old)).entries, [{ type: 'directory', path: 'd/' }])
  const large = makeTar([{ name: 'large' }])
  setField(large, 136, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]))
  setField(large, 108, Buffer.from([0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]))
  t.match((await readBytes(large)).entries, [{ mtime: -2, uid: 0x7fffffff }])
  const whole = makeTar([{ name: 'a', content: 'x' }])
  t.equal((await readBytes(whole.subarray(0, 1024))).entries.length, 1, 'no blocks of zeros at the end')
  const more = Buffer.concat([whole, text('rest', 5000)])
  t.match(
    await readBytes(more),
    { facts: { size: more.length, diffId: `sha256:${sha256(more)}` }, entries: { length: 1 } },
    'what follows the end counts, and says nothing',
  )
})

t.test('readLayer() refuses what is damaged, cut short or no layer, saying where', async t => {
  const tar = makeTar([
    { name: 'a', content: text('a', 5000) },
    { name: 'b', records: { k: 'v' } },
  ])
  const packed = execFileSync('zstd', ['-q', '-c'], { input: tar })
  const zipped = gzipSync(tar)
  const flipped = (bytes: Buffer, at: number): Buffer => {
    const copy = Buffer.from(bytes)
    copy.writeUInt8(copy.readUInt8(at) ^ 0x55, at)
    return copy
  }
  const field = (offset: number, value: Uint8Array | string): Buffer => {
    const copy = Buffer.from(tar)
    setField(copy, offset, value)
    return copy
  }
  const extended = (body: string, type = 'x'): Buffer => {
    const copy = makeTar([{ name: 'x', content: body }, { name: 'y' }])
    setField(copy, 156, type)
    return copy
  }
  const cases: [name: string, bytes: Buffer, message: RegExp][] = [
    ['nothing', Buffer.alloc(0), /at byte 0: it is empty/],
    ['text', Buffer.from(text('no tar', 3000)), /not a tar, nor gzip or zstd/],
    ['a short text', Buffer.from('hello'), /ends within a block/],
    ['gzip of text', gzipSync(text('no tar', 3000)), /byte 0 of the tar: it is not a tar/],
    [
      'cut gzip',
      zipped.subarray(0, zipped.length - 5),
      new RegExp(`at byte ${zipped.length - 5}: it ends within a gzip member`),
    ],
    ['cut zstd', packed.subarray(0, packed.length - 5), /it ends within a zstd frame/],
    ['gzip with a wrong checksum', flipped(zipped, zipped.length - 6), /gzip: incorrect data check/],
    [
      'gzip with something after it',
      Buffer.concat([zipped, Buffer.from('more')]),
      new RegExp(`at byte ${zipped.length}: what follows`),
    ],
    ['zstd with something after it', Buffer.concat([packed, Buffer.from('more')]), /zstd: /],
    ['zstd that declares another size', zstdOfBlocks(tar, tar.length + 1), /zstd: .*corruption/],
    ['cut content', tar.subarray(0, 3000), /ends within the content/],
    ['cut block', tar.subarray(0, tar.length - 1300), /ends within a block/],
    ['a wrong checksum', flipped(tar, 5633), /at byte 5632 of the tar: .*checksum/],
    ['no number', field(124, 'ninety seven'), /not a number: size/],
    ['a negative size', field(124, Buffer.alloc(12, 0xff)), /negative size/],
    ['an endless number', field(124, Buffer.from([0x80, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])), /too large: size/],
    ['a GNU sparse file', field(156, 'S'), /sparse file/],
    ['an unknown type', field(156, 'Z'), /type 'Z'/],
    ['a long record', extended('99 a=b\n'), /not a list of records/],
    ['a record without a key', extended('6 =ab\n'), /without a key/],
    ['a record without an end', extended('6 a=b'), /not a list of records/],
    ['PAX of a sparse file', extended('21 GNU.sparse.size=1\n'), /sparse file/],
    ['a size that is none', extended('9 size=x\n'), /not a number: size/],
    ['NUL in a path', extended('11 path=a\0\n'), /NUL in the record path/],
    ['a lone extended header', extended('8 ab=cd\n').subarray(0, 1024), /between an extended header and its entry/],
    [
      'two extended headers',
      Buffer.concat([extended('8 ab=cd\n').subarray(0, 1024), extended('8 ab=cd\n')]),
      /two extended headers/,
    ],
    ['a lone block of zeros', Buffer.concat([Buffer.alloc(512), tar]), /zeros is followed/],
  ]
  for (const [name, bytes, message] of cases)
    await t.rejects(readBytes(bytes, 1000), { code: 'LAYER_CORRUPT', message }, name)
  const huge = execFileSync('zstd', ['-q', '-c', '--ultra', '-22', '--long=31', '--no-content-size'], { input: tar })
  await t.rejects(readBytes(huge), { code: 'UNSUPPORTED', message: /window/ })
  const large = makeTar([{ name: 'x', records: { a: 'x' } }])
  setField(large, 124, `${((1 << 20) + 1).toString(8).padStart(11, '0')}\0`)
  await t.rejects(readBytes(large), { code: 'LAYER_CORRUPT', message: /over 1 MiB/ })
  t.equal(gunzipSync(zipped).length, tar.length, 'the judge agrees on what is whole')
})

t.test('readLayer() stops when it is aborted, when its bytes fail, and when its entries are not wanted', async t => {
  const tar = makeTar([{ name: 'a', content: text('a', 100_000) }])
  const failing = (error: Error) =>
    async function* (): AsyncGenerator<Uint8Array> {
      yield tar.subarray(0, 2000)
      throw error
    }
  const source = (bytes: AsyncIterable<Uint8Array>) => ({ name: 'layer', bytes, size: undefined })
  await t.rejects(
    readLayer(source(failing(new Error('wire cut'))()), {}, () => undefined),
    { message: 'wire cut' },
  )
  await t.rejects(openLayer(join(t.testdirName, 'none')), { code: 'FILE_NOT_FOUND' })
  const controller = new AbortController()
  async function* silent(): AsyncGenerator<Uint8Array> {
    yield tar.subarray(0, 2000)
    controller.abort()
    await new Promise(() => undefined)
  }
  await t.rejects(
    readLayer(source(silent()), { signal: controller.signal }, () => undefined),
    { code: 'ABORTED' },
  )
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield makeTar([{ name: 'a' }]).subarray(0, 512)
  }
  await t.rejects(
    readLayer(source(endless()), {}, () => {
      throw new Error('enough')
    }),
    { message: 'enough' },
  )
})

t.test('a pipe that nobody writes to, or whose writer stalls, is not held on to', async t => {
  const directory = t.testdir()
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  const held = (): boolean => {
    try {
      closeSync(openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK))
      return true // else the kernel says that nobody reads it, or waits to
    } catch {
      return false
    }
  }
  for (let n = 0; n < 20; n++) {
    const stop = new AbortController()
    const { signal } = stop
    const reading = readLayer(await openLayer(pipe, { signal }), { signal }, () => undefined)
    stop.abort() // before a thread opens it, while one does, or after that
    await t.rejects(reading, { code: 'ABORTED' })
    t.notOk(held(), `${n}`)
  }
  const writer = spawn('sh', ['-c', `exec 3> '${pipe}'; head -c 100000 /dev/zero | tr '\\0' x >&3; exec sleep 60`])
  t.teardown(() => writer.kill())
  await t.rejects(read(pipe), { code: 'LAYER_CORRUPT' })
  t.notOk(held())
})

t.test('LayerReader survives being collected, closed twice, and the end of its thread and its process', t => {
  const directory = t.testdir()
  const [script, layer] = [join(directory, 'lifetime.cjs'), join(directory, 'layer.tar.gz')]
  writeFileSync(
    layer,
    gzipSync(makeTar(Array.from({ length: 3000 }, (_, n) => ({ name: `${n}`, content: text(String(n), 4000) })))),
  )
  writeFileSync(
    script,
    `
    const { Worker, isMainThread } = require('node:worker_threads')
    const { LayerReader } = require(${JSON.stringify(join(import.meta.dirname, '../../../build/Release/stowage.node'))})
    const bytes = require('node:fs').readFileSync(${JSON.stringify(layer)})
    const start = () => {
      const reader = new LayerReader({ name: 'x', hash: 'sha256', headSize: 10, whole: [] }, () => {})
      reader.push(bytes.subarray(0, bytes.length / 2)) // and nothing more: it waits
      return reader
    }
    async function main() {
      for (let n = 0; n < 20; n += 1) start()
      global.gc?.()
      const reader = start()
      reader.close(); reader.close(); reader.finish(); reader.cancel()
      try { reader.push(bytes) } catch (error) { console.log(error.code) }
      if (reader.take() !== undefined) console.log('taken')
      start()
      if (!isMainThread) return setTimeout(() => process.exit(), 10)
      await new Promise(done => new Worker(__filename).on('exit', done))
      const worker = new Worker(__filename)
      setTimeout(() => worker.terminate().then(() => { console.log('alive'); process.exit(0) }), 20)
    }
    main()
  `,
  )
  for (let n = 0; n < 3; n += 1) {
    const { status, signal, stdout } = spawnSync(process.execPath, ['--expose-gc', script], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    t.same([status, signal], [0, null])
    t.match(stdout, /^WIM_CLOSED\n(WIM_CLOSED\n)*alive\n$/)
  }
  t.end()
})

t.test('readLayer() takes little memory, however large a layer says it is', async t => {
  const directory = t.testdir()
  const path = join(directory, 'bomb.zst')
  const tar = makeTar([{ name: 'zeros' }])
  setField(tar, 124, '17777777777\0')
  const size = 0o17777777777
  execFileSync('sh', ['-c', `(cat; head -c ${size + 1} /dev/zero) | zstd -q --long=27 -T2 -o "$0"`, path], {
    input: tar.subarray(0, 512),
  })
  const before = process.memoryUsage.rss()
  let highest = 0
  const watch = setInterval(() => (highest = Math.max(highest, process.memoryUsage.rss())), 5)
  const { entries, facts } = await read(path, {})
  clearInterval(watch)
  t.match(entries, [{ path: 'zeros', size }])
  t.ok(facts.uncompressedSize > 2 ** 31)
  t.ok(highest - before < 200 * 2 ** 20, `${Math.round((highest - before) / 2 ** 20)} MiB, of which the window is 128`)
})

/** A frame of raw blocks, the last one empty; libzstd alone does not then compare the size that the frame declares. */
function zstdOfBlocks(bytes: Buffer, declared: number): Buffer {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0])
  head.writeUInt32LE(declared, 5)
  const pieces: Buffer[] = [head]
  const most = 100_000
  for (let at = 0; at < bytes.length; at += most) {
    const block = bytes.subarray(at, at + most)
    const header = Buffer.alloc(3)
    header.writeUIntLE(block.length << 3, 0, 3)
    pieces.push(header, block)
  }
  return Buffer.concat([...pieces, Buffer.from([1, 0, 0])])
}
