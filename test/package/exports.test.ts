import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import * as stowage from '../../src/index.js'

const ROOT = join(import.meta.dirname, '../..')

t.test('npm pack holds what a user needs and no more', t => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
  const [{ files }] = JSON.parse(told) as [{ files: { path: string }[] }]
  const paths = files.map(file => file.path)
  const wanted =
    /^(completions\/[a-z_.0-9]+|man\/stowage\.1|dist\/.*\.(js|d\.ts)|native\/.*\.(cc|h)|native\/sources\.mjs|prebuilds\/.*\.(node|copyright)|binding\.gyp|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
  t.same(
    paths.filter(path => !wanted.test(path)),
    [],
  )
  for (const path of [
    'dist/index.js',
    'dist/index.d.ts',
    'dist/cli/main.js',
    'completions/stowage.bash',
    'binding.gyp',
    'native/addon.cc',
    'native/sources.mjs',
    'LICENSE',
  ]) {
    t.ok(paths.includes(path), path)
  }
  t.end()
})

t.test('the library exports each verb and each class by name', t => {
  const names = [
    'pack',
    'verifyBundle',
    'loadBundle',
    'serveBundle',
    'login',
    'logout',
    'openWim',
    'writeLayerFromWim',
    'StowageError',
    'BlobDirectory',
    'parseReference',
    'openLayer',
    'readLayer',
    'checkLayer',
    'inspectLayer',
    'diffLayers',
  ]
  for (const name of names) t.type(stowage[name as keyof typeof stowage], 'function', name)
  t.end()
})
