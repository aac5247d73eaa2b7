/**
 * What a prebuilt addon is compiled and linked against, per platform: the C and C++ libraries of Debian 11, whose glibc is
 * old, and the static libraries of Debian 12. Nothing is installed: the packages are unpacked into a directory.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { isAbsolute, join, relative } from 'node:path'
import { ROOT } from './build.mjs'

export const CACHE = join(ROOT, 'node_modules', '.cache', 'stowage-sysroots')

/** Decide the oldest glibc. Its C++ library asks for nothing newer either; that of Debian 12 does. */
const OLD = 'bullseye'
const OLD_PACKAGES = ['libc6', 'libc6-dev', 'libgcc-10-dev', 'libstdc++-10-dev', 'linux-libc-dev']

/** Those that the addon contains, and the headers of libwim, which it loads. */
const NEW = 'bookworm'
export const CONTAINED = ['libdeflate-dev', 'libzstd-dev', 'liblzma-dev', 'zlib1g-dev', 'libssl-dev']
const NEW_PACKAGES = [...CONTAINED, 'libwim-dev']

/** Debian's names for the processors of Node.js. */
export const ARCHITECTURES = {
  x64: { debian: 'amd64', triplet: 'x86_64-linux-gnu' },
  arm64: { debian: 'arm64', triplet: 'aarch64-linux-gnu' },
}

/** The directory to compile in for `arch`, and the versions of what is in it. It is made once. */
export function sysroot(arch) {
  const directory = kept(arch, (apt, packages) => {
    apt(['download', ...OLD_PACKAGES.map(name => `${name}/${OLD}`), ...NEW_PACKAGES], packages)
  })
  return { directory, versions: readFileSync(join(directory, 'versions'), 'utf8').trim().split('\n') }
}

/** A directory with what a Node.js for `arch`, and an addon, need when they run, libwim included: that of Debian 12. */
export function runtimeRoot(arch) {
  return kept(`${arch}-runtime`, apt => {
    const words = ['--download-only', '--no-install-recommends', '--yes', 'install']
    apt([...words, 'libc6', 'libstdc++6', 'libatomic1', 'libwim15'])
  })
}

/** The directory `name` of the cache, with the packages that `fetch` puts in the directory that it is given. */
function kept(name, fetch) {
  const directory = join(CACHE, name)
  if (existsSync(directory)) return directory
  const [arch] = name.split('-')
  const partial = `${directory}.partial`
  const packages = join(partial, 'apt', 'archives') // where apt-get puts them by itself
  rmSync(partial, { recursive: true, force: true })
  const apt = privateApt(arch, join(partial, 'apt'))
  apt(['update'])
  fetch(apt, packages)
  const files = readdirSync(packages)
    .filter(file => file.endsWith('.deb'))
    .sort()
  for (const file of files) execFileSync('dpkg-deb', ['--extract', join(packages, file), partial])
  keepLinksInside(partial)
  if (name === arch) {
    pickCompilerLibraries(arch, partial)
    doWithoutClockWait(arch, partial)
  }
  const field = (file, key) => execFileSync('dpkg-deb', ['--field', join(packages, file), key], { encoding: 'utf8' })
  const versions = files.map(file => ['Package', 'Version'].map(key => field(file, key).trim()).join(' '))
  writeFileSync(join(partial, 'versions'), `${versions.join('\n')}\n`)
  rmSync(join(partial, 'apt'), { recursive: true })
  renameSync(partial, directory)
  return directory
}

/** A link such as libpthread.so -> /lib/… would lead to this machine's own library. */
function keepLinksInside(directory) {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const link = join(entry.parentPath, entry.name)
    const target = readlinkSync(link)
    if (!isAbsolute(target)) continue
    rmSync(link)
    symlinkSync(relative(entry.parentPath, join(directory, target)), link)
  }
}

/**
 * What comes from Debian 11's compiler is the C++ library and the unwinder; all else comes with the compiler that compiles,
 * so these two have a directory of their own.
 */
function pickCompilerLibraries(arch, directory) {
  const from = join(directory, 'usr', 'lib', 'gcc', ARCHITECTURES[arch].triplet, '10')
  mkdirSync(join(directory, 'c++'))
  for (const name of ['libstdc++.a', 'libgcc_eh.a']) cpSync(join(from, name), join(directory, 'c++', name))
  rmSync(join(directory, 'usr', 'lib', 'gcc'), { recursive: true })
}

/** The only function of Debian 11's glibc that the C++ library uses and that glibc 2.28 lacks; the library has a way without it. */
function doWithoutClockWait(arch, directory) {
  const { triplet } = ARCHITECTURES[arch]
  const file = join(directory, 'usr', 'include', triplet, 'c++', '10', 'bits', 'c++config.h')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace(/^#define _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT 1$/m, ''))
}

/** Runs apt-get for another processor and with another release, and for sources, from where this machine's own packages come. */
export function privateApt(arch, directory) {
  const repositories = machineRepositories()
  const main = repositories.find(({ release }) => release === NEW)
  if (!main) {
    throw new Error(
      `prebuilt addons are made on Debian 12: apt-get lists no ${NEW} here (if this is one, run "apt-get update")`,
    )
  }
  for (const name of ['lists/partial', 'archives/partial']) mkdirSync(join(directory, name), { recursive: true })
  const lines = [...repositories, { uri: main.uri, release: OLD }].map(
    ({ uri, release }) => `deb ${uri} ${release} main`,
  )
  lines.push(`deb-src ${main.uri} ${NEW} main`)
  writeFileSync(join(directory, 'sources.list'), `${[...new Set(lines)].join('\n')}\n`)
  writeFileSync(join(directory, 'status'), '')
  const settings = {
    'APT::Architecture': ARCHITECTURES[arch].debian,
    'APT::Architectures': ARCHITECTURES[arch].debian,
    'APT::Sandbox::User': '', // the directory may not be for the user that downloads otherwise
    'Acquire::Languages': 'none',
    'Dir::Cache': directory,
    'Dir::Etc::SourceList': join(directory, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::State': directory,
    'Dir::State::Status': join(directory, 'status'),
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  return (words, cwd = directory) => {
    const { status, stdout, stderr } = spawnSync('apt-get', ['-qq', ...options, ...words], { cwd, encoding: 'utf8' })
    if (status !== 0) throw new Error(`apt-get ${words[0]} failed:\n${stdout}${stderr}`)
  }
}

/** Debian's own among the repositories of this machine. */
function machineRepositories() {
  const format = '$(ORIGIN) $(RELEASE) $(REPO_URI)'
  const told = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  })
  const found = told.split('\n').map(line => line.split(' '))
  return found.filter(([origin]) => origin === 'Debian').map(([, release, uri]) => ({ release, uri }))
}
