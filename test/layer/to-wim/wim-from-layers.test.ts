import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import t from 'tap'
import { incompressible, text } from '../../../fixtures/make/bytes.js'
import { writeLayerFromWim } from '../../../src/layer/make/from-wim.js'
import {
  type WimFromLayers,
  type WimFromLayersOptions,
  writeWimFromLayers,
} from '../../../src/layer/to-wim/wim-from-layers.js'
import { openWim } from '../../../src/wim/wim-file.js'
import { SLOWER } from '../../support/emulation.js'
import { sampleTree, treeState } from '../../support/wim-compare.js'
import { extendedAttributeWim, richWim, wimlib } from '../../support/wims.js'

async function make(
  layers: readonly string[],
  output: string,
  options: WimFromLayersOptions & { force?: boolean } = {},
): Promise<WimFromLayers> {
  const made = await writeWimFromLayers(layers, output, options)
  wimlib('verify', output)
  return made
}

async function layerOf(wim: string, output: string): Promise<string> {
  await using opened = await openWim(wim)
  await writeLayerFromWim(opened, output)
  return output
}

/** What Python's tarfile is told of an entry: a writer that is not ours. */
interface Entry {
  readonly name: string
  readonly type?: '0' | '1' | '2' | '3' | '5' | '6'
  readonly content?: string | Buffer
  readonly linkname?: string
  readonly mtime?: number
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly device?: readonly [number, number]
  readonly pax?: Readonly<Record<string, string>>
}

function pythonLayer(path: string, entries: readonly Entry[]): string {
  const program = `
import base64, io, json, sys, tarfile
with tarfile.open(sys.argv[1], 'w:gz' if sys.argv[1].endswith('gz') else 'w', format=tarfile.PAX_FORMAT) as tar:
    for e in json.load(sys.stdin):
        info = tarfile.TarInfo(e['name'])
        info.type = e.get('type', '0').encode()
        info.mtime, info.mode, info.uid, info.gid = e.get('mtime', 1500000000), e.get('mode', 0o644), e.get('uid', 0), e.get('gid', 0)
        info.linkname = e.get('linkname', '')
        info.devmajor, info.devminor = e.get('device', (0, 0))
        info.pax_headers = e.get('pax', {})
        content = base64.b64decode(e.get('content', ''))
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))`
  const input = JSON.stringify(
    entries.map(entry => ({ ...entry, content: Buffer.from(entry.content ?? '').toString('base64') })),
  )
  execFileSync('python3', ['-c', program, path], { input })
  return path
}

const directory = (name: string): Entry => ({ name, type: '5', pax: { 'MSWINDOWS.fileattr': '16' } })
const file = (name: string, content: string | Buffer = name): Entry => ({
  name,
  content,
  pax: { 'MSWINDOWS.fileattr': '32' },
})
const whiteout = (name: string): Entry => ({ name })

/** `dir --detailed` of one image, but for where and how things stand in the file and for numbers that only group. */
function details(wim: string, image: number): string[] {
  const blocks = wimlib('dir', wim, String(image), '--detailed').split(/^-{20,}\n/m)
  return blocks.map(block =>
    block.replace(/^(?:Offset in WIM|Compressed size|Link Group ID|Part Number|Flags) .*\n/gm, ''),
  )
}

/** Paths of one image. */
function paths(wim: string, image = 1): string[] {
  return wimlib('dir', wim, String(image)).trim().split('\n')
}

function contentOf(wim: string, path: string, image = 1): string {
  return wimlib('extract', wim, String(image), path, '--to-stdout')
}

const field = (block: string, name: string): string | undefined =>
  new RegExp(`^\\s*${name}\\s+= (.*)$`, 'm').exec(block)?.[1]
const blockOf = (wim: string, path: string, image = 1): string =>
  details(wim, image).find(block => block.includes(`Full Path           = "${path}"\n`)) ?? ''

t.test(
  'writeWimFromLayers() gives back the WIM that a layer was made of, but for what a tar has no place for',
  async t => {
    const wim = richWim(t)
    const directoryPath = t.testdir()
    const layer = await layerOf(wim, join(directoryPath, 'layer.tar.gz'))
    for (const type of ['lzx', 'xpress', 'none'] as const) {
      const back = join(directoryPath, `${type}.wim`)
      const made = await make([layer], back, { compression: { type }, imageName: 'NanoServer' })
      t.same(made.lost, [])
      for (const image of [1, 2]) {
        const [before, after] = [details(wim, image), details(back, image)]
        const changed = before.flatMap((block, n) => {
          const plain = block
            .replace(/^(?:Object ID|Birth Volume ID|Birth Object ID|Domain ID) .*\n/gm, '')
            .replace(/^(Short Name .*)"[^"]+"$/m, '$1""')
          return plain === after[n] ? [] : [field(block, 'Full Path')]
        })
        // Both junctions have no print name: a tar keeps a link's target once. The times are none that a host can hold.
        const lost = [
          '/reparse/junction-no-print-name',
          '/reparse/junction-volume',
          '/times/first-day',
          '/times/future',
        ]
        t.same(changed, image === 1 ? lost.map(path => `"${path}"`) : [])
        t.equal(before.length, after.length)
      }
      const count = (path: string): string[] =>
        wimlib('info', path).match(/^(?:Directory Count|File Count|Hard Link Bytes): .*$/gm) ?? []
      t.same(count(back), count(wim))
      t.match(wimlib('info', back), new RegExp(`Compression: +${type === 'none' ? 'None' : type.toUpperCase()}`))
    }
  },
)

t.test('writeWimFromLayers() makes a WIM that wimlib-imagex applies as it does the one before', async t => {
  const wim = richWim(t)
  const root = t.testdir({ before: {}, after: {} })
  const back = join(root, 'back.wim')
  await make([await layerOf(wim, join(root, 'layer.tar.gz'))], back)
  wimlib('apply', wim, '1', join(root, 'before'))
  wimlib('apply', back, '1', join(root, 'after'))
  execFileSync('diff', ['-r', '--no-dereference', 'before', 'after'], { cwd: root })
  t.same(JSON.stringify(treeTimes(join(root, 'after'))), JSON.stringify(treeTimes(join(root, 'before'))))
})

function treeTimes(root: string): string[] {
  return execFileSync('find', ['.', '-printf', '%P %s %T@\\n'], { cwd: root, encoding: 'utf8' }).split('\n').sort()
}

t.test('writeWimFromLayers() keeps the content of every spelling of a path, in one layer and in several', async t => {
  const root = t.testdir()
  const names = ['/Files/a', './/Files/b', '././files/c', 'Files//./d', 'UtilityVM//Files/e', './UtilityVM/./Files/f']
  const entries = [
    directory('/Files'),
    directory('UtilityVM'),
    directory('UtilityVM/Files'),
    ...names.map(name => file(name)),
  ]
  const layer = pythonLayer(join(root, 'layer.tar'), entries)
  for (const layers of [[layer], [layer, pythonLayer(join(root, 'upper.tar'), [directory('Files')])]]) {
    const wim = join(root, `${layers.length}.wim`)
    await make(layers, wim)
    for (const name of names) {
      t.equal(contentOf(wim, `/${name.slice(-1)}`, name.includes('VM') ? 2 : 1), name, `${name} of ${layers.length}`)
    }
  }
})

t.test('writeWimFromLayers() keeps the streams of the root directories', async t => {
  const root = t.testdir()
  const names = ['Files:s', 'UtilityVM/Files:t', 'files:UPPER']
  const entries = [
    directory('Files'),
    directory('UtilityVM'),
    directory('UtilityVM/Files'),
    ...names.map(name => file(name)),
  ]
  const wim = join(root, 'x.wim')
  const { lost } = await make([pythonLayer(join(root, 'layer.tar'), entries)], wim)
  t.same(lost, [])
  t.match(
    wimlib('dir', wim, '1', '--detailed', '--path=/'),
    /Named data stream "s":\nHash +=.*\nUncompressed size = 7 /,
  )
  const back = await layerOf(wim, join(root, 'back.tar.gz'))
  const shown = execFileSync(
    'tar',
    ['--warning=no-unknown-keyword', '-xOf', back, 'Files:s', 'Files:UPPER', 'UtilityVM/Files:t'],
    { encoding: 'utf8' },
  )
  t.equal(shown, 'Files:sfiles:UPPERUtilityVM/Files:t')
})

t.test('writeWimFromLayers() gives the same bytes on any number of threads and every time', async t => {
  const root = t.testdir()
  const layer = await layerOf(richWim(t), join(root, 'layer.tar.gz'))
  const digests = []
  for (const threads of [1, 2, 4]) {
    const output = join(root, `${threads}.wim`)
    await make([layer], output, { threads, integrityTable: true, imageName: 'same' })
    digests.push(createHash('sha256').update(readFileSync(output)).digest('hex'))
  }
  t.equal(new Set(digests).size, 1)
  // An integrity table that is wrong is told by whoever opens the WIM with --check.
  wimlib('info', join(root, '1.wim'), '--check')
  t.match(wimlib('info', join(root, '1.wim')), /Integrity info/)
})

t.test('writeWimFromLayers() writes content once, whatever its size and however often it comes', async t => {
  const root = t.testdir()
  const big = incompressible('big', 5 * 1024 * 1024)
  const mixed = Buffer.concat([text('mixed', 6 * 1024 * 1024), incompressible('mixed', 40_000)])
  const layer = pythonLayer(join(root, 'layer.tar'), [
    directory('Files'),
    file('Files/big-1', big),
    file('Files/mixed-1', mixed),
    file('Files/big-2', big),
    file('Files/mixed-2', mixed),
    file('Files/small-1', 'small'),
    file('Files/small-2', 'small'),
    file('Files/empty', ''),
    file('Files/random', incompressible('r', 100_000)),
  ])
  const output = join(root, 'x.wim')
  await make([layer], output)
  const hashes = wimlib('info', output, '--blobs').match(/^Hash .*$/gm) ?? []
  t.equal(hashes.length, 1 + 4, 'the metadata, and each content')
  t.equal(new Set(hashes).size, hashes.length)
  t.equal(field(blockOf(output, '/big-2'), 'Reference Count'), '2')
  t.match(
    wimlib('dir', output, '1', '--detailed'),
    /\/random"[^]*?Compressed size {3}= 100000 bytes[^]*?Flags {13}= \n/,
    'what gets no smaller is stored as it is',
  )
  wimlib('apply', output, '1', join(root, 'applied'))
  t.ok(readFileSync(join(root, 'applied', 'big-2')).equals(big))
  t.ok(readFileSync(join(root, 'applied', 'mixed-2')).equals(mixed))
})

t.test('writeWimFromLayers() applies layers in order: whiteouts, replaced files, links into lower layers', async t => {
  const root = t.testdir()
  const base = pythonLayer(join(root, 'base.tar.gz'), [
    directory('Files'),
    directory('Files/dir'),
    file('Files/dir/a'),
    file('Files/dir/b'),
    file('Files/gone'),
    file('Files/kept'),
    file('Files/replaced', 'old'),
    { name: 'Files/linked', type: '1', linkname: 'Files/replaced' },
    directory('Files/emptied'),
    file('Files/emptied/x'),
    directory('Files/becomes file'),
    file('Files/becomes file/y'),
    file('Files/becomes directory'),
    directory('UtilityVM'),
    directory('UtilityVM/Files'),
    file('UtilityVM/Files/boot'),
  ])
  const upper = pythonLayer(join(root, 'upper.tar'), [
    file('FILES/Replaced', 'new'),
    whiteout('Files/.wh.gone'),
    whiteout('Files/dir/.wh.a'),
    file('Files/dir/c'),
    { name: 'Files/dir/link', type: '1', linkname: 'Files/kept' },
    file('Files/emptied/new'),
    whiteout('Files/emptied/.wh..wh..opq'),
    file('Files/becomes file'),
    directory('Files/becomes directory'),
    file('Files/becomes directory/z'),
    file('Hives/Software_Delta'),
  ])
  const output = join(root, 'x.wim')
  const made = await make([base, upper], output, { withoutHiveChanges: true })
  t.same(paths(output), [
    '/',
    '/becomes directory',
    '/becomes directory/z',
    '/becomes file',
    '/dir',
    '/dir/b',
    '/dir/c',
    '/dir/link',
    '/emptied',
    '/emptied/new',
    '/kept',
    '/linked',
    '/Replaced',
  ])
  t.same(paths(output, 2), ['/', '/boot'])
  t.equal(contentOf(output, '/Replaced'), 'new')
  t.equal(contentOf(output, '/linked'), 'old', 'the other name keeps the file')
  t.equal(field(blockOf(output, '/kept'), 'Link Count'), '2')
  t.same(
    made.lost.map(({ count, paths: [path] }) => [count, path]),
    [[1, 'Hives/Software_Delta']],
  )
  const blobs = wimlib('info', output, '--blobs')
  for (const gone of ['Files/gone', 'Files/dir/a', 'Files/emptied/x', 'Hives/Software_Delta']) {
    t.notOk(blobs.includes(createHash('sha1').update(gone).digest('hex')), `${gone} is not written`)
  }
  t.equal(made.layers.length, 2)
})

t.test('writeWimFromLayers() keeps a whiteout of a layer from what the same layer brings', async t => {
  const root = t.testdir()
  const base = pythonLayer(join(root, 'base.tar'), [
    directory('Files'),
    file('Files/x', 'old'),
    directory('Files/d'),
    file('Files/d/old'),
  ])
  const upper = pythonLayer(join(root, 'upper.tar'), [
    file('Files/x', 'new'),
    whiteout('Files/.wh.x'),
    directory('Files/d'),
    file('Files/d/new'),
    whiteout('Files/.wh.d'),
  ])
  await make([base, upper], join(root, 'x.wim'))
  t.same(paths(join(root, 'x.wim')), ['/', '/d', '/d/new', '/x'])
  t.equal(contentOf(join(root, 'x.wim'), '/x'), 'new')
})

t.test('writeWimFromLayers() reads what PAX records say, and what Stowage keeps in records of its own', async t => {
  const root = t.testdir()
  const descriptor = Buffer.from(
    '01000480140000002400000000000000000000000102000000000005200000002002000001020000000000052000000020020000',
    'hex',
  )
  const unknown = Buffer.concat([Buffer.from('075700800200000000', 'hex').subarray(0, 8), Buffer.from('its own data')])
  const layer = pythonLayer(join(root, 'layer.tar'), [
    directory('Files'),
    {
      name: 'Files/file',
      content: 'x',
      mtime: 1,
      pax: {
        'MSWINDOWS.fileattr': '35',
        'MSWINDOWS.rawsd': descriptor.toString('base64'),
        mtime: '-1.5',
        atime: '1464566400.12345678',
        'LIBARCHIVE.creationtime': '-11644473600',
        'STOWAGE.shortname': 'FILE~1',
        'STOWAGE.objectid': '00112233445566778899aabbccddeeff',
      },
    },
    { name: 'Files/file:a stream:$DATA', content: 'in a stream' },
    {
      name: 'Files/odd',
      pax: { 'MSWINDOWS.fileattr': '32', 'STOWAGE.fileattr': '1056', 'STOWAGE.reparse': unknown.toString('base64') },
    },
    {
      name: 'Files/link',
      type: '2',
      linkname: '..\\x',
      pax: { 'MSWINDOWS.fileattr': '1024', 'STOWAGE.reparseflags': '0' },
    },
    {
      name: 'Files/junction',
      type: '2',
      linkname: 'C:\\Users',
      pax: { 'MSWINDOWS.fileattr': '1040', 'MSWINDOWS.mountpoint': '1' },
    },
    { name: 'Files/words', pax: { 'MSWINDOWS.sd': 'O:BAG:SY' } },
  ])
  const output = join(root, 'x.wim')
  const made = await make([layer], output)
  const block = blockOf(output, '/file')
  t.equal(field(block, 'Attributes'), '0x00000023')
  t.equal(field(block, 'Security Descriptor')?.replace(/^0x|\s/g, ''), descriptor.toString('hex'))
  t.match(field(block, 'Creation Time'), /Mon Jan 01 00:00:00 1601/)
  t.equal(field(block, 'Short Name'), '"FILE~1"')
  t.match(block, /Object ID +=.*00112233445566778899aabbccddeeff/)
  t.match(block, /Named data stream "a stream":/)
  await using opened = await openWim(output)
  const dentries = [...(await opened.metadata(1)).dentries]
  const named = (name: string) => dentries.find(dentry => dentry.name === name)
  t.equal(named('file')?.writeTime, 116_444_736_000_000_000n - 15_000_000n)
  t.equal(named('file')?.accessTime, 116_444_736_000_000_000n + 14_645_664_001_234_567n)
  t.equal(named('odd')?.reparseTag, 0x80005707)
  t.equal(named('odd')?.attributes, 0x420)
  t.equal(named('link')?.reparseFlags, 0)
  t.equal(named('junction')?.reparseTag, 0xa0000003)
  t.same(
    made.lost.map(({ what, paths: [path] }) => [what, path]),
    [['security descriptors in text form (MSWINDOWS.sd)', 'Files/words']],
  )
})

t.test('writeWimFromLayers() keeps extended attributes', async t => {
  const root = t.testdir()
  const wim = extendedAttributeWim(t)
  const output = join(root, 'x.wim')
  await make([await layerOf(wim, join(root, 'layer.tar'))], output)
  const attributes = async (path: string): Promise<string[]> => {
    await using opened = await openWim(path)
    return [...(await opened.metadata(1)).dentries].map(dentry => dentry.extendedAttributes.toString('latin1'))
  }
  t.same(await attributes(output), await attributes(wim))
  t.ok((await attributes(output)).some(packed => packed.includes('user.one\0first value')))
})

t.test(
  'writeWimFromLayers() with unixData makes what wimlib-imagex apply --unix-data gives back: a tree of Linux',
  async t => {
    const root = t.testdir({ tree: {}, applied: {} })
    const tree = join(root, 'tree')
    sampleTree(tree)
    execFileSync('chown', ['1234:4321', join(tree, 'bin', 'tool')])
    execFileSync('chmod', ['4755', join(tree, 'bin', 'tool')])
    execFileSync('mknod', [join(tree, 'null'), 'c', '1', '3'])
    rmSync(join(tree, 'data', 'inside')) // it names the tree itself
    for (const path of ['null', 'data', '.']) utimesSync(join(tree, path), 4_000_000_000, 1_650_000_000)
    const layer = join(root, 'layer.tar.zst')
    execFileSync('sh', ['-c', `tar -C ${tree} --xattrs --format=posix -cf - . | zstd -q -o ${layer}`])
    const output = join(root, 'x.wim')
    const made = await make([layer], output, { unixData: true })
    t.same(made.lost, [])
    wimlib('apply', output, '1', join(root, 'applied'), '--unix-data')
    const state = (path: string): unknown =>
      JSON.parse(
        JSON.stringify(treeState(path), (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
      )
    t.same(state(join(root, 'applied')), state(tree))
    t.equal(
      execFileSync('stat', ['-c', '%F %t:%T', join(root, 'applied', 'null')], { encoding: 'utf8' }).trim(),
      'character special file 1:3',
    )
  },
)

t.test('writeWimFromLayers() with unixData follows links of lower layers and applies whiteouts', async t => {
  const root = t.testdir()
  const base = pythonLayer(join(root, 'base.tar'), [
    { name: 'usr', type: '5', mode: 0o755 },
    { name: 'usr/lib', type: '5', mode: 0o755 },
    { name: 'lib', type: '2', linkname: 'usr/lib' },
    { name: 'usr/lib/old', content: 'old' },
    { name: 'Case' },
    { name: 'case' },
  ])
  const upper = pythonLayer(join(root, 'upper.tar'), [{ name: 'lib/new', content: 'new' }, { name: 'usr/lib/.wh.old' }])
  await make([base, upper], join(root, 'x.wim'), { unixData: true })
  t.same(paths(join(root, 'x.wim')), ['/', '/Case', '/case', '/lib', '/usr', '/usr/lib', '/usr/lib/new'])
})

t.test('writeWimFromLayers() says of the image what it was told', async t => {
  const root = t.testdir()
  const layer = pythonLayer(join(root, 'layer.tar'), [directory('Files'), file('Files/x')])
  const output = join(root, 'My image.wim')
  await make([layer], output, {
    architecture: 'arm64',
    osVersion: '10.0.26100.1',
    imageDescription: 'a < b & c',
    created: 131_000_000_000_000_000n,
  })
  const info = wimlib('info', output)
  for (const line of [
    /^Name: +My image$/m,
    /^Description: +a < b & c$/m,
    /^Architecture: +ARM64/m,
    /^Build: +26100$/m,
    /^Creation Time: +.*Feb 15 .* 2016/m,
  ])
    t.match(info, line)
  await t.rejects(make([layer], join(root, 'y'), { architecture: 'pdp11' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(make([layer], join(root, 'y'), { architecture: 'amd64', osVersion: 'ten' }), {
    code: 'INVALID_ARGUMENT',
  })
})

t.test('writeWimFromLayers() refuses what is not a layer, or none that a WIM can hold, and leaves nothing', async t => {
  const good = [directory('Files'), file('Files/x')]
  for (const [what, entries, code] of [
    ['no Files', [file('etc/passwd')], 'LAYER_UNSUPPORTED'],
    ['a path out of it', [...good, file('Files/../../x')], 'LAYER_CORRUPT'],
    ['a link to nothing', [...good, { name: 'Files/l', type: '1', linkname: 'Files/none' }], 'LAYER_CORRUPT'],
    ['a link to a directory', [...good, { name: 'Files/l', type: '1', linkname: 'Files' }], 'LAYER_CORRUPT'],
    [
      'links to each other',
      [
        ...good,
        { name: 'Files/l', type: '1', linkname: 'Files/m' },
        { name: 'Files/m', type: '1', linkname: 'Files/l' },
      ],
      'LAYER_CORRUPT',
    ],
    ['a file below a file', [...good, file('Files/x/y')], 'LAYER_CORRUPT'],
    ['a stream of nothing', [...good, file('Files/none:stream')], 'LAYER_CORRUPT'],
    ['a device', [...good, { name: 'Files/null', type: '3', device: [1, 3] }], 'LAYER_UNSUPPORTED'],
    ['a name of none', [...good, file('Files/a?b')], 'LAYER_UNSUPPORTED'],
    ['attributes of none', [...good, { name: 'Files/y', pax: { 'MSWINDOWS.fileattr': 'many' } }], 'LAYER_CORRUPT'],
    ['a descriptor of none', [...good, { name: 'Files/y', pax: { 'MSWINDOWS.rawsd': 'AAAA' } }], 'LAYER_CORRUPT'],
    ['a time of none', [...good, { name: 'Files/y', pax: { 'LIBARCHIVE.creationtime': 'then' } }], 'LAYER_CORRUPT'],
    ['a link without target', [...good, { name: 'Files/y', type: '2' }], 'LAYER_CORRUPT'],
    [
      'a path too long',
      [...good, file(`Files/${'long'.repeat(60)}${`/${'d'.repeat(250)}`.repeat(131)}`)],
      'LAYER_UNSUPPORTED',
    ],
    ['a path too deep', [...good, file(`Files${'/d'.repeat(20_000)}`)], 'LAYER_UNSUPPORTED'],
    ['a stream whose name is none', [...good, file('Files/x:a*b')], 'LAYER_UNSUPPORTED'],
    [
      'a short name too long',
      [...good, { name: 'Files/y', pax: { 'STOWAGE.shortname': 'A'.repeat(40_000) } }],
      'LAYER_CORRUPT',
    ],
    [
      'link flags of none',
      [...good, { name: 'Files/y', type: '2', linkname: 'x', pax: { 'STOWAGE.reparseflags': 'none' } }],
      'LAYER_CORRUPT',
    ],
    [
      'attribute flags of none',
      [...good, { name: 'Files/y', pax: { 'MSWINDOWS.xattr.A': 'YQ==', 'STOWAGE.eaflags.A': '256' } }],
      'LAYER_CORRUPT',
    ],
    [
      'an attribute too long',
      [...good, { name: 'Files/y', pax: { 'MSWINDOWS.xattr.LONG': Buffer.alloc(70_000).toString('base64') } }],
      'LAYER_UNSUPPORTED',
    ],
  ] as [string, Entry[], string][]) {
    const root = t.testdir()
    const layer = pythonLayer(join(root, 'layer.tar'), entries)
    await t.rejects(writeWimFromLayers([layer], join(root, 'x.wim')), { code }, what)
    await t.rejects(writeWimFromLayers([layer, layer], join(root, 'x.wim')), { code }, `${what}, twice`)
    t.same(readdirSync(root), ['layer.tar'], `${what}: nothing is left`)
  }
})

t.test('writeWimFromLayers() takes no directory for a layer, and reads no pipe twice', async t => {
  const root = t.testdir({ tree: {} })
  const output = join(root, 'x.wim')
  const layer = pythonLayer(join(root, 'layer.tar'), [directory('Files')])
  await t.rejects(writeWimFromLayers([join(root, 'tree')], output), {
    code: 'INVALID_ARGUMENT',
    message: /tree is a directory/,
  })
  execFileSync('mkfifo', [join(root, 'pipe')])
  const several = writeWimFromLayers([layer, join(root, 'pipe')], output)
  await t.rejects(several, {
    code: 'INVALID_ARGUMENT',
    message: /each is read twice, which is not possible for .*pipe/,
  })
  t.same(readdirSync(root).sort(), ['layer.tar', 'pipe', 'tree'])
})

t.test('writeWimFromLayers() refuses a damaged layer, and stops when it is told to, leaving nothing', async t => {
  const root = t.testdir()
  const layer = await layerOf(richWim(t), join(root, 'layer.tar.gz'))
  const bytes = readFileSync(layer)
  writeFileSync(layer, bytes.subarray(0, bytes.length - 1000))
  const output = join(root, 'x.wim')
  await t.rejects(writeWimFromLayers([layer], output), { code: 'LAYER_CORRUPT' })
  writeFileSync(layer, bytes)
  const controller = new AbortController()
  await t.rejects(
    writeWimFromLayers([layer], output, {
      signal: controller.signal,
      onProgress: event => event.type === 'bytes' && controller.abort(),
    }),
    { code: 'ABORTED' },
  )
  await t.rejects(writeWimFromLayers([join(root, 'none')], output), { code: 'FILE_NOT_FOUND' })
  await t.rejects(writeWimFromLayers([layer, '-'], output), { code: 'INVALID_ARGUMENT' })
  await t.rejects(writeWimFromLayers([layer], layer, { force: true }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(writeWimFromLayers([layer], layer), { code: 'OUTPUT_EXISTS' })
  t.same(readdirSync(root), ['layer.tar.gz'])
})

t.test(
  'writeWimFromLayers() never blocks the event loop for 50 ms, over 60000 files',
  { timeout: 300_000 },
  async t => {
    const root = t.testdir()
    const entries = Array.from({ length: 60 }, (_, n) => [
      directory(`Files/${n}`),
      ...Array.from({ length: 1000 }, (_, m) => file(`Files/${n}/${m}`, `${n % 7}`)),
    ])
    const layer = pythonLayer(join(root, 'layer.tar'), [directory('Files'), ...entries.flat()])
    const longest: number[] = []
    // Where more threads want to run than there are processors, each waits for its turn that much longer; of five the best is ours
    const limit = (): number => 50 * SLOWER * Math.max(1, loadavg()[0]! / availableParallelism())
    while (longest.length < 5 && !longest.some(milliseconds => milliseconds < limit())) {
      const delay = monitorEventLoopDelay({ resolution: 5 })
      delay.enable()
      const { images } = await writeWimFromLayers([layer], join(root, 'x.wim'), { threads: 1, force: true })
      delay.disable()
      t.same(
        images.map(({ directories, files }) => [directories, files]),
        [[61, 60_000]],
      )
      longest.push(delay.max / 1e6)
    }
    t.ok(
      longest.some(milliseconds => milliseconds < limit()),
      `${longest.map(Math.round).join(', ')} ms of ${Math.round(limit())}`,
    )
  },
)
