import { lstatSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FULL, securityDescriptor, SIDS } from '../../../fixtures/make/security.js'
import { writeWimFromLayers } from '../../../src/layer/to-wim/wim-from-layers.js'
import { make, pythonEntries, type TarEntry } from '../../support/made-layers.js'
import { linkData, type MadeFile, type MadeWim, makeWim, packedAttributes } from '../../support/made-wim.js'
import { wimlib } from '../../support/wims.js'

const SECURITY = securityDescriptor({
  owner: SIDS.administrators,
  group: SIDS.system,
  dacl: [{ sid: SIDS.system, mask: FULL }],
})

/** The layer of such a WIM, as Python's tarfile reads it. */
async function layerOf(t: Test, wim: MadeWim, options: Parameters<typeof make>[2] = {}) {
  const directory = t.testdir()
  const path = makeWim(join(directory, 'made.wim'), wim)
  const output = join(directory, 'layer.tar')
  const layer = await make(path, output, options)
  const entries = new Map(pythonEntries(output).map(entry => [entry.name, entry]))
  const entry = (name: string): TarEntry => {
    const found = entries.get(`Files/${name}`)
    if (!found) throw new Error(`the layer has no ${name}`)
    return found
  }
  return { layer, path, output, entries, entry }
}

/** The WIM that comes back from a lossless layer. */
async function backFrom(t: Test, wim: MadeWim): Promise<{ readonly before: string; readonly after: string }> {
  const { path, output } = await layerOf(t, wim, { lossless: true })
  const after = `${output}.wim`
  const { lost } = await writeWimFromLayers([output], after, { compression: { type: 'none' }, imageName: 'made' })
  t.same(lost, [])
  wimlib('verify', after)
  return { before: path, after }
}

/** What wimlib-imagex tells of every file but where it is. */
function told(wim: string): string {
  return wimlib('dir', wim, '1', '--detailed').replace(/^(?:Offset in WIM|Raw|Link Group ID|Flags) .*\n/gm, '')
}

const link = (
  name: string,
  type: 'symlink' | 'junction',
  substitute: string,
  print: string,
  { flags = 0, relative = false }: { readonly flags?: number; readonly relative?: boolean } = {},
): MadeFile => ({
  name,
  attributes: type === 'junction' ? 0x10 : 0x20,
  reparse: { flags, ...linkData(type, substitute, print, relative) },
})

const LINKS: readonly (readonly [file: MadeFile, fixed: string, asIs: string])[] = [
  [link('junction', 'junction', '\\??\\D:\\Windows', 'D:\\Windows'), 'C:\\Windows', 'D:\\Windows'],
  [link('symlink', 'symlink', '\\??\\X:\\a\\b.txt', 'X:\\a\\b.txt'), 'C:\\a\\b.txt', 'X:\\a\\b.txt'],
  [link('root', 'junction', '\\??\\D:\\', 'D:\\'), 'C:\\', 'D:\\'],
  [link('root without slash', 'junction', '\\??\\D:', 'D:'), 'C:\\', 'D:'],
  [link('no print name', 'junction', '\\??\\E:\\x', ''), 'C:\\x', 'E:\\x'],
  [link('other spelling', 'symlink', '\\DosDevices\\\\f:\\y', 'f:\\y'), 'C:\\y', 'f:\\y'],
  [link('device', 'symlink', '\\Device\\HarddiskVolume3\\\\z', 'V:\\z'), 'C:\\z', 'V:\\z'],
  [
    link('volume', 'junction', '\\??\\Volume{6e4f2c2a-0000-0000-0000-100000000000}\\Data', ''),
    'C:\\Data',
    '\\\\?\\Volume{6e4f2c2a-0000-0000-0000-100000000000}\\Data',
  ],
  [link('on C already', 'junction', '\\??\\c:\\Users', 'c:\\Users'), 'c:\\Users', 'c:\\Users'],
  [link('not fixed', 'junction', '\\??\\D:\\Other', 'D:\\Other', { flags: 1 }), 'D:\\Other', 'D:\\Other'],
  [link('relative', 'symlink', '..\\D', '..\\D', { relative: true }), '..\\D', '..\\D'],
  [link('share', 'symlink', '\\??\\UNC\\server\\share', '\\\\server\\share'), '\\\\server\\share', '\\\\server\\share'],
]
const MOVED = LINKS.filter(([, fixed, asIs]) => fixed !== asIs).length

t.test('writeLayerFromWim() puts absolute links on the drive of the image if the WIM says so', async t => {
  const root = LINKS.map(([file]) => file)
  const fixed = await layerOf(t, { rpfix: true, root })
  for (const [{ name }, target] of LINKS) t.equal(fixed.entry(name).linkname, target, name)
  t.equal(fixed.layer.mended.linkDrives, MOVED)
  const plain = await layerOf(t, { rpfix: false, root })
  for (const [{ name }, , target] of LINKS) t.equal(plain.entry(name).linkname, target, name)
  t.equal(plain.layer.mended.linkDrives, 0)
  t.notOk('STOWAGE.rpfix' in fixed.entry('junction').pax)
})

t.test('writeLayerFromWim() moves the same links as wimlib-imagex apply does', async t => {
  const wim = makeWim(join(t.testdir({ applied: {} }), 'made.wim'), { rpfix: true, root: LINKS.map(([file]) => file) })
  const applied = join(t.testdirName, 'applied')
  wimlib('apply', wim, '1', applied)
  for (const [{ name }, fixed, asIs] of LINKS) {
    // A share has no drive: wimlib takes it for one, which leads to a directory that is not there.
    if (name === 'share') continue
    t.ok(lstatSync(join(applied, name)).isSymbolicLink())
    const onDrive = fixed !== asIs || name === 'on C already'
    const target = readlinkSync(join(applied, name))
    t.equal(target.startsWith(applied), onDrive, `${name} -> ${target}`)
    if (onDrive)
      t.equal(
        target.slice(applied.length).replace(/^\/+/, ''),
        fixed.slice(2).replaceAll('\\', '/').replace(/^\/+/, ''),
        name,
      )
  }
})

t.test('writeWimFromLayers() gives back links on the drive of the image with their flags, as they were', async t => {
  const { before, after } = await backFrom(t, { rpfix: true, root: LINKS.map(([file]) => file) })
  const contents = (wim: string): string[] => told(wim).match(/^(?:Full Path|Hash|\s+Hash|Reparse Tag).*$/gm) ?? []
  t.same(contents(after), contents(before))
  t.match(wimlib('info', after, '--header'), /RP_FIX/)
  for (const [wim, name] of [
    [before, 'a'],
    [after, 'b'],
  ] as const)
    wimlib('apply', wim, '1', join(t.testdirName, name))
  const target = (applied: string, name: string): string =>
    readlinkSync(join(t.testdirName, applied, name)).replace(join(t.testdirName, applied), '')
  for (const [{ name }] of LINKS) t.equal(target('b', name), target('a', name), name)
})

t.test('writeLayerFromWim() keeps extended attributes with an empty value', async t => {
  const item = packedAttributes([
    ['USER.EMPTY', ''],
    ['USER.FULL', 'value'],
  ])
  const wim = { root: [{ name: 'a', attributesItem: item }] }
  const { entry } = await layerOf(t, wim)
  t.match(entry('a').pax, {
    'MSWINDOWS.xattr.USER.EMPTY': '',
    'MSWINDOWS.xattr.USER.FULL': Buffer.from('value').toString('base64'),
  })
  const { after } = await backFrom(t, wim)
  t.ok(readFileSync(after).includes(item))
})

const YEAR_1 = 1n
const YEAR_1700 = 31_000_000_000_000_000n
const LAST = 0x7fff_ffff_ffff_ffffn
const HUGE = 0xffff_ffff_ffff_fff0n
const NOW = 131_000_000_000_000_000n
const seconds = (time: bigint): string => {
  const units = time - 116_444_736_000_000_000n
  return `${units / 10_000_000n}`
}

t.test('writeLayerFromWim() gives no time of another year to a host', async t => {
  const wim: MadeWim = {
    root: [
      { name: 'unset', times: [0n, 0n, 0n] },
      { name: 'only written', times: [0n, 0n, NOW] },
      { name: 'old', times: [YEAR_1, YEAR_1, YEAR_1] },
      { name: 'late', times: [LAST, LAST, LAST] },
      { name: 'huge', times: [HUGE, NOW, NOW], children: [] },
      { name: 'edge', times: [YEAR_1700, NOW, NOW] },
    ],
  }
  const { layer, entry } = await layerOf(t, wim)
  t.equal(layer.lost.times, 5)
  const times = (name: string): unknown[] => {
    const { pax, mtime } = entry(name)
    return [pax['LIBARCHIVE.creationtime'], pax['atime'], pax['mtime'] ?? String(mtime)]
  }
  const limit = '9223372036'
  t.same(times('unset'), [undefined, '0', '0'])
  t.same(times('only written'), [undefined, seconds(NOW), seconds(NOW)])
  t.same(times('old'), [`-${limit}`, `-${limit}`, `-${limit}`])
  t.same(times('late'), [limit, limit, limit])
  t.same(times('huge'), [limit, seconds(NOW), seconds(NOW)])
  t.same(times('edge'), [seconds(YEAR_1700), seconds(NOW), seconds(NOW)])
  const lossless = await layerOf(t, wim, { lossless: true })
  t.equal(lossless.layer.lost.times, 0)
  t.equal(lossless.entry('huge').pax['STOWAGE.times'], `${HUGE} ${NOW} ${NOW}`)
  t.notOk('STOWAGE.times' in lossless.entry('edge').pax)
  const { before, after } = await backFrom(t, wim)
  t.equal(told(after), told(before))
})

t.test('writeLayerFromWim() mends attributes that a host refuses, and says so', async t => {
  const file: MadeFile = { name: 'junction', reparse: { flags: 1, ...linkData('junction', '\\??\\C:\\d', 'C:\\d') } }
  const wim: MadeWim = {
    root: [
      { name: 'd', attributes: 0x100, children: [] },
      { name: 'f', attributes: 0x100 },
      file,
      { ...file, name: 'also temporary', attributes: 0x110 },
      { name: 'symlink', reparse: { flags: 1, ...linkData('symlink', 'f', 'f', true) } },
    ],
  }
  const { layer, entry } = await layerOf(t, wim)
  const attributes = (name: string): string | undefined => entry(name).pax['MSWINDOWS.fileattr']
  t.equal(attributes('d'), String(0x10))
  t.equal(attributes('f'), String(0x100))
  t.equal(attributes('junction'), String(0x410))
  t.equal(attributes('also temporary'), String(0x410))
  t.equal(attributes('symlink'), String(0x400))
  t.equal(layer.mended.attributes, 3)
  const { before, after } = await backFrom(t, wim)
  t.equal(told(after), told(before))
})

/** What the layer refuses of a WIM with one such file, beside a good one. */
async function refused(t: Test, wim: MadeWim, rule: RegExp, paths = 1): Promise<void> {
  await t.rejects(layerOf(t, wim), { code: 'LAYER_UNSUPPORTED', message: rule })
  const { layer, entries } = await layerOf(t, wim, { skipUnsupported: true })
  t.equal(layer.skipped.length, paths)
  t.match(layer.skipped[0], rule)
  t.ok(entries.has('Files/good'))
}

const GOOD: MadeFile = { name: 'good', security: 0, content: 'good' }

t.test(
  'writeLayerFromWim() refuses extended attributes that NTFS does not accept, and keeps them with lossless',
  async t => {
    const refusals: readonly (readonly [rule: RegExp, item: Buffer])[] = [
      [
        /Files\/bad \(NTFS does not allow "\*" in the name of the extended attribute "a\*b"\)/,
        packedAttributes([['a*b', '1']]),
      ],
      [/Files\/bad \(NTFS does not allow "=" in/, packedAttributes([['a=b', '1']])],
      [/Files\/bad \(NTFS does not allow "\\u0001" in/, packedAttributes([['a\u0001', '1']])],
      [/Files\/bad \(the name of .* has 255 bytes; NTFS allows 254\)/, packedAttributes([['n'.repeat(255), '1']])],
      [/Files\/bad \(an extended attribute without a name\)/, packedAttributes([['', '1']])],
      [/Files\/bad \(the name of an extended attribute is not UTF-8\)/, packedAttributes([[Buffer.from([0xe9]), '1']])],
      [
        /Files\/bad \(two extended attributes are named "A", regardless of case\)/,
        packedAttributes([
          ['a', '1'],
          ['A', '2'],
        ]),
      ],
      [
        /Files\/bad \(65532 bytes of extended attributes; NTFS allows 65531\)/,
        packedAttributes([
          ['a', 'x'.repeat(32_000)],
          ['b', 'x'.repeat(65_532 - 32_000 - 12)],
        ]),
      ],
    ]
    for (const [rule, item] of refusals) {
      const wim = { security: [SECURITY], root: [GOOD, { name: 'bad', attributesItem: item }] }
      await refused(t, wim, rule)
      const { layer, entry } = await layerOf(t, wim, { lossless: true })
      t.equal(layer.mended.extendedAttributes, 1)
      t.notOk(Object.keys(entry('bad').pax).some(key => key.startsWith('MSWINDOWS.xattr.')))
      const { after } = await backFrom(t, wim)
      t.ok(readFileSync(after).includes(item), String(rule))
    }
    const most = packedAttributes([
      ['a', 'x'.repeat(32_000)],
      ['b', 'x'.repeat(65_531 - 32_000 - 12)],
    ])
    await layerOf(t, { root: [{ name: 'just small enough', attributesItem: most }] })
    const name = packedAttributes([['é'.repeat(127), '1']])
    const { entry } = await layerOf(t, { root: [{ name: 'long', attributesItem: name }] })
    t.equal(entry('long').pax[`MSWINDOWS.xattr.${'é'.repeat(127)}`], 'MQ==')
  },
)

t.test('writeLayerFromWim() refuses security descriptors that are not valid, and keeps them with lossless', async t => {
  const outside = Buffer.from(SECURITY)
  outside.writeUInt32LE(5000, 4)
  for (const broken of [outside, SECURITY.subarray(0, 30), SECURITY.subarray(0, 4), Buffer.alloc(0)]) {
    const wim = { security: [SECURITY, broken], root: [GOOD, { name: 'bad', security: 1 }] }
    await refused(t, wim, /Files\/bad \(a security descriptor that is not valid: it/)
    const { layer, entry } = await layerOf(t, wim, { lossless: true })
    t.equal(layer.mended.securityDescriptors, 1)
    t.notOk('MSWINDOWS.rawsd' in entry('bad').pax)
    t.equal(entry('bad').pax['STOWAGE.rawsd'], broken.toString('base64'))
    t.equal(entry('good').pax['MSWINDOWS.rawsd'], SECURITY.toString('base64'))
    const { before, after } = await backFrom(t, wim)
    t.equal(told(after), told(before))
  }
  await layerOf(t, { security: [SECURITY, outside], root: [GOOD] })
})

t.test('writeLayerFromWim() refuses more than 1024 names of one file', async t => {
  const names = (count: number): MadeFile[] =>
    Array.from({ length: count }, (_, n) => ({ name: `n${n}`, linkGroup: 7, content: 'linked' }))
  const { layer } = await layerOf(t, { root: names(1024) })
  t.equal(layer.counts.hardLinks, 1023)
  const wim = { security: [SECURITY], root: [GOOD, ...names(1026)] }
  await refused(t, wim, /Files\/n\d+ \(name 1025 of one file; Windows allows 1024\)/, 2)
})

const config = (files: readonly MadeFile[]): MadeFile[] => [
  GOOD,
  { name: 'Windows', children: [{ name: 'System32', children: [{ name: 'config', children: files }] }] },
]

t.test('writeLayerFromWim() refuses a hive that is a link, and makes two hives of a file with two names', async t => {
  const security = [SECURITY]
  const symlink: MadeFile = { name: 'SAM', reparse: { flags: 1, ...linkData('symlink', 'SYSTEM', 'SYSTEM', true) } }
  await refused(
    t,
    { security, root: config([symlink, { name: 'SYSTEM', content: 'hive' }]) },
    /Files\/Windows\/System32\/config\/SAM \(a link, where a host needs the file itself\)/,
  )
  const linked = ['SAM', 'SYSTEM', 'other'].map(name => ({ name, linkGroup: 3, content: 'hive' }))
  const { layer, entry } = await layerOf(t, { security, root: config(linked) })
  t.equal(layer.mended.hardLinks, 1)
  t.same(
    ['SAM', 'SYSTEM', 'other'].map(name => entry(`Windows/System32/config/${name}`).type),
    ['0', '0', '1'],
  )
  t.equal(entry('Windows/System32/config/SAM').sha1, entry('Windows/System32/config/SYSTEM').sha1)
})

t.test('writeWimFromLayers() gives a directory of an unknown reparse tag no list of children', async t => {
  const wim: MadeWim = {
    root: [
      { name: 'odd', attributes: 0x10, reparse: { tag: 0x80005707, flags: 0, data: Buffer.from('opaque') } },
      GOOD,
    ],
    security: [SECURITY],
  }
  const { before, after } = await backFrom(t, wim)
  t.equal(told(after), told(before))
  t.equal(subdirectoryOf(after, 'odd'), 0n)
})

/** Field of the dentry of this name in an uncompressed WIM: where its children are. */
function subdirectoryOf(wim: string, name: string): bigint {
  const bytes = readFileSync(wim)
  return bytes.readBigUInt64LE(bytes.indexOf(Buffer.from(`${name}\0`, 'utf16le')) - 102 + 16)
}

t.test('writeLayerFromWim() makes no records that tar readers refuse, with lossless too', async t => {
  const values = Array.from({ length: 13 }, (_, n): [string, string] => [`N${n}`, 'x'.repeat(65_400)])
  const wim = { root: [{ name: 'large', attributesItem: packedAttributes(values) }] }
  await t.rejects(layerOf(t, wim), { code: 'LAYER_UNSUPPORTED', message: /Files\/large.*NTFS allows 65531/ })
  await t.rejects(layerOf(t, wim, { lossless: true }), {
    code: 'LAYER_UNSUPPORTED',
    message: /Files\/large.*PAX records/,
  })
})
