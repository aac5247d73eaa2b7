import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import * as stowage from '../../src/index.js'

const ROOT = join(import.meta.dirname, '../..')

t.test('npm pack holds what a user needs and no more', t => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
  const [{ files }] = JSON.parse(told) as [{ files: { path: string }[] }]
  const paths = files.map(file => file.path)
  const wanted =
    /^(completions\/[a-z_.0-9]+|man\/stowage\.1|dist\/.*\.(js|d\.ts)|dist\/command\/licenses\.txt|native\/.*\.(cc|h)|native\/sources\.mjs|prebuilds\/.*\.(node|copyright)|binding\.gyp|package\.json|docs\/[a-z0-9-]+\.md|docs\/README\.md|docs\/journey\.svg|(README|ARCHITECTURE|CONTRIBUTING|CHANGELOG)\.md|LICENSE)$/
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
    'dist/command/stowage.js',
    'dist/command/licenses.txt',
    'LICENSE',
  ]) {
    t.ok(paths.includes(path), path)
  }
  t.end()
})

t.test('the pages in the package lead only to files that are in it', t => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
  const [{ files }] = JSON.parse(told) as [{ files: { path: string }[] }]
  const paths = new Set(files.map(file => file.path))
  const pages = [...paths].filter(path => path.endsWith('.md'))
  t.ok(pages.length > 15)
  for (const page of pages) {
    const links = [...readFileSync(join(ROOT, page), 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)\s]*)?\)/g)]
    for (const [, link = ''] of links)
      if (!/^[a-z]+:/.test(link)) t.ok(paths.has(join(dirname(page), link)), `${page}: ${link}`)
  }
  t.end()
})

t.test('npm publish is refused until package.json says where the project is', t => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/check-publish.mjs'], { cwd: ROOT, encoding: 'utf8' })
  const { repository } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { repository?: unknown }
  if (repository === undefined)
    t.match({ status, stderr }, { status: 1, stderr: /no repository.*\nhint: .*npm pkg set/ })
  else t.equal(status, 0)
  t.end()
})

/** Bytes of the files below a directory. */
function sizeOf(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)
}

t.test('the package is no larger than CHANGELOG.md says, alone and installed', t => {
  const told = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' })
  const [{ size, unpackedSize, files }] = JSON.parse(told) as [
    { size: number; unpackedSize: number; files: { path: string; size: number }[] },
  ]
  // Prebuilt binaries and the manual page are made by npm pack itself
  const made = files.filter(({ path }) => /^(prebuilds|man)\//.test(path)).reduce((sum, file) => sum + file.size, 0)
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>
  }
  const dependencies = Object.entries(packages).flatMap(([path, { dev }]) =>
    path === '' || dev || !existsSync(join(ROOT, path)) ? [] : [sizeOf(join(ROOT, path))],
  )
  const budget =
    /^- The package: at most ([\d.]+) MB packed and ([\d.]+) MB unpacked without prebuilt binaries, ([\d.]+) MB installed with its (\d+)\ndependencies\.$/m.exec(
      readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8').replace(/\n {2}/g, '\n'),
    )
  const [packed = 0, unpacked = 0, installed = 0, most = 0] = (budget ?? []).slice(1).map(Number)
  const sum = unpackedSize - made + dependencies.reduce((total, each) => total + each, 0)
  if (made === 0) t.ok(size <= packed * 1e6, `packed: ${size} bytes`)
  t.ok(unpackedSize - made <= unpacked * 1e6, `unpacked: ${unpackedSize - made} bytes`)
  t.ok(sum <= installed * 1e6, `installed: ${sum} bytes`)
  t.ok(dependencies.length <= most, `dependencies: ${dependencies.length}`)
  t.ok(installed * 1e6 < sum * 1.1, 'and the budget is no more than a tenth above')
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
