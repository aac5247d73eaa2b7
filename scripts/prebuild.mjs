/**
 * Makes the addons that the npm package carries, on Debian 12: `node scripts/prebuild.mjs [PLATFORM…]`. Each is compiled by
 * Debian 12's compiler against a sysroot, so it asks for nothing of the machine on which it is made; what it asks for of the
 * system that it will run on is checked, and printed. scripts/prebuild-windows.mjs has what is different for Windows.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ROOT, stamp, stampOf, stateOf } from './build.mjs'
import { windowsToolchain } from './prebuild-windows.mjs'
import { nodeHeaders } from './requirements.mjs'
import { prepare } from './setup.mjs'
import { ARCHITECTURES, CONTAINED, sysroot } from './sysroot.mjs'

/** Those of Node.js's own binaries for Linux. */
const OLDEST_GLIBC = '2.28'
/** Parts of glibc, which every system with it has. */
const LIBRARIES = /^(?:lib(?:c|m|dl|pthread|rt)\.so\.\d|ld-linux-.*\.so\.\d)$/

export const PLATFORMS = [...Object.keys(ARCHITECTURES).map(arch => `linux-${arch}`), 'win32-x64']

/** Makes the addon for `platform` in `prebuilds/`, unless it is there and made of the same. */
async function prebuild(platform) {
  const toolchain = platform === 'win32-x64' ? windowsToolchain() : linuxToolchain(platform.slice('linux-'.length))
  const target = join(ROOT, 'prebuilds', platform)
  const scripts = ['prebuild.mjs', ...toolchain.scripts].map(name => join(ROOT, 'scripts', name))
  const inputs = [join(ROOT, 'binding.gyp'), join(ROOT, 'native'), ...scripts]
  const state = stateOf(inputs, [process.version, ...toolchain.salt].join('\n'))
  const addon = join(target, 'stowage.node')
  if (!existsSync(addon) || stampOf(platform) !== state) {
    console.log(`prebuild: compiling the addon for ${platform}, which takes some minutes`)
    const built = await toolchain.compile()
    rmSync(target, { recursive: true, force: true })
    mkdirSync(target, { recursive: true })
    copyFileSync(built, addon)
    // Their code is part of the binary, so their licences travel with it
    for (const [name, path] of toolchain.licences) copyFileSync(path, join(target, `${name}.copyright`))
    stamp(platform, state)
  }
  const bytes = readFileSync(addon)
  console.log(`${platform}: ${toolchain.told(addon)}, ${(bytes.length / 1e6).toFixed(2)} MB`)
  console.log(`  sha256 ${createHash('sha256').update(bytes).digest('hex')}`)
  console.log(`  with ${toolchain.versions.join(', ')}`)
  const faults = toolchain.faults(addon)
  if (faults.length > 0) throw new Error(`the addon for ${platform} ${faults.join('; ')}`)
}

function linuxToolchain(arch) {
  const root = sysroot(arch)
  return {
    salt: [
      execFileSync(`${ARCHITECTURES[arch].triplet}-g++-12`, ['--version'], { encoding: 'utf8' }),
      ...root.versions,
    ],
    scripts: ['sysroot.mjs'],
    versions: root.versions.filter(line => CONTAINED.includes(line.split(' ')[0])),
    licences: CONTAINED.map(name => [name, join(root.directory, 'usr', 'share', 'doc', name, 'copyright')]),
    compile: () => compile(arch, root.directory),
    told(file) {
      const { glibc, libraries } = needsOf(file, arch)
      return `glibc ${glibc}, ${libraries.join(' ')}`
    },
    faults: file => faultsOf(needsOf(file, arch)),
  }
}

/** Compiles in a directory of its own, from nothing, and returns the file. */
function compile(arch, root) {
  const headers = nodeHeaders()
  const { triplet } = ARCHITECTURES[arch]
  const place = join(ROOT, 'node_modules', '.cache', 'stowage-prebuild', arch)
  rmSync(place, { recursive: true, force: true })
  mkdirSync(place, { recursive: true })
  for (const name of ['binding.gyp', 'native', 'node_modules', 'package.json'])
    symlinkSync(join(ROOT, name), join(place, name))
  const tool = join(ROOT, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js')
  const args = [
    tool,
    'configure',
    'build',
    `--directory=${place}`,
    `--arch=${arch}`,
    `--nodedir=${headers}`,
    '--loglevel=warn',
  ]
  const inside = path => join(root, 'usr', 'include', path)
  const system = ['c++/10', `${triplet}/c++/10`].flatMap(path => ['-isystem', inside(path)])
  const same = [`--sysroot=${root}`, `-ffile-prefix-map=${place}=.`, `-ffile-prefix-map=${root}=/`]
  const env = {
    ...process.env,
    CC: `${triplet}-gcc-12`,
    CXX: `${triplet}-g++-12`,
    AR: `${triplet}-ar`,
    CFLAGS: same.join(' '),
    CXXFLAGS: [...same, '-nostdinc++', ...system, '-w'].join(' '), // warnings are for the build with headers of its own
    // The compiler would look in its own directories first, and those are of this machine
    LDFLAGS: [
      `--sysroot=${root} -B${join(root, 'usr', 'lib', triplet)}`,
      ...['c++', `usr/lib/${triplet}`, `lib/${triplet}`].map(path => `-L${join(root, path)}`),
      '-static-libstdc++ -static-libgcc -s',
    ].join(' '),
    JOBS: String(availableParallelism()),
    PKG_CONFIG_LIBDIR: join(root, 'usr', 'lib', triplet, 'pkgconfig'),
    PKG_CONFIG_SYSROOT_DIR: root,
  }
  const patient = join(ROOT, 'scripts', 'patient.mjs')
  const words = [patient, 'compiling', process.execPath, ...args]
  const { status } = spawnSync(process.execPath, words, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) throw new Error(`the addon for linux-${arch} did not build; the compiler says why above`)
  return join(place, 'build', 'Release', 'stowage.node')
}

/** What an addon needs of the system: libraries, the newest glibc that a symbol of it is from, and versions of other libraries. */
export function needsOf(file, arch) {
  const told = execFileSync(`${ARCHITECTURES[arch].triplet}-objdump`, ['-p', file], { encoding: 'utf8' })
  const libraries = [...told.matchAll(/^ +NEEDED +(\S+)/gm)].map(([, name]) => name).sort()
  const versions = [...told.matchAll(/^ +0x\S+ 0x\S+ \d+ (\S+)$/gm)].map(([, name]) => name)
  const glibcs = versions.filter(name => name.startsWith('GLIBC_')).map(name => name.slice('GLIBC_'.length))
  const glibc = glibcs.sort(compareReleases).at(-1)
  return { libraries, glibc, others: versions.filter(name => !name.startsWith('GLIBC_')) }
}

/** What a system with {@link OLDEST_GLIBC} and nothing else would not have. */
export function faultsOf({ libraries, glibc, others }) {
  const foreign = libraries.filter(name => !LIBRARIES.test(name))
  return [
    ...(compareReleases(glibc, OLDEST_GLIBC) > 0 ? [`needs glibc ${glibc}, not ${OLDEST_GLIBC} or older`] : []),
    ...(foreign.length > 0 ? [`needs ${foreign.join(', ')}, which not every system has`] : []),
    ...(others.length > 0 ? [`needs symbols of ${others.join(', ')}`] : []),
  ]
}

function compareReleases(a, b) {
  return a.localeCompare(b, 'en', { numeric: true })
}

if (process.argv[1] === import.meta.filename) {
  const wanted = process.argv.length > 2 ? process.argv.slice(2) : PLATFORMS
  try {
    const unknown = wanted.find(platform => !PLATFORMS.includes(platform))
    if (unknown)
      throw new Error(`there is no platform ${unknown}: name some of ${PLATFORMS.join(', ')}, or none for all`)
    prepare(wanted.every(platform => platform === 'win32-x64') ? 'mingw' : 'prebuild')
    for (const platform of wanted) await prebuild(platform)
  } catch (error) {
    console.error(`prebuild: ${error.message}`)
    process.exitCode = 1
  }
}
