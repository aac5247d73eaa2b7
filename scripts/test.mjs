/**
 * Sets up and runs the tests: `node scripts/test.mjs [unit|engines|faults|browser|consumers|limits|kills|prebuilt|windows] [FILE…] [TAP OPTION…]`.
 * `unit` is what `npm run lint` checks, and every test that needs no engine. FILE is one of the run, without its `.test.ts`:
 * only those that are named run. The TAP of a run stays in `.tap/NAME.tap`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ROOT } from './build.mjs'
import { PlainReporter } from './plain-reporter.mjs'
import { fail, prepare, setup } from './setup.mjs'
import { formatTally, readTally } from './tally.mjs'

/** Directories of test/ that are runs of their own. */
const OWN = ['engines', 'faults', 'browser', 'consumers', 'limits', 'kills', 'prebuilt', 'wine']

const [name = 'unit', ...words] = process.argv.slice(2)
const options = words.filter(word => word.startsWith('-'))
const wanted = words.filter(word => !word.startsWith('-')).map(word => `${word}.test.ts`)
setup(name === 'unit' ? 'test' : ['browser', 'consumers', 'windows'].includes(name) ? name : 'engines')
if (name === 'prebuilt') prepare('arm64')
if (name === 'prebuilt' || name === 'windows') {
  const platforms = name === 'windows' ? ['win32-x64'] : []
  const script = join(ROOT, 'scripts/prebuild.mjs')
  const { status } = spawnSync(process.execPath, [script, ...platforms], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
if (name === 'unit') {
  const { status } = spawnSync('npm', ['run', '--silent', 'lint'], { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
const all = name === 'unit' ? unitFiles() : testFiles(join('test', name === 'windows' ? 'wine' : name))
const unknown = wanted.filter(word => !all.some(file => basename(file) === word))
if (unknown.length > 0 || all.length === 0) fail(`there is no test ${unknown.join(', ')} in ${name}`)
const files = wanted.length === 0 ? all : all.filter(file => wanted.includes(basename(file)))
mkdirSync(join(ROOT, '.tap'), { recursive: true })
const output = join('.tap', `${name}.tap`)
rmSync(join(ROOT, output), { force: true })
rmSync(join(ROOT, '.tap', 'command'), { recursive: true, force: true }) // made of the sources of another run
// Other releases of Debian that tests need are made once for all of them
const roots = process.env['STOWAGE_ROOTS'] ?? mkdtempSync(join(tmpdir(), 'stowage-roots-'))
const run = ['run', ...options, ...files]
const status = process.stdout.isTTY
  ? await node('tap/dist/esm/run.mjs', [...run, '--reporter=base', `--output-file=${output}`])
  : await node('tap/dist/esm/run.mjs', [...run, '--reporter=tap'], join(ROOT, output)) // with --output-file it says all twice
if (!process.env['STOWAGE_ROOTS']) rmSync(roots, { recursive: true, force: true })
const count = readTally(join(ROOT, output), status)
console.log(`${name}: ${formatTally(count)}`)
process.exitCode = count.failed > 0 ? status || 1 : status

function unitFiles() {
  return readdirSync(join(ROOT, 'test'), { withFileTypes: true })
    .filter(entry => entry.isDirectory() && !OWN.includes(entry.name))
    .flatMap(entry => testFiles(join('test', entry.name)))
}

/** Paths relative to the root: tap shows them as they are given. */
function testFiles(directory) {
  if (!existsSync(join(ROOT, directory))) return []
  return readdirSync(join(ROOT, directory), { recursive: true })
    .filter(path => path.endsWith('.test.ts'))
    .sort()
    .map(path => join(directory, path))
}

/** Runs a program of node_modules and gives its exit status; TAP that it prints is kept in the file `tap` and told plainly. */
async function node(program, args, tap) {
  const path = join(ROOT, 'node_modules', program)
  const child = spawn(process.execPath, [path, ...args], {
    cwd: ROOT,
    env: { ...process.env, STOWAGE_ROOTS: roots },
    stdio: ['inherit', tap ? 'pipe' : 'inherit', 'inherit'],
  })
  const ended = new Promise(resolve => child.on('close', (status, signal) => resolve({ status, signal })))
  if (tap) {
    await Promise.all([
      pipeline(child.stdout, createWriteStream(tap)),
      pipeline(child.stdout, new PlainReporter(), process.stdout, { end: false }),
    ])
  }
  const { status, signal } = await ended
  if (signal) console.error(`test: ${program} ended by ${signal}`)
  return status ?? 1
}
