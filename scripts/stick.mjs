/**
 * Copies Stowage itself to a stick, from a checkout or from an installed package: `node scripts/stick.mjs DIRECTORY`.
 * Nothing but files is written: exFAT and FAT32 have neither links nor modes. See docs/stick.md.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve, sep } from 'node:path'

const ROOT = realpathSync(resolve(import.meta.dirname, '..'))
const PLATFORM = `${process.platform}-${process.arch}`
/** Dependencies that only compilers use. */
const FOR_COMPILERS = new Set(['@types/node', 'node-addon-api'])
/** What the package has for compilers: the sources of the addon, and types. */
const SOURCES = new Set(['native', 'binding.gyp'])
const TYPES = /\.d\.[cm]?ts$|\.map$/

const SHELL = `#!/bin/sh
# Runs Stowage with the Node.js that NODE names, or the one that is installed.
exec "\${NODE:-node}" "$(dirname -- "$0")/dist/cli/main.js" "$@"
`
const BATCH = '@node "%~dp0dist\\cli\\main.js" %*\r\n'

/** Copies Stowage to `stick`/stowage, all or nothing, and tries it there. */
async function carry(stick) {
  const target = join(stick, 'stowage')
  if (existsSync(target) && nameOf(target) !== 'stowage') fail(`${target} exists, and is not Stowage`)
  if (realpathSync(stick) === ROOT || target.startsWith(ROOT + sep)) fail(`${stick} is where Stowage itself is`)
  const partial = `${target}.partial`
  try {
    rmSync(partial, { recursive: true, force: true })
    const count = copyAll(partial, await addonFiles())
    const { version } = readJson(join(partial, 'package.json'))
    attempt(partial, version)
    rmSync(target, { recursive: true, force: true })
    renameSync(partial, target)
    flush(target)
    // Some drivers lose what is in a directory that is renamed
    if (!existsSync(join(target, 'dist/cli/main.js')))
      fail(`${stick} has lost the files that were written to it: its driver cannot rename directories`)
    const addon = existsSync(join(target, 'prebuilds', PLATFORM))
    console.log(`Stowage ${version} is in ${target}: ${count.files} files, ${(count.size / 1e6).toFixed(1)} MB, ${addonText(addon)}.
On the host, which needs Node.js 20.19 or later:

  sh ${join(target, 'stowage')} verify BUNDLE      on Windows: ${basename(stick)}\\stowage\\stowage.cmd verify BUNDLE

docs/stick.md says what else the host needs, and how to carry Node.js itself.`)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

function addonText(addon) {
  return addon
    ? `with the addon for ${PLATFORM}`
    : 'without the addon: there is none to copy, so WIM files and layers cannot be worked with'
}

/** The addon where it is not in prebuilds/ yet: in a checkout, and where it was compiled on installation. */
async function addonFiles() {
  if (existsSync(join(ROOT, 'src'))) {
    ;(await import('./setup.mjs')).setup('build')
    return (await import('./build.mjs')).prebuildFiles()
  }
  const compiled = join(ROOT, 'build', 'Release', 'stowage.node')
  return existsSync(compiled) ? [[join('prebuilds', PLATFORM, 'stowage.node'), compiled]] : []
}

/** Copies the package, the files of its addon, and what it depends on. */
function copyAll(target, addon) {
  const count = { files: 0, size: 0 }
  const own = ['package.json', 'README.md', 'LICENSE', ...readJson(join(ROOT, 'package.json')).files]
  for (const [name, file] of [...own.map(each => [each, join(ROOT, each)]), ...addon, ...placed()]) {
    if (!SOURCES.has(name) && existsSync(file)) copy(file, join(target, name), count)
  }
  write(join(target, 'stowage'), SHELL, count)
  write(join(target, 'stowage.cmd'), BATCH, count)
  return count
}

/**
 * Where each dependency goes, and where it is: as high as it can be, and below the package that needs it where another
 * version of the same name is above.
 */
function placed() {
  const places = new Map([['', ROOT]])
  for (const [place, source] of places) {
    const { dependencies = {}, optionalDependencies = {} } = readJson(join(source, 'package.json'))
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      if (FOR_COMPILERS.has(name)) continue
      const found = find(name, source)
      if (found === undefined && name in optionalDependencies) continue
      if (found === undefined) fail(`${name}, which ${basename(source)} needs, is not installed`)
      const seen = above(place).map(each => places.get(join(each, 'node_modules', name)))
      const nearest = seen.find(each => each !== undefined)
      if (nearest === found) continue
      places.set(join(nearest === undefined ? '' : place, 'node_modules', name), found)
    }
  }
  places.delete('')
  return places
}

/** The places that a package at `place` sees, its own first. */
function above(place) {
  const at = place.lastIndexOf(join(sep, 'node_modules', sep))
  if (place === '') return ['']
  return [place, ...above(at === -1 ? '' : place.slice(0, at))]
}

/** The directory of a package as `from` sees it; undefined if it is not installed. */
function find(name, from) {
  const directory = join(from, 'node_modules', name)
  if (existsSync(join(directory, 'package.json'))) return realpathSync(directory)
  return dirname(from) === from ? undefined : find(name, dirname(from))
}

/** Copies a file or a tree, without its own dependencies, and without types. */
function copy(from, to, count) {
  if (!statSync(from).isDirectory()) return TYPES.test(from) ? undefined : write(to, readFileSync(from), count)
  for (const name of readdirSync(from)) if (name !== 'node_modules') copy(join(from, name), join(to, name), count)
}

/** Not copyFile(), which sets modes, and fails where there are none. */
function write(file, bytes, count) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, bytes)
  count.files += 1
  count.size += bytes.length
}

/** Has the copy say its version, pack a file and verify the bundle. */
function attempt(copied, version) {
  const scratch = mkdtempSync(join(tmpdir(), 'stowage-stick-'))
  const stowage = (...words) => {
    const command = [join(copied, 'dist', 'cli', 'main.js'), ...words]
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: scratch, encoding: 'utf8' })
    if (status !== 0) fail(`the copy does not run: ${stderr}`)
    return stdout
  }
  try {
    const [told] = stowage('--version').split('\n') // the compressors are on the next line
    if (told !== version) fail(`the copy says that it is ${told}, not ${version}`)
    writeFileSync(join(scratch, 'note.txt'), 'Stowage\n')
    writeFileSync(join(scratch, 'images.yaml'), 'version: 1\nfiles:\n  - from: note.txt\n')
    stowage('pack', '--file', 'images.yaml', '--output', 'bundle')
    stowage('verify', 'bundle')
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Writes out what the system holds back, so that pulling the stick out right away does less harm. */
function flush(directory) {
  if (process.platform !== 'win32') spawnSync('sync', ['--file-system', directory])
}

function nameOf(directory) {
  const file = join(directory, 'package.json')
  return existsSync(file) ? readJson(file).name : undefined
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function fail(message) {
  throw new Failure(message)
}

class Failure extends Error {}

const [operand, ...more] = process.argv.slice(2)
try {
  if (operand === undefined || operand.startsWith('-') || more.length > 0) {
    fail('name the directory of the stick, such as: npm run stick -- /media/stick')
  }
  const stick = resolve(process.env.INIT_CWD ?? '.', operand) // npm runs scripts in the directory of the package
  if (!existsSync(stick)) fail(`${stick} is not there: is the stick mounted?`)
  if (!statSync(stick).isDirectory()) fail(`${stick} is not a directory`)
  await carry(stick)
} catch (error) {
  if (!(error instanceof Failure) && error.code === undefined) throw error
  console.error(`stick: ${error.message}`)
  process.exitCode = 1
}
