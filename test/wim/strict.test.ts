/** Every kind of WIM that we write, read by a strict reader that is not ours: `test/support/strict-wim.ts`. */
import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { FULL, securityDescriptor, SIDS } from '../../fixtures/make/security.js'
import { writeLayerFromWim } from '../../src/layer/make/from-wim.js'
import { writeWimFromLayers } from '../../src/layer/to-wim/wim-from-layers.js'
import { binding } from '../../src/wim/binding.js'
import { compressionNumber } from '../../src/wim/compression.js'
import { joinWims } from '../../src/wim/join.js'
import { createWim, openWim } from '../../src/wim/wim-file.js'
import { decodeLzms } from '../support/lzms.js'
import { linkData, type MadeFile, makeWim, packedAttributes } from '../support/made-wim.js'
import type { StrictFile, StrictImage } from '../support/strict-wim-image.js'
import { readStrictWim } from '../support/strict-wim.js'
import { decodeXpress, lzxDecoder } from '../support/wim-codecs.js'
import { richWim } from '../support/wims.js'

const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex')

t.test('the strict reader decodes what libwim compresses, and what we do', async t => {
  const ramp = Buffer.alloc(300_000)
  for (let n = 0; n < 75_000; n += 1) ramp.writeUInt32LE((n * 7 + (n % 13 === 0 ? 1 : 0)) >>> 0, 4 * n)
  const wave = Buffer.alloc(300_000)
  for (let n = 0; n < 150_000; n += 1) wave.writeInt16LE(Math.round(8000 * Math.sin(n / 50)), 2 * n)
  const program = readFileSync('/bin/bash')
  const contents = [program.subarray(0, 400_000), ramp, wave, text('words', 300_000), Buffer.alloc(100_000)]
  const sizes = { xpress: [4096, 32_768, 65_536], lzx: [32_768, 2 ** 21], lzms: [32_768, 2 ** 21] } as const
  for (const [compression, chunks] of Object.entries(sizes) as [keyof typeof sizes, readonly number[]][]) {
    for (const size of chunks) {
      for (const content of contents) {
        const chunk = Buffer.from(content).subarray(0, size)
        const window = 2 ** Math.max(15, Math.ceil(Math.log2(chunk.length)))
        const decode = { xpress: decodeXpress, lzx: lzxDecoder(window), lzms: decodeLzms }[compression]
        for (const whose of compression === 'xpress' ? (['ours', 'libwim'] as const) : (['libwim'] as const)) {
          const compressed = await binding().compressChunk(compressionNumber(compression), 0, chunk, whose)
          if (!compressed) continue
          t.ok(decode(compressed, chunk.length).equals(chunk), `${compression}, ${whose}, ${chunk.length} bytes`)
        }
      }
    }
  }
})

/** A tree of files with links, and with contents that compress and that do not. */
function source(t: Test, name = 'source'): string {
  const root = t.testdir({
    [name]: {
      'a.txt': text('a', 60_000),
      'noise.bin': Buffer.from(incompressible('noise', 40_000)),
      empty: '',
      hollow: {},
      sub: { deep: { 'b.txt': text('b', 5000) }, 'same.txt': text('a', 60_000) },
      link: t.fixture('symlink', 'a.txt'),
      'hard.txt': t.fixture('link', 'a.txt'),
    },
  })
  return join(root, name)
}

const FILETIME_1970 = 116_444_736_000_000_000n

/** What an image holds of the files below `directory`. */
function checkTree(t: Test, image: StrictImage, directory: string, base = ''): void {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  const inImage = [...image.files.keys()].filter(path => path !== base && path.startsWith(base))
  t.same(inImage.sort(), paths.map(path => `${base}/${path}`).sort(), 'the same names')
  for (const path of paths) {
    const full = join(directory, path)
    const stat = lstatSync(full, { bigint: true })
    const file = image.files.get(`${base}/${path}`)
    t.equal(file?.times[2], FILETIME_1970 + stat.mtimeNs / 100n, `${path}: its time`)
    t.equal(file?.data, stat.isFile() && stat.size > 0n ? sha1(readFileSync(full)) : '', `${path}: its content`)
    t.equal((Number(file?.attributes) & 0x10) !== 0, stat.isDirectory(), path)
    t.equal(file?.names.length, stat.isFile() ? Number(stat.nlink) : 1, `${path}: its names`)
    if (!stat.isSymbolicLink()) continue
    t.equal(file?.reparse?.tag, 0xa000000c)
    const { data } = linkData('symlink', readlinkSync(full), readlinkSync(full), true)
    t.equal(file?.reparse?.sha1, sha1(data), `${path}: its target`)
  }
}

const FORMS = [
  ['none', {}],
  ['xpress', {}],
  ['lzx', {}],
  ['lzms', {}],
  ['lzx', { pipable: true }],
  ['none', { pipable: true }],
  ['xpress', { integrityTable: true }],
  ['lzms', { solid: true }],
] as const

t.test('write() and overwrite() keep every rule, and all files, in every form', async t => {
  const directory = source(t)
  for (const [compression, options] of FORMS) {
    const label = `${compression} ${JSON.stringify(options)}`
    const path = join(t.testdirName, 'captured.wim')
    {
      await using wim = await createWim({ compression })
      await wim.addImage(directory, { name: 'tree' })
      await wim.write(path, options)
    }
    const wim = readStrictWim(path)
    t.equal(wim.unused, 0, `${label}: nothing in it belongs to nothing`)
    t.equal(wim.pipable, 'pipable' in options)
    t.equal(wim.solid, 'solid' in options)
    checkTree(t, wim.images[0] as StrictImage, directory)
    {
      await using wim = await openWim(path)
      await wim.addImage(join(directory, 'sub'), { name: 'second' })
      await wim.overwrite()
    }
    const appended = readStrictWim(path)
    t.equal(appended.images.length, 2, `${label}: appended`)
    checkTree(t, appended.images[0] as StrictImage, directory)
    checkTree(t, appended.images[1] as StrictImage, join(directory, 'sub'))
  }
})

t.test('update() keeps every rule', async t => {
  const directory = source(t)
  const path = join(t.testdirName, 'updated.wim')
  {
    await using wim = await createWim({ compression: 'lzx' })
    await wim.addImage(directory, { name: 'tree' })
    await wim.write(path)
  }
  {
    await using wim = await openWim(path)
    await wim.update(1, [
      { type: 'delete', path: '/sub/deep', recursive: true },
      { type: 'rename', source: '/empty', target: '/still-empty' },
      { type: 'add', source: directory, target: '/added' },
    ])
    await wim.overwrite()
  }
  const [image] = readStrictWim(path).images
  checkTree(t, image as StrictImage, directory, '/added')
  t.ok(image?.files.has('/still-empty'))
  t.notOk(image?.files.has('/sub/deep'))
  {
    await using wim = await openWim(path)
    await wim.overwrite({ rebuild: true })
  }
  t.equal(readStrictWim(path).unused, 0)
})

/** All files of all images, to be compared. */
function filesOf(...paths: string[]): Readonly<Record<string, StrictFile>>[] {
  return readStrictWim(...paths).images.map(({ files }) =>
    Object.fromEntries([...files].sort(([a], [b]) => (a < b ? -1 : 1))),
  )
}

t.test('exportImage(), split() and joinWims() keep every rule, and all files of a rich WIM', async t => {
  const rich = richWim(t)
  const before = filesOf(rich)
  const root = t.testdir()
  for (const [compression, options] of FORMS) {
    const path = join(root, 'exported.wim')
    await using wim = await openWim(rich)
    await using to = await createWim({ compression })
    await wim.exportImage('all', to)
    await to.write(path, options)
    t.same(filesOf(path), before, `${compression} ${JSON.stringify(options)}`)
  }
  await using wim = await openWim(rich)
  await wim.split(join(root, 'x.swm'), 4_000_000)
  const number = (name: string): number => Number(/(\d+)\.swm$/.exec(name)?.[1] ?? 1)
  const names = readdirSync(root).filter(name => name.endsWith('.swm'))
  const parts = names.sort((a, b) => number(a) - number(b)).map(name => join(root, name))
  t.ok(parts.length > 1)
  t.same(filesOf(...parts), before, `${parts.length} parts`)
  await joinWims(parts, join(root, 'joined.wim'))
  t.same(filesOf(join(root, 'joined.wim')), before, 'joined')
})

t.test('writeWimFromLayers() keeps every rule, and all that a lossless layer holds', async t => {
  const rich = richWim(t)
  const root = t.testdir()
  const odd = oddWim(join(root, 'odd.wim'))
  for (const [source, before] of [
    [rich, filesOf(rich)],
    [odd, filesOf(odd)],
  ] as const) {
    const layer = join(root, 'layer.tar.gz')
    {
      await using wim = await openWim(source)
      await writeLayerFromWim(wim, layer, { lossless: true, force: true })
    }
    for (const type of ['none', 'xpress', 'lzx'] as const) {
      for (const integrityTable of [false, true]) {
        const path = join(root, 'back.wim')
        await writeWimFromLayers([layer], path, { compression: { type }, integrityTable, force: true })
        t.equal(readStrictWim(path).unused, 0)
        t.same(filesOf(path), before, type)
        t.equal(readStrictWim(path).rpfix, source === odd)
      }
    }
  }
})

const SECURITY = securityDescriptor({
  owner: SIDS.administrators,
  group: SIDS.system,
  dacl: [{ sid: SIDS.system, mask: FULL }],
})

/** A WIM of what a layer has no place for. */
function oddWim(path: string): string {
  const tag = 0x80005707
  const root: MadeFile[] = [
    { name: 'directory', attributes: 0x10, reparse: { tag, flags: 0, data: Buffer.from('opaque') } },
    { name: 'file', reparse: { tag, flags: 3, data: Buffer.from('also opaque') }, security: 1 },
    { name: 'empty', reparse: { tag, flags: 1, data: Buffer.alloc(0) } },
    { name: 'junction', attributes: 0x10, reparse: { flags: 0, ...linkData('junction', '\\??\\D:\\a', 'D:\\a') } },
    {
      name: 'attributes',
      attributesItem: packedAttributes([
        ['a*b', 'x'],
        ['empty', ''],
      ]),
      security: 0,
    },
    { name: 'times', times: [0n, 1n, 0xffff_ffff_ffff_ffffn] },
    { name: 'temporary', attributes: 0x100, children: [{ name: 'inside', content: 'inside' }] },
    { name: 'one', linkGroup: 5, content: 'linked' },
    { name: 'two', linkGroup: 5, content: 'linked' },
  ]
  return makeWim(path, { rpfix: true, security: [SECURITY, SECURITY.subarray(0, 40)], root })
}

/** The small WIM that is broken below. */
async function small(t: Test, compression: 'none' | 'lzx'): Promise<Buffer> {
  const directory = source(t)
  for (const name of ['b.txt', '']) utimesSync(join(directory, 'sub', 'deep', name), 4_000_000_000, 1_600_000_000)
  const path = join(t.testdirName, 'small.wim')
  await using wim = await createWim({ compression })
  await wim.addImage(join(directory, 'sub', 'deep'), { name: 'tree' })
  await wim.write(path, { integrityTable: false })
  return readFileSync(path)
}

t.test('the strict reader finds any byte that is not as it was', async t => {
  for (const compression of ['none', 'lzx'] as const) {
    const whole = await small(t, compression)
    const path = join(t.testdirName, 'broken.wim')
    writeFileSync(path, whole)
    readStrictWim(path)
    const xml = Number(whole.readBigUInt64LE(72 + 8))
    const unnoticed: number[] = []
    for (let at = 0; at < xml; at += at < 220 || at > xml - 200 ? 1 : 61) {
      if (at >= 24 && at < 40) continue // the GUID may be anything
      const broken = Buffer.from(whole)
      broken.writeUInt8(broken.readUInt8(at) ^ 0xff, at)
      writeFileSync(path, broken)
      try {
        readStrictWim(path)
        unnoticed.push(at)
      } catch {
        continue
      }
    }
    t.same(unnoticed, [], compression)
  }
})

t.test('the strict reader finds XML that is wrong about the images', async t => {
  const whole = await small(t, 'none')
  const path = join(t.testdirName, 'broken.wim')
  for (const name of ['DIRCOUNT', 'FILECOUNT', 'HARDLINKBYTES', 'TOTALBYTES']) {
    const broken = Buffer.from(whole)
    const digit = broken.indexOf(Buffer.from(`<${name}>`, 'utf16le')) + 2 * name.length + 4
    broken.writeUInt8(broken.readUInt8(digit) ^ 1, digit)
    writeFileSync(path, broken)
    t.throws(() => readStrictWim(path), { message: new RegExp(name) })
  }
})

t.test('the strict reader finds metadata that is whole but wrong', async t => {
  const path = join(t.testdir(), 'made.wim')
  const reparse = { tag: 0x80005707, flags: 1, data: Buffer.from('opaque') }
  const wrong: readonly (readonly [claim: RegExp, root: readonly MadeFile[]])[] = [
    [/\/a: attributes 0x410 and children at \d+/, [{ name: 'a', reparse, children: [] }]],
    [/\/a: attributes 0x10 and children at 0/, [{ name: 'a', attributes: 0x10 }]],
    [/\/a is there twice/, [{ name: 'a' }, { name: 'a' }]],
    [/security descriptor 3/, [{ name: 'a', security: 3 }]],
    [/link group 4 has one name, \/a/, [{ name: 'a', linkGroup: 4 }]],
    [
      /\/b is not the same as \/a of its link group/,
      [
        { name: 'a', linkGroup: 4 },
        { name: 'b', linkGroup: 4, content: 'b' },
      ],
    ],
    [/is named "\.\."/, [{ name: '..' }]],
    [/\/a: a reparse point without a tag/, [{ name: 'a', reparse: { ...reparse, tag: 0 } }]],
  ]
  for (const [claim, root] of wrong) t.throws(() => readStrictWim(makeWim(path, { root })), { message: claim })
})
