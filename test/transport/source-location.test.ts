/** What a person writes for a source: a path is what it holds, and the name of a file is no name of an image. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { formatLocation } from '../../src/transport/location.js'
import { sourceLocation } from '../../src/transport/source-location.js'
import { copy } from '../../src/verbs/copy.js'
import { inspect } from '../../src/verbs/inspect.js'
import { pack } from '../../src/verbs/pack.js'
import { planPack } from '../../src/verbs/pack-plan.js'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'

const SAMPLE = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')
const cwd = t.testdir({ tree: { 'a.txt': '' }, 'notes.txt': 'x'.repeat(2000), empty: '' })
const at = (name: string): string => join(cwd, name)

await writeLayout(at('layout'), { 'shop:1': await layeredImage(1) })
await copy(`oci:${at('layout')}:shop:1`, `docker-archive:${at('saved.tar')}`)
await copy(`oci:${at('layout')}:shop:1`, `oci-archive:${at('oci.tar')}`)
await pack([`oci:${at('layout')}:shop:1`], at('bundle'))
await pack([`oci:${at('layout')}:shop:1`], at('bundle.tar'))
await pack([`oci:${at('layout')}:shop:1`], at('bundle.tar.zst'))
execFileSync('skopeo', ['copy', '-q', `oci:${at('layout')}:1`, `docker-archive:${at('skopeo.tar')}`])
copyFileSync(SAMPLE, at('nano.wim'))
execFileSync('wimlib-imagex', ['export', '--pipable', SAMPLE, '1', at('pipable.wim')])

const KINDS: Readonly<Record<string, readonly [scheme: string, title: RegExp]>> = {
  layout: ['oci', /an OCI layout/],
  'saved.tar': ['oci-archive', /an OCI archive/],
  'skopeo.tar': ['docker-archive', /a docker archive/],
  'oci.tar': ['oci-archive', /an OCI archive/],
  bundle: ['bundle', /a bundle/],
  'bundle.tar': ['bundle', /a bundle/],
  'bundle.tar.zst': ['docker-archive', /a docker archive/],
  'nano.wim': ['wim', /a WIM file/],
  'pipable.wim': ['wim', /a WIM file/],
}

t.test('a path is what its content says', async t => {
  for (const [name, [scheme]] of Object.entries(KINDS))
    t.equal(formatLocation(await sourceLocation(at(name))), `${scheme}:${at(name)}`, name)
  await t.rejects(sourceLocation(at('absent.tar')), { code: 'FILE_NOT_FOUND' })
  await t.rejects(sourceLocation('./absent.tar'), { code: 'FILE_NOT_FOUND' })
  for (const name of ['notes.txt', 'empty'])
    await t.rejects(sourceLocation(at(name)), { code: 'INVALID_ARGUMENT', message: /is a file, but neither/ }, name)
  await t.rejects(sourceLocation(at('tree')), { code: 'INVALID_ARGUMENT', hint: /write dir:/ })
})

t.test('a bare name of a file or directory is refused with what to write, and asks no registry', async t => {
  const before = process.cwd()
  process.chdir(cwd)
  t.teardown(() => process.chdir(before))
  for (const [name, [scheme, title]] of Object.entries(KINDS)) {
    const expected = {
      code: 'INVALID_ARGUMENT',
      message: new RegExp(`^${name} is ${title.source}$`),
      hint: new RegExp(`^Write ${scheme}:${name}\\. .* docker://${name}\\.$`),
    }
    await t.rejects(pack([name], 'out'), expected, name)
    await t.rejects(planPack([name], 'out'), expected, name)
    await t.rejects(copy(name, 'oci:out'), expected, name)
    await t.rejects(inspect(name), expected, name)
  }
  const tree = await stowage(['pack', 'tree', '-o', 'out'], { cwd })
  t.match(tree, { code: 2, stderr: /tree is a directory, but neither .*\nhint: .*dir:tree/ })
})

t.test('every path of ours and of other tools is packed as it is', async t => {
  mkdirSync(at('sub'))
  for (const name of Object.keys(KINDS)) t.equal((await pack([at(name)], at(`sub/${name}.out`))).packed.length, 1, name)
  const packed = await stowage(['pack', '../saved.tar', '-o', 'again'], { cwd: at('sub') })
  t.match(packed, { code: 0, stdout: /Packed 1 image/ })
})

t.test('what is no file is a name or a location, as before', async t => {
  t.equal(formatLocation(await sourceLocation('nginx:1.27')), 'docker://nginx:1.27')
  t.equal(formatLocation(await sourceLocation('oci:dir:v1')), 'oci:dir:v1')
  writeFileSync(at('oci'), '')
  t.equal(formatLocation(await sourceLocation('oci:')).slice(0, 4), 'oci:')
})

t.test('verify and load say what a file that is no bundle is', async t => {
  for (const [name, words] of Object.entries({
    'saved.tar': /an archive of images, not a bundle\. Copy it: stowage copy docker-archive:saved\.tar/,
    'skopeo.tar': /stowage copy docker-archive:skopeo\.tar/,
    layout: /an OCI image layout, not a bundle\. Copy it: stowage copy oci:layout/,
  }))
    for (const verb of [
      ['verify', name],
      ['load', name, '--to', 'oci:out'],
    ])
      t.match((await stowage(verb, { cwd })).stderr, words, verb.join(' '))
})
