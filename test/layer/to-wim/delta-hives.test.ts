import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeWimFromLayers } from '../../../src/layer/to-wim/wim-from-layers.js'
import { stowage } from '../../support/command.js'
import { hive, hiveLayers, number } from '../../support/hive-layers.js'
import { plainHive, readHive } from '../../support/hives.js'
import { directoryEntry, fileEntry, goodLayer, makeTar } from '../../support/layers.js'
import { wimlib } from '../../support/wims.js'

const CONFIG = 'Files/Windows/System32/config'

function extracted(wim: string, directory: string, path: string): string {
  wimlib('extract', wim, '1', path, `--dest-dir=${directory}`)
  return join(directory, path.slice(path.lastIndexOf('/') + 1))
}

t.test('writeWimFromLayers() merges the delta hives of all layers into the hive of the base', async t => {
  const directory = t.testdir({ out: {} })
  const wim = join(directory, 'x.wim')
  const { hives, lost } = await writeWimFromLayers(hiveLayers(directory), wim)
  wimlib('verify', wim)
  t.same(lost, [])
  const software = extracted(wim, join(directory, 'out'), '/Windows/System32/config/SOFTWARE')
  t.same(
    readHive(software),
    plainHive({ keys: { Kept: { values: { b: number(2) } }, Application: { values: { c: number(3) } } } }),
  )
  t.match(execFileSync('reglookup', [software], { encoding: 'utf8' }), /^\/Application\/c,DWORD,0x00000003/m)
  t.same(
    hives.map(({ hive: name, layers: from, changes }) => [name, from, Object.values(changes)]),
    [
      ['SOFTWARE', [2, 3], [1, 1, 0, 2, 1]],
      ['SAM', [2, 3], [0, 0, 0, 0, 0]],
    ],
  )
  const sam = extracted(wim, join(directory, 'out'), '/Windows/System32/config/SAM')
  const before = goodLayer().find(({ name }) => name === `${CONFIG}/SAM`)?.content
  t.ok(readFileSync(sam).equals(Buffer.from(before ?? '')), 'a hive that no delta changes keeps its bytes')
  await writeWimFromLayers(hiveLayers(directory), join(directory, 'y.wim'), { imageName: 'x' })
  t.ok(readFileSync(wim).equals(readFileSync(join(directory, 'y.wim'))), 'the same layers give the same bytes')
})

t.test('writeWimFromLayers() merges only what comes after a whole hive', async t => {
  const directory = t.testdir({ out: {} })
  const [base = '', patch = '', application = ''] = hiveLayers(directory)
  const whole = join(directory, 'whole.tar')
  const parents = ['', '/Windows', '/Windows/System32', '/Windows/System32/config'].map(path => `Files${path}`)
  writeFileSync(
    whole,
    makeTar([
      ...parents.map(path => directoryEntry(path)),
      fileEntry(`${CONFIG}/software`, hive(directory, { keys: { Kept: { values: { a: number(9) } } } })),
    ]),
  )
  const wim = join(directory, 'x.wim')
  const { hives, lost } = await writeWimFromLayers([base, patch, whole, application], wim)
  t.match(hives[0], { hive: 'SOFTWARE', layers: [4] })
  t.match(lost, [{ what: 'changes to the registry below a whole hive', paths: ['Hives/Software_Delta'] }])
  const software = extracted(wim, join(directory, 'out'), '/Windows/System32/config/software')
  t.same(readHive(software), plainHive({ keys: { Kept: {}, Application: { values: { c: number(3) } } } }))
})

t.test('writeWimFromLayers() refuses delta hives without their hive, unless they are left out', async t => {
  const directory = t.testdir()
  const [base = '', patch = ''] = hiveLayers(directory)
  const wim = join(directory, 'x.wim')
  await t.rejects(writeWimFromLayers([patch], wim), {
    code: 'LAYER_UNSUPPORTED',
    message: 'Hives/Software_Delta changes the registry of a layer below, which is missing',
    hint: /--without-hive-changes/,
  })
  const plain = join(directory, 'plain.tar')
  writeFileSync(plain, makeTar([directoryEntry('Files'), fileEntry('Files/x')]))
  await t.rejects(writeWimFromLayers([plain, patch], wim), {
    message: /changes Files\/.*\/SOFTWARE, which no layer has/,
  })
  const left = { what: 'changes to the registry', count: 2, paths: ['Hives/Software_Delta', 'Hives/Sam_Delta'] }
  const alone = await writeWimFromLayers([patch], wim, { withoutHiveChanges: true })
  t.same([alone.hives, alone.lost], [[], [left]])
  const both = await writeWimFromLayers([base, patch], wim, { withoutHiveChanges: true, force: true })
  t.same([both.hives, both.lost], [[], [left]])
  const broken = join(directory, 'broken.tar')
  const entries = [directoryEntry('Files'), fileEntry('Hives/System_Delta', Buffer.alloc(9000))]
  writeFileSync(broken, makeTar(entries))
  await t.rejects(writeWimFromLayers([base, broken], wim, { force: true }), {
    code: 'LAYER_CORRUPT',
    message: `Hives/System_Delta in ${broken} is not a valid registry hive: it does not begin with "regf"`,
  })
})

t.test('stowage layer to-wim says what it merged', async t => {
  const directory = t.testdir()
  const words = ['layer', 'to-wim', ...hiveLayers(directory), '-o', 'x.wim']
  const { code, stdout, stderr } = await stowage(words, { cwd: directory })
  t.equal(code, 0, stderr)
  t.match(stdout, /^registry +SOFTWARE: 1 key added, 1 key deleted, 2 values set, 1 value deleted$/m)
  t.match(stdout, /^registry +SAM: no change$/m)
  const without = await stowage([...words, '--force', '--without-hive-changes', '--json'], { cwd: directory })
  t.match(JSON.parse(without.stdout), { hives: [], lost: [{ what: 'changes to the registry', count: 4 }] })
})
