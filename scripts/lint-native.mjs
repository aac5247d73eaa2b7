/**
 * Checks `native/`: its layout with clang-format, then its code with clang-tidy (`.clang-tidy` says what for).
 * `node scripts/lint-native.mjs format` corrects the layout instead.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './build.mjs'
import { nodeHeaders } from './requirements.mjs'
import { prepare } from './setup.mjs'

/** One version of each, because they differ in layout and in what they find. Debian 12 and 13 both have this one. */
const CLANG_FORMAT = 'clang-format-19'
const CLANG_TIDY = 'clang-tidy-19'
/** The compiler searches it anyway, after the C++ library's headers; naming it as well would put it before them. */
const DEFAULT_DIRECTORY = '/usr/include'

const [mode = 'check'] = process.argv.slice(2)
prepare(mode === 'format' ? 'format' : 'lint')

const files = readdirSync(join(ROOT, 'native'), { recursive: true })
  .filter(path => /\.(cc|h)$/.test(path))
  .sort()
  .map(path => join('native', path))

process.exitCode = checkLayout()
if (mode !== 'format' && (await checkCode()) > 0) process.exitCode = 1

function checkLayout() {
  const args = [...(mode === 'format' ? ['-i'] : ['--dry-run', '--Werror']), ...files]
  const { status, error } = spawnSync(CLANG_FORMAT, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
  if (error) console.error(`lint-native: ${error.message}`)
  return status ?? 1
}

/** Prints what clang-tidy finds, and returns the number of sources in which it finds something. */
async function checkCode() {
  const start = Date.now()
  const flags = compilerFlags()
  // The largest first, so that no processor is left with a long one at the end
  const sources = files.filter(path => path.endsWith('.cc')).sort((a, b) => sizeOf(b) - sizeOf(a))
  const left = [...sources]
  let failed = 0
  const work = async () => {
    for (let path = left.shift(); path !== undefined; path = left.shift()) {
      const { status, output } = await run(CLANG_TIDY, ['--quiet', path, '--', ...flags])
      if (status === 0) continue
      failed += 1
      console.error(output)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  const seconds = Math.round((Date.now() - start) / 1000)
  console.log(`lint-native: clang-tidy checked ${sources.length} files in ${seconds} s; findings in ${failed}`)
  return failed
}

function sizeOf(path) {
  return statSync(join(ROOT, path)).size
}

/** Those of binding.gyp for Linux, as far as they say what the code means. */
function compilerFlags() {
  const [target] = JSON.parse(readFileSync(join(ROOT, 'binding.gyp'), 'utf8')).targets
  const wimlib = spawnSync('pkg-config', ['--variable=includedir', 'wimlib'], { encoding: 'utf8' }).stdout.trim()
  const directories = [
    createRequire(import.meta.url)('node-addon-api').include_dir,
    join(nodeHeaders(), 'include', 'node'),
    wimlib,
  ].filter(path => path !== '' && path !== DEFAULT_DIRECTORY)
  return [
    ...target.cflags_cc.filter(flag => flag.startsWith('-std=')),
    ...target.defines.map(define => `-D${define}`),
    ...directories.flatMap(path => ['-isystem', path]),
  ]
}

/** Runs a program and gives its exit status, 1 if there is none, and all that it printed. */
async function run(command, args) {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (output += text))
  return new Promise(resolve => {
    child.on('error', error => resolve({ status: 1, output: `lint-native: ${error.message}` }))
    child.on('close', status => resolve({ status: status ?? 1, output }))
  })
}
