/** docs/stick.md on file systems of sticks: exFAT through FUSE, FAT32 by mtools, and one that is mounted noexec. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runnableImage, writeLayout } from '../support/images.js'
import { plugInStick } from '../support/medium.js'
import { scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')
const SAMPLE = join(ROOT, 'fixtures/nanoserver-sample.wim')
const STICK_SIZE = 256 << 20

interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The Stowage in `directory`, on a host with Node.js, without a network and without any package of npm. */
function carried(directory: string, words: readonly string[], cwd: string): Ended {
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: cwd,
    STOWAGE_STORE: join(cwd, 'store'),
    NODE: process.execPath,
  }
  const command = ['--net', 'sh', join(directory, 'stowage/stowage'), ...words]
  const { status, stdout, stderr } = spawnSync('unshare', command, { cwd, env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

/** `npm run stick` in `directory`. */
function runStick(directory: string, stick: string): string {
  return execFileSync('npm', ['run', '--silent', 'stick', '--', stick], { cwd: directory, encoding: 'utf8' })
}

/** Packs a bundle onto the stick, in the office, with the Stowage that is on it. */
async function packThere(t: Test, directory: string): Promise<string> {
  const office = scratch(t)
  await writeLayout(join(office, 'images'), { 'plant/pump:1.0': await runnableImage() })
  const bundle = join(directory, 'site-a')
  const { status, stderr } = carried(directory, ['pack', 'oci:images:plant/pump:1.0', '-o', bundle], office)
  t.equal(status, 0, stderr)
  return bundle
}

/** Verifies and loads the bundle, and reads a WIM, all with the Stowage in `directory`. */
function tryThere(t: Test, directory: string, bundle: string): void {
  const home = scratch(t)
  t.match(carried(directory, ['verify', bundle], home), { status: 0, stdout: /site-a: OK \(9 files/ })
  t.match(carried(directory, ['load', bundle, '--to', 'oci:'], home), {
    status: 0,
    stdout: /plant\/pump:1\.0 .* loaded/,
  })
  t.match(carried(directory, ['images'], home), { status: 0, stdout: /plant\/pump +1\.0/ })
  t.match(carried(directory, ['wim', 'info', SAMPLE], home), { status: 0, stdout: /Name:\s+NanoServer/ })
}

t.test('npm run stick carries a checkout on exFAT, and renews it there', { timeout: 400_000 }, async t => {
  const { directory, carry } = await plugInStick(t, STICK_SIZE)
  for (const _ of [1, 2]) t.match(runStick(ROOT, directory), `Stowage 0.1.0 is in ${join(directory, 'stowage')}: `)
  const bundle = await packThere(t, directory)
  t.same(readdirSync(directory).sort(), ['site-a', 'stowage'])
  carry()
  tryThere(t, directory, bundle)
})

t.test('npm explore stowage -- npm run stick carries an installed package', { timeout: 400_000 }, async t => {
  const host = scratch(t)
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', host, ROOT]
  const packed = execFileSync('npm', pack, { encoding: 'utf8' }).trim()
  const install = ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--silent']
  execFileSync('npm', [...install, join(host, packed)], { cwd: host, stdio: 'pipe' })
  const compiled = join(host, 'node_modules/stowage/build/Release')
  mkdirSync(compiled, { recursive: true })
  cpSync(join(ROOT, 'build/Release/stowage.node'), join(compiled, 'stowage.node')) // as `npm install` would leave it
  const { directory, carry } = await plugInStick(t, STICK_SIZE)
  execFileSync('npm', ['explore', 'stowage', '--', 'npm', 'run', 'stick', '--', directory], {
    cwd: host,
    stdio: 'pipe',
  })
  const bundle = await packThere(t, directory)
  carry()
  tryThere(t, directory, bundle)
})

t.test('FAT32 holds every file of the stick under its name', { timeout: 400_000 }, async t => {
  const root = scratch(t)
  for (const name of ['stick', 'back']) mkdirSync(join(root, name))
  runStick(ROOT, join(root, 'stick'))
  const image = join(root, 'image')
  writeFileSync(image, '')
  truncateSync(image, STICK_SIZE)
  execFileSync('mkfs.vfat', ['-F', '32', image], { stdio: 'pipe' })
  execFileSync('mcopy', ['-s', '-i', image, join(root, 'stick/stowage'), '::/'], { stdio: 'pipe' })
  execFileSync('mcopy', ['-s', '-i', image, '::/stowage', join(root, 'back')], { stdio: 'pipe' })
  execFileSync('diff', ['-r', join(root, 'stick'), join(root, 'back')])
  rmSync(join(root, 'stick'), { recursive: true })
  const bundle = await packThere(t, join(root, 'back'))
  tryThere(t, join(root, 'back'), bundle)
})

t.test(
  'a stick mounted noexec verifies and loads, and says why WIM files do not work',
  { timeout: 400_000 },
  async t => {
    const { directory } = await plugInStick(t, STICK_SIZE)
    runStick(ROOT, directory)
    execFileSync('mount', ['-o', 'remount,noexec', directory])
    const bundle = await packThere(t, directory)
    const home = scratch(t)
    t.match(carried(directory, ['verify', bundle], home), { status: 0 })
    t.match(carried(directory, ['load', bundle, '--to', 'oci:'], home), { status: 0 })
    t.match(carried(directory, ['wim', 'info', SAMPLE], home), {
      status: 1,
      stderr: /hint: Stowage is on a file system that is mounted noexec, such as a stick: copy its directory to a disk/,
    })
  },
)
