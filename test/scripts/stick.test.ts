/** scripts/stick.mjs: Stowage itself, copied to where there are neither links nor modes. test/engines/stick.test.ts has real sticks. */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')

function run(script: string, words: readonly string[], cwd: string) {
  const env = { ...process.env, NODE_OPTIONS: '', INIT_CWD: cwd }
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...words], { cwd, env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** A package `stowage` with dependencies at places where npm puts them; it says its version, packs and verifies. */
function fakePackage(root: string): string {
  const place = join(root, 'node_modules/stowage')
  const packages: Record<string, Record<string, unknown>> = {
    stowage: {
      files: ['dist', 'native', 'scripts/stick.mjs'],
      dependencies: { a: '1', b: '1', '@s/c': '1', '@types/node': '1' },
    },
    a: { dependencies: { b: '1' } },
    b: { dependencies: { d: '1' } },
    'a/node_modules/b': { version: '2.0.0', dependencies: { d: '1' } },
    'a/node_modules/b/node_modules/d': { version: '2.0.0' },
    '@s/c': { optionalDependencies: { gone: '1' } },
    d: {},
    '@types/node': {},
    unneeded: {},
  }
  for (const [at, fields] of Object.entries(packages)) {
    const directory = join(root, 'node_modules', at)
    mkdirSync(directory, { recursive: true })
    const name = at.replace(/^.*node_modules\//, '')
    writeFileSync(join(directory, 'package.json'), JSON.stringify({ name, version: '1.0.0', ...fields }))
    writeFileSync(join(directory, 'index.d.ts'), 'export {}\n')
  }
  for (const [name, text] of [
    ['dist/cli/main.js', 'if (process.argv[2] === "--version") console.log("1.0.0")'],
    ['native/addon.cc', ''],
  ] as const) {
    mkdirSync(dirname(join(place, name)), { recursive: true })
    writeFileSync(join(place, name), text)
  }
  cpSync(join(ROOT, 'scripts/stick.mjs'), join(place, 'scripts/stick.mjs'))
  return join(place, 'scripts/stick.mjs')
}

t.test('stick.mjs places each dependency where the packages that need it find it', async t => {
  const root = scratch(t)
  const script = fakePackage(root)
  mkdirSync(join(root, 'stick'))
  const { status, stderr, stdout } = run(script, ['stick'], root)
  t.equal(status, 0, stderr)
  t.match(stdout, /^Stowage 1\.0\.0 is in .*\/stick\/stowage: 11 files, 0\.0 MB, without the addon: /)
  const files = readdirSync(join(root, 'stick/stowage'), { recursive: true, withFileTypes: true })
  t.same(
    files
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(join(root, 'stick/stowage/').length))
      .sort(),
    [
      'dist/cli/main.js',
      'node_modules/@s/c/package.json',
      'node_modules/a/node_modules/b/node_modules/d/package.json',
      'node_modules/a/node_modules/b/package.json',
      'node_modules/a/package.json',
      'node_modules/b/package.json',
      'node_modules/d/package.json',
      'package.json',
      'scripts/stick.mjs',
      'stowage',
      'stowage.cmd',
    ],
  )
  const version = (at: string): unknown =>
    (
      JSON.parse(readFileSync(join(root, 'stick/stowage/node_modules', at, 'package.json'), 'utf8')) as {
        version: string
      }
    ).version
  t.same(['b', 'd', 'a/node_modules/b', 'a/node_modules/b/node_modules/d'].map(version), [
    '1.0.0',
    '1.0.0',
    '2.0.0',
    '2.0.0',
  ])
})

t.test('stick.mjs names what is wrong, and leaves nothing behind', async t => {
  const root = scratch(t)
  const script = fakePackage(root)
  const refused = (words: readonly string[], message: string): void => {
    const { status, stderr, stdout } = run(script, words, root)
    t.same({ status, stdout, stderr }, { status: 1, stdout: '', stderr: `stick: ${message}\n` })
  }
  refused([], 'name the directory of the stick, such as: npm run stick -- /media/stick')
  refused(['stick'], `${join(root, 'stick')} is not there: is the stick mounted?`)
  mkdirSync(join(root, 'stick/stowage'), { recursive: true })
  writeFileSync(join(root, 'stick/stowage/mine.txt'), 'keep')
  refused(['stick'], `${join(root, 'stick/stowage')} exists, and is not Stowage`)
  t.ok(existsSync(join(root, 'stick/stowage/mine.txt')))
  rmSync(join(root, 'stick/stowage'), { recursive: true })
  refused(['node_modules/stowage'], `${join(root, 'node_modules/stowage')} is where Stowage itself is`)
  rmSync(join(root, 'node_modules/d'), { recursive: true })
  refused(['stick'], 'd, which b needs, is not installed')
  t.same(readdirSync(join(root, 'stick')), [])
})

t.test('stick.mjs copies this checkout, which then runs without it, and copies itself in turn', async t => {
  const root = scratch(t)
  mkdirSync(join(root, 'stick'))
  const made = run(join(ROOT, 'scripts/stick.mjs'), ['stick'], root)
  t.equal(made.status, 0, made.stderr)
  t.match(made.stdout, new RegExp(`with the addon for ${process.platform}-${process.arch}`))
  const entries = readdirSync(join(root, 'stick'), { recursive: true, withFileTypes: true })
  t.same(
    entries.filter(entry => !entry.isFile() && !entry.isDirectory()),
    [],
    'nothing that exFAT or FAT32 cannot hold',
  )
  t.same(
    entries.filter(({ name }) => /[<>:"|?*\\]/.test(name)),
    [],
  )
  const folded = entries.map(entry => join(entry.parentPath, entry.name).toLowerCase())
  t.equal(new Set(folded).size, folded.length)
  mkdirSync(join(root, 'second'))
  const again = run(join(root, 'stick/stowage/scripts/stick.mjs'), ['second'], root)
  t.equal(again.status, 0, again.stderr)
  const words = [join(root, 'second/stowage/stowage'), 'wim', 'info', join(ROOT, 'fixtures/nanoserver-sample.wim')]
  const { status, stdout, stderr } = spawnSync('sh', words, {
    encoding: 'utf8',
    env: { PATH: dirname(process.execPath) + ':/usr/bin:/bin', NODE: process.execPath },
  })
  t.equal(status, 0, stderr)
  t.match(stdout, /NanoServer/)
})
