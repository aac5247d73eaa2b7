import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { imagex, sampleTree, stowageWim } from '../../support/wim-compare.js'
import {
  directoryWim,
  extendedAttributeWim,
  patchMetadata,
  renameIn,
  richWim,
  splitWim,
  truncate,
} from '../../support/wims.js'

const cwd = t.testdir({ tree: {} })
sampleTree(join(cwd, 'tree'))
imagex(['capture', 'tree', 'tree.wim', 'one', 'the first', '--unix-data', '--check'], { cwd })
imagex(['append', 'tree', 'tree.wim', 'two', '--flags=Pro'], { cwd })
const PROPERTIES = [
  'DISPLAYNAME=dn',
  'DISPLAYDESCRIPTION=dd',
  'WINDOWS/ARCH=9',
  'WINDOWS/PRODUCTNAME=pn',
  'WINDOWS/EDITIONID=ed',
  'WINDOWS/INSTALLATIONTYPE=it',
  'WINDOWS/HAL=hal',
  'WINDOWS/PRODUCTTYPE=pt',
  'WINDOWS/PRODUCTSUITE=ps',
  'WINDOWS/LANGUAGES/LANGUAGE=en-US',
  'WINDOWS/LANGUAGES/LANGUAGE[2]=de-DE',
  'WINDOWS/LANGUAGES/DEFAULT=en-US',
  'WINDOWS/SYSTEMROOT=WINDOWS',
  'WINDOWS/VERSION/MAJOR=10',
  'WINDOWS/VERSION/SPBUILD=33',
  'TOTALBYTES=abc',
  'WIMBOOT=1',
]
imagex(['info', 'tree.wim', '1', '--boot', ...PROPERTIES.map(property => `--image-property=${property}`)], { cwd })

/** Both programs print the same to stdout, byte for byte. */
async function same(t: Test, ...words: readonly string[]): Promise<void> {
  const [theirs, ours] = [imagex(words, { cwd }), await stowageWim(words, { cwd })]
  t.equal(ours.code, theirs.code, `${words.join(' ')}: ${ours.stderr}${theirs.stderr}`)
  t.equal(ours.stdout.toString('latin1'), theirs.stdout.toString('latin1'), words.join(' '))
}

t.test('wim dir - prints what wimlib-imagex prints', async t => {
  await same(t, 'dir', 'tree.wim', '1', '--detailed')
  await same(t, 'dir', 'tree.wim', 'all')
  await same(t, 'dir', 'tree.wim', 'two', '--path=/data/deep')
  await same(t, 'dir', 'tree.wim', '2', '--path', 'data\\deep', '--one-file-only', '--detailed')
  for (const form of ['lzx', 'solid', 'pipable', 'none'] as const)
    await same(t, 'dir', richWim(t, form), '1', '--detailed')
  await same(t, 'dir', extendedAttributeWim(t), '--detailed')
  const [first = ''] = splitWim(t)
  await same(t, 'dir', first, '1', '--detailed', `--ref=${first.replace('.swm', '*.swm')}`)
})

t.test('wim dir - prints lone surrogates as wimlib-imagex does, and escapes them as JSON', async t => {
  const wim = directoryWim(t, { files: { 'ab.txt': Buffer.from('x') }, args: ['--compress=none'] })
  patchMetadata(wim, metadata => renameIn(metadata, 'ab.txt', '\ud800\udc00\udfff.x\u001b'))
  await same(t, 'dir', wim)
  const { stdout } = await stowageWim(['dir', wim, '--json'])
  t.match(String(stdout), '\\udfff.x\\u001b')
  t.equal(JSON.parse(String(stdout)).images[0].entries[1].path, '/\ud800\udc00\udfff.x\u001b')
})

t.test('wim dir --json - escapes every control character', async t => {
  const wim = directoryWim(t, { files: { 'a\u009b31m': Buffer.from('text') } })
  const stdout = String((await stowageWim(['dir', wim, '--json'])).stdout)
  t.match(stdout, 'a\\u009b31m')
  t.notMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
})

t.test('wim dir --json - says all there is to say of each file', async t => {
  const { stdout } = await stowageWim(['dir', richWim(t), '--json', 'all'])
  const { schema, images } = JSON.parse(String(stdout)) as { schema: string; images: readonly Image[] }
  t.equal(schema, 'stowage.wim-dir/v1')
  t.same(
    images.map(({ index, name }) => ({ index, name })),
    [
      { index: 1, name: 'NanoServer' },
      { index: 2, name: 'UtilityVM' },
    ],
  )
  const entries = images[0]?.entries ?? []
  const paths = String(imagex(['dir', richWim(t), '1']).stdout)
    .trimEnd()
    .split('\n')
  t.same(
    entries.map(({ path }) => path),
    paths,
  )
  const withId = entries.find(({ objectId }) => objectId !== undefined)
  t.match(withId, {
    objectId: /^(?:[0-9a-f]{32}){4}$/,
    security: /^01000/,
    attributes: 0x20,
    linkCount: 1,
    created: /^2016-05-26T12:00:00\.0{7}Z$/,
  })
  t.ok(entries.some(({ reparseTag }) => reparseTag === 0xa0000003))
  t.ok(entries.some(({ streams }) => streams.some(({ name }) => name === 'Zone.Identifier')))
  const linked = entries.filter(({ linkGroup }) => linkGroup !== undefined)
  t.ok(linked.length >= 2 && linked.every(({ linkCount }) => linkCount >= 2))
  const unix = JSON.parse(
    String((await stowageWim(['dir', 'tree.wim', '1', '--json', '--path=/bin/tool'], { cwd })).stdout),
  )
  t.match(unix.images[0].entries, [
    { path: '/bin/tool', unix: { uid: 0, gid: 0, mode: 0o100755, rdev: 0 }, streams: [{ size: 10 }] },
  ])
})

interface Image {
  readonly index: number
  readonly name: string
  readonly entries: readonly {
    readonly path: string
    readonly objectId?: string
    readonly reparseTag?: number
    readonly linkGroup?: string
    readonly linkCount: number
    readonly streams: readonly { readonly name?: string }[]
  }[]
}

t.test('wim info - prints what wimlib-imagex prints', async t => {
  for (const words of [
    [],
    ['1'],
    ['two'],
    ['all'],
    ['--header'],
    ['--blobs'],
    ['--lookup-table', '--header', '2'],
    ['--xml'],
  ]) {
    await same(t, 'info', 'tree.wim', ...words)
  }
  for (const form of ['lzms', 'solid', 'pipable', 'none', 'xpress'] as const) {
    for (const words of [[], ['--header'], ['--blobs']]) await same(t, 'info', richWim(t, form), ...words)
  }
  const [first = ''] = splitWim(t)
  await same(t, 'info', first, '--header')
})

t.test('wim info - writes the XML to a file, and all there is as JSON', async t => {
  const written = await stowageWim(['info', 'tree.wim', '--extract-xml=ours.xml'], { cwd })
  imagex(['info', 'tree.wim', '--extract-xml=theirs.xml'], { cwd })
  t.equal(written.code, 0, written.stderr)
  t.ok(readFileSync(join(cwd, 'ours.xml')).equals(readFileSync(join(cwd, 'theirs.xml'))))
  const { stdout } = await stowageWim(['info', 'tree.wim', '2', '--json', '--header', '--blobs', '--xml'], { cwd })
  const document = JSON.parse(String(stdout))
  t.match(document, {
    schema: 'stowage.wim-info/v1',
    path: 'tree.wim',
    wim: {
      compression: 'lzx',
      chunkSize: 32768,
      imageCount: 2,
      bootIndex: 1,
      integrityTable: true,
      guid: /^[0-9a-f]{32}$/,
    },
    images: [{ index: 2, name: 'two', flags: 'Pro', bootable: false, created: /^\d{4}-.*\.\d{7}Z$/ }],
    header: { magic: 'MSWIM\0\0\0', imageCount: 2, blobTable: { flags: 2 } },
    xml: /^<WIM>.*<NAME>two<\/NAME>/,
  })
  t.equal(document.blobs.filter(({ metadata }: { metadata: boolean }) => metadata).length, 2)
})

t.test('wim info - changes what wimlib-imagex changes, and says so in its words', async t => {
  const changes: readonly (readonly string[])[] = [
    ['1', 'new name'],
    ['new name', 'newer', 'described'],
    ['2', '--boot'],
    ['2', '--boot'],
    ['0', '--boot'],
    ['2', '--image-property=WINDOWS/VERSION/BUILD=20348', '--image-property', 'FOO=bar'],
    ['2', '', '--nocheck'],
    ['1', 'newer', '--check'],
    ['1', 'newer', 'described', '--include-integrity'],
    ['1', 'newer'],
  ]
  for (const name of ['theirs', 'ours']) writeFileSync(join(cwd, `${name}.wim`), readFileSync(join(cwd, 'tree.wim')))
  const state = (name: string): string =>
    `${imagex(['info', `${name}.wim`], { cwd }).stdout}`.replace(/^(?:Path|GUID): .*\n/gm, '')
  const said = (text: Buffer): string =>
    String(text)
      .split('\n')
      .filter(line => /^(?:Setting|Marking image [1-9]|The file)/.test(line))
      .join('\n')
  for (const words of changes) {
    const theirs = imagex(['info', 'theirs.wim', ...words], { cwd })
    const ours = await stowageWim(['info', 'ours.wim', ...words], { cwd })
    t.equal(ours.code, theirs.code, `${words.join(' ')}: ${ours.stderr}${theirs.stderr}`)
    t.equal(said(ours.stdout).replaceAll('ours', 'theirs'), said(theirs.stdout), words.join(' '))
    t.equal(state('ours'), state('theirs'), words.join(' '))
  }
})

t.test('wim dir and info - say what is wrong', async t => {
  const short = directoryWim(t)
  truncate(short, 300)
  const [, second = ''] = splitWim(t)
  const wrong: readonly (readonly [words: readonly string[], code: number, message: RegExp])[] = [
    [['dir', 'tree.wim'], 2, /holds 2 images: name one/],
    [['dir', 'tree.wim', 'three'], 3, /has no image "three"/],
    [['dir', 'tree.wim', '1', '--path=/nowhere'], 3, /nowhere/],
    [['dir', 'none.wim'], 3, /none\.wim does not exist/],
    [['dir', 'tree'], 2, /tree is a directory, not a WIM\nhint: Name a WIM file/],
    [['dir', short], 4, /./],
    [['dir', 'tree.wim', '1', '--path'], 2, /--path requires a value/],
    [['dir', 'tree.wim', '1', '--detailed=yes'], 2, /--detailed takes no value/],
    [['info', 'tree.wim', '9'], 3, /has no image "9"/],
    [['info', 'tree.wim', '--boot'], 2, /name one/],
    [['info', 'tree.wim', 'all', 'name'], 2, /takes one image, not all/],
    [['info', 'tree.wim', '1', 'two'], 2, /already in use/],
    [['info', 'tree.wim', '1', '--image-property=nothing'], 2, /expected NAME=VALUE/],
    [['info', 'tree.wim', '--extract-xml=no/where.xml'], 3, /no does not exist/],
    [['info', second, '1', 'name'], 1, /split/],
    [['info'], 2, /WIMFILE is missing: expected stowage wim info WIMFILE/],
    [['nothing'], 2, /"nothing" is not a command of stowage wim/],
    [['dir', 'tree.wim', '--progress=loud'], 2, /expected one of auto/],
  ]
  for (const [words, code, message] of wrong) {
    const result = await stowageWim(words, { cwd })
    t.equal(result.code, code, `${words.join(' ')}: ${result.stderr}`)
    t.match(result.stderr, message)
  }
  const json = await stowageWim(['--json', 'dir', 'tree.wim', '9'], { cwd })
  t.match(JSON.parse(String(json.stdout)), { schema: 'stowage.error/v1', error: { code: 'IMAGE_NOT_FOUND' } })
  t.notOk(existsSync(join(cwd, 'no')))
})

t.test('wim --help - explains every command, with its operands and options', async t => {
  const all = await stowageWim(['--help'])
  t.match(
    String(all.stdout),
    /^stowage wim COMMAND\n[^]*\n {2}append +[A-Z][^]*\n {2}mountrw +[A-Z][^]*\n {2}verify +[A-Z]/,
  )
  const one = await stowageWim(['export', '--help'])
  t.match(String(one.stdout), /^stowage wim export \[OPTIONS\] SRC_WIMFILE SRC_IMAGE DEST_WIMFILE/)
  t.match(String(one.stdout), /--nocheck, --no-check/)
  t.equal(`${all.stderr}${one.stderr}`, '')
  t.match(String((await stowageWim(['dir', '--version'])).stdout), /^\d+\.\d+\.\d+\nlibdeflate [^]*\n$/)
})
