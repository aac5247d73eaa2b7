/**
 * Sets up and runs the tests: `node scripts/test.mjs [unit|engines|faults] [TAP OPTION…]`.
 * `unit` is the type check and every test that needs no engine. The TAP of a run stays in `.tap/NAME.tap`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './build.mjs'
import { fail, setup } from './setup.mjs'

/** Directories of test/ that are runs of their own. */
const OWN = ['engines', 'faults', 'browser']

const [name = 'unit', ...options] = process.argv.slice(2)
setup(name === 'unit' ? 'test' : 'engines')
if (name === 'unit') node('typescript/bin/tsc', ['--noEmit', '-p', 'tsconfig.json'])
const files = name === 'unit' ? unitFiles() : testFiles(join('test', name))
if (files.length === 0) fail(`there are no tests in test/${name}`)
mkdirSync(join(ROOT, '.tap'), { recursive: true })
const output = join('.tap', `${name}.tap`)
rmSync(join(ROOT, output), { force: true })
const reporter = process.stdout.isTTY ? 'base' : 'terse'
node('tap/dist/esm/run.mjs', ['run', `--reporter=${reporter}`, `--output-file=${output}`, ...options, ...files])

function unitFiles() {
  return readdirSync(join(ROOT, 'test'), { withFileTypes: true })
    .filter(entry => entry.isDirectory() && !OWN.includes(entry.name))
    .flatMap(entry => testFiles(join('test', entry.name)))
}

/** Paths relative to the root: tap shows them as they are given. */
function testFiles(directory) {
  if (!existsSync(join(ROOT, directory))) return []
  return readdirSync(join(ROOT, directory), { recursive: true })
    .filter(path => path.endsWith('.test.ts')).sort().map(path => join(directory, path))
}

/** Runs a program of node_modules; its failure is ours. */
function node(program, args) {
  const path = join(ROOT, 'node_modules', program)
  const { status, signal } = spawnSync(process.execPath, [path, ...args], { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) {
    if (signal) console.error(`test: ${program} ended by ${signal}`)
    process.exit(status ?? 1)
  }
}
