import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { diffLayers, type DiffField, type DiffLayersOptions, type LayerDiff } from '../../../src/layer/read/diff.js'
import { type LayerSource, openLayer } from '../../../src/layer/read/read-layer.js'
import {
  fileEntry,
  goodLayer,
  linkEntry,
  type MadeEntry,
  makeTar,
  setField,
  windowsRecords,
} from '../../support/layers.js'

function source(tar: Uint8Array): LayerSource {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield tar
  }
  return { name: 'layer', bytes: bytes(), size: tar.length }
}

const diff = (a: readonly MadeEntry[], b: readonly MadeEntry[], options: DiffLayersOptions = {}): Promise<LayerDiff> =>
  diffLayers(source(makeTar(a)), source(makeTar(b)), options)

const FILE = 'Files/attributes.txt'

const altered = (change: (entry: MadeEntry) => MadeEntry): MadeEntry[] =>
  goodLayer().map(entry => (entry.name === FILE ? change(entry) : entry))
const recorded = (records: Record<string, string>): MadeEntry[] =>
  altered(entry => ({ ...entry, records: { ...entry.records, ...records } }))

t.test('diffLayers() names the field that differs, for each field, and passes over it when told', async t => {
  const device = (minor: string): Buffer => {
    const tar = makeTar([{ name: 'null', flag: '3' }])
    setField(tar, 337, minor)
    return tar
  }
  const cases: [field: DiffField, b: MadeEntry[]][] = [
    ['type', altered(entry => ({ ...entry, flag: '6', content: '' }))],
    ['content', altered(entry => ({ ...entry, content: 'Files/attributes.TXT' }))],
    ['mode', altered(entry => ({ ...entry, mode: 0o600 }))],
    ['times', altered(entry => ({ ...entry, mtime: 5 }))],
    ['times', recorded({ atime: '1464264000.5000001' })],
    ['attributes', recorded({ 'MSWINDOWS.fileattr': '33' })],
    ['security', recorded({ 'MSWINDOWS.rawsd': 'AQ==' })],
    ['xattrs', recorded({ 'MSWINDOWS.xattr.$KERNEL.PURGE.X': 'AAAA' })],
    ['xattrs', recorded({ 'SCHILY.xattr.user.x': 'y' })],
    ['records', recorded({ COMMENT: 'y' })],
    ['target', goodLayer().map(entry => (entry.name === 'Files/symlink' ? { ...entry, linkname: 'C:\\' } : entry))],
  ]
  for (const [field, b] of cases) {
    const { same, added, removed, changed } = await diff(goodLayer(), b)
    t.notOk(same)
    t.same([added, removed], [[], []])
    const fields = changed.flatMap(change => change.fields.map(found => found.field))
    t.ok(fields.includes(field), `${field}: ${fields.join(' ')}`)
    t.same(
      [...new Set(fields)].filter(found => found !== field && !(field === 'type' && found === 'content')),
      [],
      field,
    )
    t.ok(
      (await diff(goodLayer(), b, { ignore: field === 'type' ? ['type', 'content'] : [field] })).same,
      `${field} is passed over`,
    )
  }
  const nodes = await diffLayers(source(device('0000003\0')), source(device('0000005\0')))
  t.same(nodes.changed, [{ path: 'null', fields: [{ field: 'device', a: '0:3', b: '0:5' }] }])
  const owners = await diffLayers(
    source(makeTar([{ name: 'a' }])),
    source(
      (() => {
        const tar = makeTar([{ name: 'a' }])
        setField(tar, 108, '0001750\0')
        return tar
      })(),
    ),
  )
  t.same(owners.changed, [{ path: 'a', fields: [{ field: 'owner', a: '0:0 :', b: '1000:0 :' }] }])
})

t.test('diffLayers() tells what came and what went, sorted', async t => {
  const { added, removed, changed } = await diff(
    [...goodLayer(), fileEntry('Files/z')],
    [...goodLayer(), fileEntry('Files/y'), fileEntry('Files/x')],
  )
  t.same({ added, removed, changed }, { added: ['Files/x', 'Files/y'], removed: ['Files/z'], changed: [] })
})

t.test('diffLayers() does not mind order, slashes, compression, or which name of a file is the file', async t => {
  const directory = t.testdir()
  const good = goodLayer()
  const slashes = good.map(entry => ({
    ...entry,
    name: `./${entry.name}${entry.flag === '5' ? '/' : ''}`,
    ...(entry.flag === '1' ? { linkname: `./${entry.linkname}` } : {}),
  }))
  t.ok((await diff(good, [...slashes].reverse())).same)
  const link = [
    {
      ...fileEntry('Files/Windows/link', FILE),
      records: { ...windowsRecords(0x20), 'MSWINDOWS.xattr.$KERNEL.PURGE.X': Buffer.from('value').toString('base64') },
    },
    linkEntry(FILE, 'Files/Windows/link'),
  ]
  const swapped = [...good.filter(({ name }) => name !== FILE && name !== 'Files/Windows/link'), ...link]
  t.same((await diff(good, swapped)).changed, [])
  const third = await diff(good, [...good, linkEntry('Files/third', FILE)])
  t.match(third, { same: false, added: ['Files/third'], changed: { length: 2, 0: { fields: [{ field: 'links' }] } } })
  writeFileSync(join(directory, 'a.tar'), makeTar(good))
  execFileSync('gzip', ['-k', join(directory, 'a.tar')])
  execFileSync('zstd', ['-q', join(directory, 'a.tar')])
  const result = await diffLayers(
    await openLayer(join(directory, 'a.tar.gz')),
    await openLayer(join(directory, 'a.tar.zst')),
  )
  t.match(result, { same: true, a: { compression: 'gzip' }, b: { compression: 'zstd', diffId: result.a.diffId } })
})

t.test('diffLayers() agrees with diff(1) on what two directories hold', async t => {
  const directory = t.testdir({
    one: { a: 'same', b: 'old', gone: 'x', d: { e: 'f' } },
    two: { a: 'same', b: 'new', come: 'x', d: { e: 'f' } },
  })
  mkdirSync(join(directory, 'two', 'empty'))
  for (const name of ['one', 'two'])
    execFileSync('tar', ['-czf', join(directory, `${name}.tgz`), '--mtime=@0', '-C', join(directory, name), '.'])
  const { added, removed, changed } = await diffLayers(
    await openLayer(join(directory, 'one.tgz')),
    await openLayer(join(directory, 'two.tgz')),
  )
  const told = execFileSync('sh', ['-c', 'diff -rq one two || true'], { cwd: directory, encoding: 'utf8' })
    .trim()
    .split('\n')
    .sort()
  t.same(
    [
      ...changed.map(({ path }) => `Files one/${path} and two/${path} differ`),
      ...removed.map(path => `Only in one: ${path}`),
      ...added.map(path => `Only in two: ${path}`),
    ].sort(),
    told,
  )
})

t.test('diffLayers() follows long chains of hard links, and circles, once', async t => {
  const chain = (to: string): MadeEntry[] => [
    fileEntry('0', 'content'),
    ...Array.from({ length: 30_000 }, (_, n) => linkEntry(`${n + 1}`, to === '' ? `${n}` : to)),
    linkEntry('x', 'y'),
    linkEntry('y', 'x'),
  ]
  const start = performance.now()
  t.ok((await diff(chain('').reverse(), chain('0'))).same)
  t.ok(performance.now() - start < 20_000, `${performance.now() - start} ms`)
})

t.test('diffLayers() does not mind a type beside the permissions, or the dots of links that lead out', async t => {
  const a = { name: 'a', content: 'a' }
  t.same(
    (
      await diff(
        [{ ...a, mode: 0o644 }, linkEntry('b', 'below')],
        [{ ...a, mode: 0o100644 }, linkEntry('b', './below')],
      )
    ).changed,
    [],
  )
})
