/**
 * Makes a checkout ready: system packages, npm packages, addon, TypeScript; each only where something is missing or newer.
 * Runs before anything is installed, so it uses nothing but Node.js. `node scripts/setup.mjs [build|test|engines|consumers]`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { buildAddon, buildTypeScript, ROOT } from './build.mjs'
import { missing, packaged } from './requirements.mjs'

const NPM_MAJOR = 9

/** Ends the process with status 1 and one sentence when something is missing that it may not install. */
export function setup(purpose) {
  prepare(purpose)
  buildAddon()
  buildTypeScript()
}

/** The same, but builds nothing. */
export function prepare(purpose) {
  checkVersions()
  installPackages(purpose)
  installModules()
}

export function fail(message) {
  console.error(`setup: ${message}`)
  process.exit(1)
}

function checkVersions() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const fits = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
  if (!fits) fail(`Stowage needs Node.js 20.19 or later, or 22.12 or later; this is ${process.versions.node}`)
  const npm = spawnSync('npm', ['--version'], { encoding: 'utf8' })
  if (npm.error) fail('npm is not installed; it comes with Node.js, on Debian in the package npm.')
  const version = npm.stdout.trim()
  if (Number.parseInt(version, 10) < NPM_MAJOR) fail(`Stowage needs npm ${NPM_MAJOR} or later; this is ${version}`)
}

/** Installs the Debian packages that `purpose` misses. */
function installPackages(purpose) {
  const groups = missing(purpose)
  if (groups.length === 0) return
  const packages = groups.flatMap(group => group.packages)
  const wanted = groups.map(({ why, packages: names }) => `${names.join(', ')} ${why}`).join('; ')
  const run = privileges()
  if (!existsSync('/usr/bin/apt-get')) {
    fail(`missing: ${wanted}. There is no apt-get here: install what this system calls these packages.`)
  }
  if (!run) fail(`missing: ${wanted}. Neither root nor sudo is here; as root: apt-get install ${packages.join(' ')}`)
  console.log(`setup: installing with apt-get, which may take a minute: ${wanted}`)
  const known = packages.every(packaged)
  if (!known) update(run)
  if (!install(run, packages) && (!known || !retry(run, packages)))
    fail(`apt-get could not install ${packages.join(' ')}`)
  // Some packages are known only by the new list
  const later = missing(purpose)
    .flatMap(group => group.packages)
    .filter(name => !packages.includes(name))
  if (later.length > 0) install(run, later)
  const left = missing(purpose).flatMap(group => group.packages)
  if (left.length > 0)
    fail(
      `apt-get installed ${[...packages, ...later].join(' ')}, yet what ${left.join(', ')} should bring is not found`,
    )
}

/** The list of packages was there but old: fetch it and try once more. */
function retry(run, packages) {
  update(run)
  return install(run, packages)
}

/** How to run a command as root here, or undefined. */
function privileges() {
  if (process.getuid?.() === 0) return (name, args) => quiet(name, args)
  if (spawnSync('sudo', ['--version']).status === 0) return (name, args) => quiet('sudo', [name, ...args])
  return undefined
}

function update(run) {
  run('apt-get', ['update', '-qq'])
}

/** Whether it went well. A package that brings a service (docker.io) must not start it: a policy for this call says so. */
function install(run, packages) {
  const script = `
    policy=/usr/sbin/policy-rc.d
    restore() { rm -f "$policy"; if [ -e "$policy.stowage" ]; then mv "$policy.stowage" "$policy"; fi; }
    trap restore EXIT
    trap 'exit 130' INT TERM
    if [ -e "$policy" ]; then mv "$policy" "$policy.stowage"; fi
    printf '#!/bin/sh\\nexit 101\\n' > "$policy"
    chmod 755 "$policy"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"`
  return run('sh', ['-c', script, 'sh', ...packages])
}

/** npm's own scripts stay off: the one that matters, the addon's build, comes next and needs no network. */
function installModules() {
  const lock = join(ROOT, 'package-lock.json')
  const installed = join(ROOT, 'node_modules', '.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return
  console.log('setup: npm ci, which may take a minute')
  const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  const { status } = spawnSync('npm', args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0) fail('npm ci failed; what it said is above.')
}

/** Runs a command and shows what it printed only when it fails. */
function quiet(name, args) {
  const stdio = ['inherit', 'pipe', 'pipe'] // sudo may ask for a password
  const { status, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8', stdio, maxBuffer: 1 << 28 })
  if (status !== 0) console.error(`${stdout}${stderr}`)
  return status === 0
}

if (process.argv[1] === import.meta.filename) setup(process.argv[2] ?? 'build')
