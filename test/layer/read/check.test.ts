import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { writeLayerFromWim } from '../../../src/layer/make/from-wim.js'
import { LAYER_RULES, type LayerRule } from '../../../src/layer/read/check-rules.js'
import { checkLayer, type CheckLayerOptions, type LayerCheck } from '../../../src/layer/read/check.js'
import { openLayer } from '../../../src/layer/read/read-layer.js'
import { openWim } from '../../../src/wim/wim-file.js'
import {
  directoryEntry,
  fileEntry,
  goodLayer,
  linkEntry,
  type MadeEntry,
  makeTar,
  setField,
  windowsRecords,
} from '../../support/layers.js'
import { directoryWim, flawedWim, richWim } from '../../support/wims.js'

async function check(tar: Uint8Array, options: CheckLayerOptions = {}): Promise<LayerCheck> {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield tar
  }
  return await checkLayer({ name: 'layer', bytes: bytes(), size: tar.length }, options)
}

const codes = ({ findings }: LayerCheck): string[] => findings.map(({ code }) => code).sort()

type Change = (entries: MadeEntry[]) => MadeEntry[]

const SOFTWARE = 'UtilityVM/Files/Windows/System32/config/SOFTWARE'
const add =
  (...more: MadeEntry[]): Change =>
  entries => [...entries, ...more]
const without =
  (...names: string[]): Change =>
  entries =>
    entries.filter(entry => !names.includes(entry.name))
/** Gives the entry `name` other fields; `records` are put over those it has, and dropped where undefined. */
const change =
  (name: string, fields: Partial<MadeEntry>, records: Record<string, string | undefined> = {}): Change =>
  entries =>
    entries.map(entry =>
      entry.name === name
        ? {
            ...entry,
            ...fields,
            records: Object.fromEntries(
              Object.entries({ ...entry.records, ...records }).filter(
                (pair): pair is [string, string] => pair[1] !== undefined,
              ),
            ),
          }
        : entry,
    )
const last =
  (name: string): Change =>
  entries => [...entries.filter(entry => entry.name !== name), ...entries.filter(entry => entry.name === name)]
const rename =
  (from: string, to: string): Change =>
  entries =>
    entries.map(entry => ({
      ...entry,
      name: entry.name === from || entry.name.startsWith(`${from}/`) ? to + entry.name.slice(from.length) : entry.name,
    }))

const SAM = 'Files/Windows/System32/config/SAM'
const BOOT = 'UtilityVM/Files/EFI/Microsoft/Boot'
const FILE = 'Files/attributes.txt'
const stream = (name: string): MadeEntry => ({ name, content: 'stream' })
const flipped = (entries: MadeEntry[]): Buffer => {
  const hive = Buffer.from(entries.find(({ name }) => name === SAM)!.content!)
  hive.writeUInt8(7, 100)
  return hive
}

/** Each breaks its rule, and no other. */
const CASES: readonly [rule: LayerRule, name: string, change: Change, path: string | undefined][] = [
  ['FILES_MISSING', 'no Files', entries => entries.filter(({ name }) => name.startsWith('UtilityVM')), undefined],
  ['HIVE_MISSING', 'no SAM', without(SAM), SAM],
  ['HIVE_INVALID', 'text for a hive', change(SAM, { content: 'x'.repeat(9000) }), SAM],
  ['HIVE_INVALID', 'a short hive', change(SAM, { content: 'regf' }), SAM],
  ['HIVE_INVALID', 'a hive with a wrong checksum', entries => change(SAM, { content: flipped(entries) })(entries), SAM],
  ['HIVE_INVALID', 'text for a BCD', change(`${BOOT}/BCD`, { content: 'x'.repeat(9000) }), `${BOOT}/BCD`],
  ['BCD_MISSING', 'no BCD', without(`${BOOT}/BCD`), `${BOOT}/BCD`],
  [
    'UTILITY_VM_MISSING',
    'no UtilityVM',
    entries => entries.filter(({ name }) => !name.startsWith('UtilityVM')),
    undefined,
  ],
  ['UTILITY_VM_HIVE', 'no SOFTWARE of the utility VM', without(SOFTWARE), SOFTWARE],
  ['OUTSIDE', 'a file at the top', add(fileEntry('layout')), 'layout'],
  ['OUTSIDE', 'hives that the host makes', add(directoryEntry('Hives')), 'Hives'],
  [
    'OUTSIDE',
    'a disk beside the files of the utility VM',
    add(fileEntry('UtilityVM/SystemTemplate.vhdx')),
    'UtilityVM/SystemTemplate.vhdx',
  ],
  ['BOOT_SPELLING', 'a boot file in lower case', add(fileEntry(`${BOOT}/bcd.log`)), `${BOOT}/bcd.log`],
  ['BAD_PATH', 'an absolute path', change(FILE, { name: `/${FILE}` }), `/${FILE}`],
  ['PATH_FORM', 'two slashes', change(FILE, { name: 'Files//attributes.txt' }), 'Files//attributes.txt'],
  ['BAD_PATH', 'a way out', add(fileEntry('Files/../../x')), 'Files/../../x'],
  ['BAD_PATH', 'the top itself', add(directoryEntry('./')), './'],
  [
    'BAD_PATH',
    'a link to an absolute path',
    change('Files/Windows/link', { linkname: `/${FILE}` }),
    'Files/Windows/link',
  ],
  ['INVALID_NAME', 'a question mark', add(fileEntry('Files/why?')), 'Files/why?'],
  ['BACKSLASH', 'a backslash', add(fileEntry('Files\\a')), 'Files\\a'],
  ['INVALID_NAME', 'a control character', add(fileEntry('Files/a\u0007')), 'Files/a\u0007'],
  ['NAME_TOO_LONG', 'a long name', add(fileEntry(`Files/${'n'.repeat(256)}`)), `Files/${'n'.repeat(256)}`],
  [
    'TRAILING_SLASH',
    'a slash at the end of a directory',
    change('Files/Windows', { name: 'Files/Windows/' }),
    'Files/Windows/',
  ],
  [
    'UTILITY_VM_SLASH',
    'a slash where it matters',
    change('UtilityVM/Files', { name: 'UtilityVM/Files/' }),
    'UtilityVM/Files/',
  ],
  ['DUPLICATE', 'a file twice', add(fileEntry(FILE)), FILE],
  ['DUPLICATE', 'a link twice', add(linkEntry('Files/Windows/link', FILE)), 'Files/Windows/link'],
  ['CASE_COLLISION', 'names that differ in case', add(fileEntry('Files/ÜNÏCODE.TXT')), 'Files/ÜNÏCODE.TXT'],
  ['PARENT_MISSING', 'no entry for a directory', without('Files/Windows/System32'), 'Files/Windows/System32'],
  ['PARENT_MISSING', 'no UtilityVM above its files', without('UtilityVM'), 'UtilityVM'],
  ['PARENT_LATE', 'a directory after its children', last('Files/Windows/System32'), 'Files/Windows/System32'],
  ['PARENT_NOT_DIRECTORY', 'a file below a file', add(fileEntry(`${FILE}/below`)), `${FILE}/below`],
  ['PARENT_NOT_DIRECTORY', 'a file below a junction', add(fileEntry('Files/junction/below')), 'Files/junction/below'],
  ['LINK_TARGET_MISSING', 'a link to nothing', add(linkEntry('Files/lost', 'Files/none')), 'Files/lost'],
  ['LINK_TARGET_LATE', 'a link before its file', last(FILE), 'Files/Windows/link'],
  [
    'LINK_TARGET_CASE',
    'a link to another spelling',
    change('Files/Windows/link', { linkname: 'Files/Attributes.txt' }),
    'Files/Windows/link',
  ],
  [
    'LINK_TO_DIRECTORY',
    'a link to a directory',
    change('Files/Windows/link', { linkname: 'Files/Windows' }),
    'Files/Windows/link',
  ],
  [
    'LINK_OF_SYSTEM_FILE',
    'a hive that is a link',
    entries => [
      ...entries.filter(({ name }) => name !== SAM),
      { ...entries.find(({ name }) => name === SAM)!, name: 'Files/sam' },
      linkEntry(SAM, 'Files/sam'),
    ],
    SAM,
  ],
  ['EMPTY_TARGET', 'a symbolic link to nowhere', change('Files/symlink', { linkname: '' }), 'Files/symlink'],
  [
    'LONG_TARGET',
    'a target that no reparse point holds',
    change('Files/symlink', { linkname: 'x'.repeat(4100) }),
    'Files/symlink',
  ],
  ['STREAM_ORPHAN', 'a stream of nothing', add(stream('Files/none:stream')), 'Files/none:stream'],
  ['STREAM_ORPHAN', 'a stream of a link', add(stream('Files/Windows/link:stream')), 'Files/Windows/link:stream'],
  ['STREAM_ORPHAN', 'a stream that comes late', add(stream(`${FILE}:stream`)), `${FILE}:stream`],
  ['STREAM_ORPHAN', 'a colon in a directory', add(fileEntry('Files/a:b/c')), 'Files/a:b/c'],
  [
    'STREAM_SUFFIX',
    'a stream with its type',
    add(fileEntry('Files/new'), stream('Files/new:one:$DATA')),
    'Files/new:one:$DATA',
  ],
  [
    'STREAM_NOT_FILE',
    'a stream that is a directory',
    add(fileEntry('Files/new'), directoryEntry('Files/new:one')),
    'Files/new:one',
  ],
  ['STREAM_CIM', 'a stream as it should be', add(fileEntry('Files/new'), stream('Files/new:one')), 'Files/new:one'],
  ['TOMBSTONE', 'a deleted file', add({ name: 'Files/.wh.gone' }), 'Files/.wh.gone'],
  ['NO_ATTRIBUTES', 'no attributes', change(FILE, {}, { 'MSWINDOWS.fileattr': undefined }), FILE],
  ['BAD_ATTRIBUTES', 'attributes in hexadecimal', change(FILE, {}, { 'MSWINDOWS.fileattr': '0x20' }), FILE],
  ['BAD_ATTRIBUTES', 'too many attributes', change(FILE, {}, { 'MSWINDOWS.fileattr': '4294967296' }), FILE],
  [
    'DIRECTORY_AS_FILE',
    'a directory without the attribute',
    add({ ...directoryEntry('Files/empty'), records: windowsRecords(0x20) }),
    'Files/empty',
  ],
  ['DIRECTORY_ATTRIBUTE', 'a file with the attribute', change(FILE, {}, { 'MSWINDOWS.fileattr': '16' }), FILE],
  ['REPARSE_ATTRIBUTE', 'a file with the attribute of links', change(FILE, {}, { 'MSWINDOWS.fileattr': '1056' }), FILE],
  [
    'REPARSE_ATTRIBUTE',
    'a link without its attribute',
    change('Files/symlink', {}, { 'MSWINDOWS.fileattr': '32' }),
    'Files/symlink',
  ],
  ['ENCRYPTED', 'an encrypted file', change(FILE, {}, { 'MSWINDOWS.fileattr': '16416' }), FILE],
  ['OFFLINE', 'a file that is offline', change(FILE, {}, { 'MSWINDOWS.fileattr': '4128' }), FILE],
  ['MOUNT_POINT', 'a file that is a mount point', change(FILE, {}, { 'MSWINDOWS.mountpoint': '1' }), FILE],
  ['NO_SECURITY', 'no security descriptor', change(FILE, {}, { 'MSWINDOWS.rawsd': undefined }), FILE],
  ['BAD_SECURITY', 'a security descriptor in words', change(FILE, {}, { 'MSWINDOWS.rawsd': 'O:BAG:SYD:' }), FILE],
  [
    'BAD_SECURITY',
    'a security descriptor cut short',
    change(
      FILE,
      {},
      {
        'MSWINDOWS.rawsd': Buffer.from(windowsRecords(0)['MSWINDOWS.rawsd']!, 'base64')
          .subarray(0, -4)
          .toString('base64'),
      },
    ),
    FILE,
  ],
  [
    'BAD_SECURITY',
    'zeros for a security descriptor',
    change(FILE, {}, { 'MSWINDOWS.rawsd': Buffer.alloc(40).toString('base64') }),
    FILE,
  ],
  ['NO_TIME', 'no access time', change(FILE, {}, { atime: undefined }), FILE],
  ['NO_TIME', 'no creation time', change(FILE, {}, { 'LIBARCHIVE.creationtime': undefined }), FILE],
  ['BAD_TIME', 'a time in words', change(FILE, {}, { atime: 'yesterday' }), FILE],
  ['TIME_RANGE', 'the year 1601', change(FILE, {}, { atime: '-11644473600' }), FILE],
  [
    'BAD_ATTRIBUTE_VALUE',
    'an extended attribute as it is',
    change(FILE, {}, { 'MSWINDOWS.xattr.A': 'plain text' }),
    FILE,
  ],
  [
    'BAD_ATTRIBUTE_VALUE',
    'an extended attribute of 64 KiB',
    change(FILE, {}, { 'MSWINDOWS.xattr.A': Buffer.alloc(65536).toString('base64') }),
    FILE,
  ],
  [
    'BAD_ATTRIBUTE_VALUE',
    'a long name of one',
    change(FILE, {}, { [`MSWINDOWS.xattr.${'A'.repeat(256)}`]: 'QUJD' }),
    FILE,
  ],
  ['EMPTY_ATTRIBUTE', 'an extended attribute without a value', change(FILE, {}, { 'MSWINDOWS.xattr.A': '' }), FILE],
  ['NOT_A_WINDOWS_FILE', 'a fifo', change(FILE, { flag: '6', content: '' }), FILE],
  ['NOT_A_WINDOWS_FILE', 'a device', change(FILE, { flag: '3', content: '' }), FILE],
  [
    'ROOT_SPELLING',
    'UtilityVM in lower case',
    entries =>
      rename(
        'UtilityVM',
        'utilityvm',
      )(entries)
        .filter(({ name }) => !/BCD|EFI/.test(name))
        .concat(fileEntry('utilityvm/Files/x')),
    'utilityvm',
  ],
]

t.test('checkLayer() finds nothing wrong with a layer that is right', async t => {
  const result = await check(makeTar(goodLayer()))
  t.match(result, { ok: true, entries: goodLayer().length, findings: [] })
  t.match(await check(gzipSync(makeTar(goodLayer())), { strict: true }), { ok: true, compression: 'gzip' })
})

t.test('checkLayer() tells each rule that is broken, and only it', async t => {
  for (const [rule, name, broken, path] of CASES) {
    const result = await check(makeTar(broken(goodLayer())))
    // What is not found under its right name is missing too
    const ignored = rule === 'ROOT_SPELLING' ? ['BCD_MISSING'] : []
    t.same(
      codes(result).filter(code => !ignored.includes(code)),
      [rule],
      `${rule}: ${name}`,
    )
    t.ok(
      result.findings.find(({ code }) => code === rule)?.cases.some(found => found.path === path),
      `${rule}: ${name}: ${path}`,
    )
    const { severity } = LAYER_RULES[rule]
    if (ignored.length === 0) t.equal(result.ok, severity === 'warning', `${rule}: ${severity}`)
    if (severity === 'warning') t.equal((await check(makeTar(broken(goodLayer())), { strict: true })).ok, false)
  }
})

t.test('checkLayer() reads the bytes that no text can be made of', async t => {
  const tar = makeTar([...goodLayer(), fileEntry('Files/bytes', '')])
  const at = tar.lastIndexOf('Files/bytes\0')
  setField(tar.subarray(at, at + 512), 6, Buffer.from([0xff, 0xfe]))
  t.same(codes(await check(tar)), ['NOT_UTF8'])
  const surrogate = makeTar([...goodLayer(), fileEntry('Files/xxx', '')])
  const start = surrogate.lastIndexOf('Files/xxx\0')
  setField(surrogate.subarray(start, start + 512), 6, Buffer.from([0xed, 0xa0, 0x80]))
  t.same(codes(await check(surrogate)), ['NOT_UTF8'], 'half a surrogate pair')
  const extended = makeTar([{ name: 'x', content: '11 comment=\n'.replace('11', '12') }]).subarray(0, 1024)
  setField(extended, 156, 'g')
  t.same(codes(await check(Buffer.concat([extended, makeTar(goodLayer())]))), ['GLOBAL_HEADER'])
})

t.test('checkLayer() relaxes for a layer on others what only the lowest must have', async t => {
  const upper = makeTar([
    directoryEntry('Files'),
    directoryEntry('Hives'),
    fileEntry('Hives/System_Delta'),
    directoryEntry('Files/a'),
    { name: 'Files/a/.wh.gone' },
    linkEntry('Files/a/link', 'Files/Windows/below'),
  ])
  t.match(await check(upper, { base: false }), { ok: true, findings: [] })
  t.same(codes(await check(upper)), [
    'HIVE_MISSING',
    'LINK_TARGET_MISSING',
    'OUTSIDE',
    'TOMBSTONE',
    'UTILITY_VM_MISSING',
  ])
  const opaque = makeTar([directoryEntry('Files'), directoryEntry('Files/a'), { name: 'Files/a/.wh..wh..opq' }])
  t.same(codes(await check(opaque, { base: false })), ['OPAQUE'])
  t.same(
    codes(await check(makeTar([directoryEntry('Files'), fileEntry('x'), fileEntry('Files/b/c')]), { base: false })),
    ['OUTSIDE', 'PARENT_MISSING'],
  )
})

t.test('checkLayer() says of a layer of another system that it is one, and no more', async t => {
  const directory = t.testdir({ tree: { etc: { passwd: 'root' }, bin: { sh: '' } } })
  for (const [command, ...args] of [
    ['tar', '-czf'],
    ['bsdtar', '--zstd', '-cf'],
  ] as const) {
    const path = join(directory, command)
    execFileSync(command, [...args, path, '-C', join(directory, 'tree'), '.'])
    const result = await checkLayer(await openLayer(path))
    t.same(codes(result), ['NOT_WINDOWS'])
    t.notOk(result.ok)
  }
})

t.test('checkLayer() counts what it does not tell, and names the first ten', async t => {
  const many = Array.from({ length: 25 }, (_, n) => fileEntry(`Files/${n}?`))
  const { findings } = await check(makeTar([...goodLayer(), ...many]))
  t.match(findings, [
    {
      code: 'INVALID_NAME',
      grade: 'refused',
      severity: 'error',
      count: 25,
      cases: { length: 10, 0: { path: 'Files/0?' } },
    },
  ])
})

t.test('checkLayer() takes the layers that Stowage makes of base OS WIMs, and sees what a WIM lacks', async t => {
  const directory = t.testdir()
  async function layerOf(wim: string): Promise<LayerCheck> {
    await using opened = await openWim(wim)
    await writeLayerFromWim(opened, join(directory, 'layer'), { force: true })
    return await checkLayer(await openLayer(join(directory, 'layer')))
  }
  t.match(await layerOf('fixtures/nanoserver-sample.wim'), { ok: true, findings: [] })
  const rich = await layerOf(richWim(t))
  t.ok(rich.ok)
  t.same(codes(rich), ['STREAM_CIM', 'TIME_RANGE'])
  t.same(codes(await layerOf(flawedWim(t, 'no-hives'))), ['HIVE_MISSING'])
  t.same(codes(await layerOf(directoryWim(t))), ['HIVE_MISSING', 'NO_SECURITY', 'UTILITY_VM_MISSING'])
})

t.test('checkLayer() sees in what Python and bsdtar make of a Windows layer what they changed', async t => {
  const directory = t.testdir()
  const path = join(directory, 'good.tar')
  writeFileSync(path, makeTar(goodLayer()))
  const program = `
import sys, tarfile
with tarfile.open(sys.argv[1]) as old, tarfile.open(sys.argv[2], "w", format=tarfile.PAX_FORMAT) as new:
    for e in old:
        new.addfile(e, old.extractfile(e) if e.isreg() else None)`
  execFileSync('python3', ['-c', program, path, join(directory, 'python.tar')])
  const python = await checkLayer(await openLayer(join(directory, 'python.tar')))
  t.same(
    codes(python),
    ['TRAILING_SLASH', 'UTILITY_VM_SLASH'],
    'Python keeps all, and puts slashes at the ends of directories',
  )
  execFileSync('bsdtar', ['-cf', join(directory, 'bsd.tar'), '--format', 'pax', `@${path}`], {
    stdio: 'pipe',
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
  })
  const bsd = await checkLayer(await openLayer(join(directory, 'bsd.tar')))
  t.ok(
    bsd.findings.every(({ code }) => code !== 'PARENT_MISSING'),
    'bsdtar keeps names and order',
  )
  t.match(
    bsd.findings.find(({ code }) => code === 'NO_SECURITY'),
    { severity: 'warning' },
    'and drops records that it does not know',
  )
})

t.test('checkLayer() takes its time for what is in the layer, not for how it is put', async t => {
  const deep = makeTar([
    ...goodLayer(),
    { ...fileEntry('Files/deep'), records: { path: `Files/${'a/'.repeat(300_000)}b` } },
  ])
  const early = Array.from({ length: 60_000 }, (_, n) => linkEntry(`Files/${n}`, 'Files/late'))
  const start = performance.now()
  t.same(codes(await check(deep)), ['NAME_TOO_LONG'], 'a path of a million names')
  t.match((await check(makeTar([...goodLayer(), ...early, fileEntry('Files/late')]))).findings, [
    { code: 'LINK_TARGET_LATE', count: 60_000 },
  ])
  t.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`)
})
