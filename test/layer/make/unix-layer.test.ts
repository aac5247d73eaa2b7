import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { exportAs } from '../../../fixtures/make/wim.js'
import { details, field, make, pythonEntries } from '../../support/made-layers.js'
import { facts, makeTree, run } from '../../support/unix-tree.js'
import { directoryWim, richWim, wimlib, WIM_FORMS } from '../../support/wims.js'

t.test(
  'writeLayerFromWim() with unixData makes the layer from which GNU tar writes what wimlib-imagex apply writes',
  async t => {
    const directory = t.testdir({ tree: {}, applied: {}, extracted: {}, peer: {} })
    makeTree(join(directory, 'tree'))
    const wim = join(directory, 'x.wim')
    wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
    const layer = join(directory, 'layer.tar.gz')
    const made = await make(wim, layer, { unixData: true })
    t.same(made.warnings, [])
    wimlib('apply', wim, '1', join(directory, 'applied'), '--unix-data')
    const options = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-p', '--delay-directory-restore']
    t.equal(run('tar', ['xf', layer, '-C', join(directory, 'extracted'), ...options]), '')
    const applied = facts(join(directory, 'applied'))
    t.equal(facts(join(directory, 'extracted')), applied)
    const captured = facts(join(directory, 'tree')).replace(/(\.\d{7})\d{3}$/gm, '$1000')
    t.equal(applied, captured, 'and what was captured, but that a WIM counts in 100 ns')
    const entries = pythonEntries(layer)
    t.equal(entries[0]?.name, '.')
    t.notOk(
      entries.some(({ pax }) =>
        Object.keys(pax).some(key => key.startsWith('MSWINDOWS') || key.startsWith('LIBARCHIVE')),
      ),
    )
    const read = field(details(wim, 1).get('/A') ?? '', 'Last Access Time') ?? ''
    t.equal(Math.floor(Number(entries.find(({ name }) => name === 'A')?.pax['atime'])), Date.parse(read) / 1000)
    const list = run('bsdtar', ['-tf', layer]).trimEnd().split('\n')
    t.equal(list.length, entries.length)
  },
)

t.test('writeLayerFromWim() with unixData and the order of the tree gives every form one diffID', async t => {
  const directory = t.testdir({ tree: {} })
  makeTree(join(directory, 'tree'))
  const wim = join(directory, 'x.wim')
  wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
  const found = new Set<string>()
  for (const form of WIM_FORMS) {
    exportAs(form, wim, join(directory, `${form}.wim`))
    found.add(
      (
        await make(join(directory, `${form}.wim`), join(directory, 'out'), {
          unixData: true,
          order: 'tree',
          force: true,
        })
      ).diffId,
    )
  }
  t.equal(found.size, 1)
})

t.test(
  'writeLayerFromWim() with unixData refuses what Linux layers have no place for, and warns of owners it does not know',
  async t => {
    const directory = t.testdir({ tree: {} })
    run('python3', ['-c', 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'], join(directory, 'tree'))
    writeFileSync(join(directory, 'tree', '.wh.x'), '')
    const [wim, output] = [join(directory, 'x.wim'), join(directory, 'layer')]
    wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
    await t.rejects(make(wim, output, { unixData: true }), { code: 'LAYER_UNSUPPORTED', message: /\.wh\.x/ })
    run('rm', [join(directory, 'tree', '.wh.x')])
    wimlib('capture', join(directory, 'tree'), wim, 'linux', '--unix-data')
    await t.rejects(make(wim, output, { unixData: true }), { code: 'LAYER_UNSUPPORTED', message: /sock \(a socket\)/ })
    t.same((await make(wim, output, { unixData: true, skipUnsupported: true })).skipped, ['sock (a socket)'])
    t.match((await make(directoryWim(t), output, { unixData: true, force: true })).warnings, [
      /8 of the entries have no Unix data/,
    ])
    await t.rejects(make(wim, output, { unixData: true, lossless: true, force: true }), { code: 'INVALID_ARGUMENT' })
    await t.rejects(make(richWim(t), output, { unixData: true, force: true, image: 1 }), {
      code: 'LAYER_UNSUPPORTED',
      message: /alternate data stream/,
    })
  },
)
