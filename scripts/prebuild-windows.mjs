/** Makes the addon for Windows with mingw-w64, for scripts/prebuild.mjs. gyp has no generator for that compiler. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from './build.mjs'
import { nodeHeaders } from './requirements.mjs'
import { TRIPLET, WINDOWS_CONTAINED, windowsSysroot } from './windows-sysroot.mjs'

const COMPILER = `${TRIPLET}-g++-posix`
const PLACE = join(ROOT, 'node_modules', '.cache', 'stowage-prebuild', 'win32-x64')

/** Parts of every Windows. */
const LIBRARIES = ['bcrypt.dll', 'KERNEL32.dll', 'msvcrt.dll']

const run = promisify(execFile)

/** How scripts/prebuild.mjs makes this platform. */
export function windowsToolchain() {
  const { directory, versions } = windowsSysroot()
  return {
    salt: [execFileSync(COMPILER, ['--version'], { encoding: 'utf8' }), ...versions],
    scripts: ['prebuild-windows.mjs', 'windows-sysroot.mjs', 'sysroot.mjs'],
    versions,
    licences: WINDOWS_CONTAINED.map(name => [name, join(directory, `${name}.copyright`)]),
    compile: () => compile(directory),
    told: file => `${librariesOf(file).join(' ')}, and node.exe under any name`,
    faults: file => windowsFaults(librariesOf(file)),
  }
}

/** The DLLs that an addon names. Those that are loaded when they are first needed are in another list. */
export function librariesOf(file) {
  const told = execFileSync(`${TRIPLET}-objdump`, ['-p', file], { encoding: 'utf8', maxBuffer: 1 << 26 })
  return [...told.matchAll(/DLL Name: (\S+)/g)].map(([, name]) => name).sort()
}

/** What a Windows would not have. */
export function windowsFaults(libraries) {
  const foreign = libraries.filter(name => !LIBRARIES.includes(name))
  return foreign.length > 0 ? [`needs ${foreign.join(', ')}, which not every Windows has`] : []
}

/** Compiles from nothing, with what binding.gyp says of this system, and returns the file. */
async function compile(root) {
  const [target] = JSON.parse(readFileSync(join(ROOT, 'binding.gyp'), 'utf8')).targets
  const [, windows] = target.conditions.find(([condition]) => condition === "OS=='win'")
  const flags = [
    ...[...target.defines, ...windows.defines].map(name => `-D${name}`),
    ...target.cflags_cc.filter(flag => !/^-W/.test(flag)),
    '-Wa,-muse-unaligned-vector-move', // the stack is aligned to 16 bytes, and this compiler takes it for 32
    `-ffile-prefix-map=${ROOT}=.`,
    ...[join(nodeHeaders(), 'include/node'), join(ROOT, 'node_modules/node-addon-api'), join(root, 'include')].map(
      path => `-I${path}`,
    ),
  ]
  rmSync(PLACE, { recursive: true, force: true })
  const list = execFileSync(process.execPath, [join(ROOT, 'native/sources.mjs'), 'win'], { encoding: 'utf8' })
  const sources = list.trim().split('\n')
  const objects = sources.map(path => path.replace(/cc$/, 'o'))
  const left = [...sources]
  const work = async () => {
    for (let path = left.shift(); path; path = left.shift()) {
      const object = join(PLACE, path.replace(/cc$/, 'o'))
      mkdirSync(dirname(object), { recursive: true })
      await run(COMPILER, [...flags, '-c', path, '-o', object], { cwd: ROOT })
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  writeHostLibrary(objects)
  const addon = join(PLACE, 'stowage.node')
  const words = ['-shared', '-static', '-s', '-Wl,--no-insert-timestamp,--gc-sections', '-o', addon, ...objects]
  const libraries = ['deflate', 'zstd', 'lzma', 'bcrypt', 'delayimp'].map(name => `-l${name}`)
  execFileSync(COMPILER, [...words, '-L.', '-lhost', `-L${join(root, 'lib')}`, ...libraries], { cwd: PLACE })
  return addon
}

/** The functions of Node-API, to be found in the program that loads the addon when they are first called. */
function writeHostLibrary(objects) {
  const symbols = execFileSync(`${TRIPLET}-nm`, ['--undefined-only', ...objects], {
    cwd: PLACE,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  const names = new Set(symbols.match(/\b(?:napi|node_api)_\w+/g))
  writeFileSync(join(PLACE, 'host.def'), ['LIBRARY "node.exe"', 'EXPORTS', ...[...names].sort(), ''].join('\n'))
  execFileSync(`${TRIPLET}-dlltool`, ['-d', 'host.def', '--output-delaylib', 'libhost.a'], { cwd: PLACE })
}
