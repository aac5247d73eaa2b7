/**
 * What the addon for Windows is compiled and linked against, beside mingw-w64: the compressors, of Debian 12's sources so
 * that they are those of the other platforms, and the header of libwim, which it loads.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { CACHE, privateApt } from './sysroot.mjs'

export const TRIPLET = 'x86_64-w64-mingw32'

const TOOLS = { CC: `${TRIPLET}-gcc-posix`, AR: `${TRIPLET}-ar`, RANLIB: `${TRIPLET}-ranlib` }
const MAKE = [...Object.entries(TOOLS).map(([name, value]) => `${name}=${value}`), `--jobs=${availableParallelism()}`]

/** Debian's source packages: how each makes its static library, where that is then, and the headers. */
const SOURCES = {
  libdeflate: {
    commands: [['make', ...MAKE, `OBJCOPY=${TRIPLET}-objcopy`, 'libdeflatestatic.lib']],
    library: ['libdeflatestatic.lib', 'libdeflate.a'],
    headers: ['libdeflate.h'],
  },
  libzstd: {
    commands: [
      // Without what trains dictionaries and reads formats before 1.0
      ['make', '-C', 'lib', ...MAKE, 'OS=Windows_NT', 'ZSTD_LIB_DICTBUILDER=0', 'ZSTD_LEGACY_SUPPORT=0', 'libzstd.a'],
    ],
    library: ['lib/libzstd.a', 'libzstd.a'],
    headers: ['lib/zstd.h', 'lib/zstd_errors.h'],
  },
  'xz-utils': {
    commands: [
      [
        './configure',
        '--quiet',
        `--host=${TRIPLET}`,
        `CC=${TOOLS.CC}`,
        'CFLAGS=-O2',
        ...['shared', 'xz', 'xzdec', 'lzmadec', 'lzmainfo', 'lzma-links', 'scripts', 'doc', 'nls'].map(
          name => `--disable-${name}`,
        ),
      ],
      ['make', '-C', 'src/liblzma', `--jobs=${availableParallelism()}`],
    ],
    library: ['src/liblzma/.libs/liblzma.a', 'liblzma.a'],
    headers: ['src/liblzma/api/lzma.h', 'src/liblzma/api/lzma'],
  },
}

/** The names under which the licences of what the addon contains are in the directory: `NAME.copyright`. */
export const WINDOWS_CONTAINED = [...Object.keys(SOURCES), 'mingw-w64']

/** The directory, with `include` and `lib`, and the versions of what is in it. It is made once. */
export function windowsSysroot() {
  const directory = join(CACHE, 'win32-x64')
  if (!existsSync(directory)) make(directory)
  return { directory, versions: readFileSync(join(directory, 'versions'), 'utf8').trim().split('\n') }
}

function make(directory) {
  const partial = `${directory}.partial`
  const inside = (...names) => join(partial, ...names)
  rmSync(partial, { recursive: true, force: true })
  const apt = privateApt('x64', inside('apt'))
  for (const name of ['include', 'lib', 'sources']) mkdirSync(inside(name))
  apt(['update'])
  apt(['download', 'libwim-dev'], inside('apt'))
  const [headers] = readdirSync(inside('apt')).filter(name => name.endsWith('.deb'))
  execFileSync('dpkg-deb', ['--extract', inside('apt', headers), inside('apt', 'libwim')])
  copyFileSync(inside('apt', 'libwim', 'usr', 'include', 'wimlib.h'), inside('include', 'wimlib.h'))
  const versions = Object.keys(SOURCES).map(name => build(name, apt, partial))
  copyFileSync('/usr/share/doc/mingw-w64-x86-64-dev/copyright', inside('mingw-w64.copyright'))
  const version = ['--showformat', '${Version}', '--show', 'mingw-w64-x86-64-dev']
  versions.push(`mingw-w64 ${execFileSync('dpkg-query', version, { encoding: 'utf8' })}`)
  writeFileSync(inside('versions'), `${versions.join('\n')}\n`)
  for (const name of ['apt', 'sources']) rmSync(inside(name), { recursive: true })
  renameSync(partial, directory)
}

/** Builds one source package into `directory`, and gives its name and version. */
function build(name, apt, directory) {
  const { commands, library, headers } = SOURCES[name]
  const sources = join(directory, 'sources')
  apt(['source', '--download-only', name], sources)
  const description = readdirSync(sources).find(file => file.startsWith(`${name}_`) && file.endsWith('.dsc'))
  const place = join(sources, name)
  execFileSync('dpkg-source', ['--no-check', '--extract', description, place], { cwd: sources, stdio: 'pipe' })
  for (const [program, ...args] of commands) {
    const { status, stdout, stderr, error } = spawnSync(program, args, {
      cwd: place,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    })
    if (status !== 0) throw new Error(`${name} did not build for Windows:\n${error?.message ?? stdout + stderr}`)
  }
  const [made, kept] = library
  copyFileSync(join(place, made), join(directory, 'lib', kept))
  execFileSync('cp', ['-r', ...headers.map(path => join(place, path)), join(directory, 'include')])
  copyFileSync(join(place, 'debian', 'copyright'), join(directory, `${name}.copyright`))
  return `${name} ${/^Version: (.*)$/m.exec(readFileSync(join(sources, description), 'utf8'))[1]}`
}
