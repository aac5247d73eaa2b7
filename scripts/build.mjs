/** Builds the addon and the TypeScript, each only when its sources changed: `node scripts/build.mjs [native|ts]`. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { nodeHeaders } from './requirements.mjs'

export const ROOT = resolve(import.meta.dirname, '..')

const STAMPS = join(ROOT, 'node_modules', '.cache', 'stowage-build')
const ADDON = join(ROOT, 'build', 'Release', 'stowage.node')

/** Compiles `native/` to `build/Release/stowage.node` with the headers of the Node.js that runs; never fetches any. */
export function buildAddon() {
  const headers = nodeHeaders()
  if (!headers) {
    stop(`no node_api.h beside this Node.js nor in /usr/include/node: install libnode-dev, or a Node.js with headers`)
  }
  const state = stateOf([join(ROOT, 'binding.gyp'), join(ROOT, 'native')], process.version)
  if (existsSync(ADDON) && stampOf('native') === state) return
  console.log('setup: compiling the native addon, which takes about a minute')
  const tool = join(ROOT, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js')
  const args = [tool, 'configure', 'build', `--nodedir=${headers}`, '--jobs=max', '--loglevel=warn']
  run('compiling', args, 'the native addon did not build; the compiler says why above')
  if (!existsSync(ADDON)) stop(`the build went through but left no ${ADDON}`)
  stamp('native', state)
}

/** Compiles `src/` to `dist/`, which is emptied first: a file whose source is gone must not stay. */
export function buildTypeScript() {
  const names = ['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json', 'scripts/bundle.mjs']
  const inputs = names.map(name => join(ROOT, name))
  const state = stateOf(inputs, readFileSync(join(ROOT, 'node_modules', 'typescript', 'package.json'), 'utf8'))
  if (existsSync(join(ROOT, 'dist')) && stampOf('ts') === state) return
  console.log('setup: compiling the TypeScript, which takes some seconds')
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true })
  const tool = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  run('compiling', [tool, '-p', 'tsconfig.build.json'], 'the TypeScript did not compile; the compiler says why above')
  run(
    'bundling',
    [join(ROOT, 'scripts', 'bundle.mjs')],
    'the command could not be put in one file; esbuild says why above',
  )
  stamp('ts', state)
}

/** The addon that was built here, for a copy of this checkout: names as in the npm package, and the files. */
export function prebuildFiles() {
  const directory = join('prebuilds', `${process.platform}-${process.arch}`)
  // Their code is part of the binary, so their licences travel with it.
  const licences = ['libdeflate-dev', 'libssl-dev', 'libzstd-dev', 'liblzma-dev', 'zlib1g-dev']
    .map(name => [join(directory, `${name}.copyright`), join('/usr/share/doc', name, 'copyright')])
    .filter(([, file]) => existsSync(file))
  return [[join(directory, 'stowage.node'), ADDON], ...licences]
}

/** Changes when a file below `paths` comes, goes or changes. */
export function stateOf(paths, salt) {
  const hash = createHash('sha256').update(salt)
  const visit = path => {
    const found = statSync(path)
    if (found.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name))
    else hash.update(`${path}\0${found.size}\0${found.mtimeMs}\n`)
  }
  paths.forEach(visit)
  return hash.digest('hex')
}

export function stampOf(name) {
  const path = join(STAMPS, name)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

export function stamp(name, state) {
  mkdirSync(STAMPS, { recursive: true })
  writeFileSync(join(STAMPS, name), state)
}

/** Runs a compiler written in JavaScript, and shows on a terminal that it does. */
function run(what, args, failure) {
  const patient = join(ROOT, 'scripts', 'patient.mjs')
  const stdio = ['ignore', 'inherit', 'inherit']
  const { status } = spawnSync(process.execPath, [patient, what, process.execPath, ...args], { cwd: ROOT, stdio })
  if (status !== 0) stop(failure)
}

function stop(message) {
  console.error(`setup: ${message}`)
  process.exit(1)
}

if (process.argv[1] === import.meta.filename) {
  const part = process.argv[2]
  if (part !== 'ts') buildAddon()
  if (part !== 'native') buildTypeScript()
}
