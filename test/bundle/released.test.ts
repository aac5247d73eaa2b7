/** Bundles of earlier versions are read; those of later ones are refused by name and version. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SCHEMA_VERSION } from '../../src/bundle/manifest.js'
import { openBundleReader } from '../../src/bundle/reader.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { thisGenerator } from '../../src/generator.js'
import { loadBundle } from '../../src/verbs/load.js'
import { stowage } from '../support/command.js'

const BUNDLES = join(import.meta.dirname, '../../fixtures/bundles')

/** What each of them holds, by the number of its schema: recorded when it was made, and never to be changed. */
const RECORDED: Readonly<Record<string, { sha256: string; images: readonly (readonly [string, string])[] }>> = {
  1: {
    sha256: '1b04a92b9c9930364922905eefbdcb806dd7a00be7609f5e5df94e809d1d3c78',
    images: [
      ['docker.io/team/shop:2.3', 'sha256:36859ec900d9d4ba9e3352a42c0722a3cfea588e16271e2a49c6f32d6cb6876f'],
      ['localhost:5000/lab/multi:1', 'sha256:df92e8db091713effd060ebb430d39744e6cf604e33630e4f64dc4cb9f3c81da'],
      [
        'docker.io/library/nanoserver:ltsc2022',
        'sha256:219b9a9255244f251651b1bbdc18ff989afcec7175b1b4d04ff3376adb4b0b5b',
      ],
    ],
  },
}

t.test('there is a bundle of each schema version', async t => {
  t.same(
    readdirSync(BUNDLES).sort(),
    Array.from({ length: SCHEMA_VERSION }, (_, n) => `schema-${n + 1}.tar`),
  )
  t.same(
    Object.keys(RECORDED).map(Number),
    Array.from({ length: SCHEMA_VERSION }, (_, n) => n + 1),
  )
})

for (const [version, { sha256, images }] of Object.entries(RECORDED)) {
  const bundle = join(BUNDLES, `schema-${version}.tar`)

  t.test(`a bundle of schema version ${version} verifies and loads, and skopeo finds its images`, async t => {
    const sum = execFileSync('sha256sum', [bundle], { encoding: 'utf8' })
    t.equal(sum.slice(0, 64), sha256, 'it is the one that was kept')
    t.match(await verifyBundle(bundle), { ok: true, findings: [] })
    const root = t.testdir()
    const loaded = await loadBundle(bundle, { to: `oci:${join(root, 'store')}` })
    t.same(
      loaded.images.map(({ names, id, error }) => [names[0], id, error]),
      images.map(([name, digest]) => [name, digest, undefined]),
    )
    for (const [name, digest] of images) {
      const words = ['inspect', '--raw', `oci:${join(root, 'store')}:${name.slice(name.lastIndexOf(':') + 1)}`]
      const raw = execFileSync('skopeo', words)
      const found = execFileSync('sha256sum', { input: raw, encoding: 'utf8' })
      t.equal(`sha256:${found.slice(0, 64)}`, digest, name)
    }
  })
}

t.test('a bundle of a later schema version is refused, by everything that reads it', async t => {
  const cwd = t.testdir()
  execFileSync('tar', ['-xf', join(BUNDLES, 'schema-1.tar'), '-C', cwd])
  const manifest = JSON.parse(readFileSync(join(cwd, 'bundle.json'), 'utf8'))
  const write = (changes: object): void =>
    writeFileSync(
      join(cwd, 'bundle.json'),
      JSON.stringify({ ...manifest, schemaVersion: SCHEMA_VERSION + 1, ...changes }),
    )
  const own = thisGenerator().version

  write({ generator: { name: 'stowage', version: '9.1.0' }, images: 'of another kind' })
  const expected = {
    code: 'UNSUPPORTED',
    message: `bundle.json has schemaVersion ${SCHEMA_VERSION + 1}, written by stowage 9.1.0; stowage ${own} reads version ${SCHEMA_VERSION}`,
    hint: 'Install stowage 9.1.0 or later to read this bundle.',
  }
  await t.rejects(openBundleReader(cwd), expected)
  await t.rejects(verifyBundle(cwd), expected)
  await t.rejects(loadBundle(cwd, { to: `oci:${join(cwd, 'store')}` }), expected)
  const { code, stderr } = await stowage(['verify', '.'], { cwd })
  t.match(stderr, expected.message)
  t.not(code, 0)
  t.not(code, 4, 'which would mean that it is damaged')

  write({ generator: 5 })
  await t.rejects(openBundleReader(cwd), { code: 'UNSUPPORTED', message: /written by a later version of Stowage/ })
})
