/** Bundles, layouts and registries on Windows, run by Wine, under the names that only Windows has. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage, windowsImage, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'
import { onDrive, openWindows, windowsPath } from '../support/wine.js'

const windows = openWindows(t)
const layout = join(scratch(t), 'layout')
const image = await windowsImage()
const large = await layeredImage(2, { size: 9_000_000 })
await writeLayout(layout, { 'shop:1': image, 'app:2': large })
const SHOP = `oci:${windowsPath(layout)}:shop:1`
const digestIn = (directory: string): unknown =>
  (JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as { manifests: { digest: string }[] }).manifests[0]
    ?.digest

t.test('a directory and a tar that Windows packs are those that this machine packs', async t => {
  const { here, there } = onDrive(windows, 'packed')
  const work = scratch(t)
  const env = { SOURCE_DATE_EPOCH: '1700000000' }
  for (const output of ['bundle', 'bundle.tar']) {
    const made = await windows.stowage(['pack', SHOP, '-o', `${there}\\${output}`, '--verify'], { env })
    t.equal(made.code, 0, made.stderr)
    t.equal((await stowage(['pack', `oci:${layout}:shop:1`, '-o', join(work, output)], { env })).code, 0)
    t.match(await windows.stowage(['verify', `${there}\\${output}`]), { code: 0 }, output)
    t.match(await stowage(['verify', join(here, output)]), { code: 0 }, `${output}, here`)
  }
  t.ok(readFileSync(join(here, 'bundle.tar')).equals(readFileSync(join(work, 'bundle.tar'))), 'the same tar')
  t.same(
    readdirSync(join(here, 'bundle'), { recursive: true }).sort(),
    readdirSync(join(work, 'bundle'), { recursive: true }).sort(),
  )
})

t.test('a bundle is loaded to a layout once, and found to be there after that', async t => {
  const { here, there } = onDrive(windows, 'loaded')
  t.equal((await windows.stowage(['pack', SHOP, '-o', `${there}\\bundle`])).code, 0)
  const words = ['load', `${there}\\bundle`, '--to', `oci:${there}\\store`]
  t.match(await windows.stowage(words), { code: 0 })
  t.match(await windows.stowage(words), { code: 0, stdout: /already|was there|were there|there/ })
  t.equal(digestIn(join(here, 'store')), image.root.digest)
})

t.test('damage is found, with the exit code of damage', async t => {
  const { here, there } = onDrive(windows, 'damaged')
  t.equal((await windows.stowage(['pack', SHOP, '-o', `${there}\\bundle`])).code, 0)
  const blobs = join(here, 'bundle', 'blobs', 'sha256')
  const [name = ''] = readdirSync(blobs)
  writeFileSync(join(blobs, name), 'damage')
  const own = await stowage(['verify', join(here, 'bundle')])
  const there2 = await windows.stowage(['verify', `${there}\\bundle`])
  t.not(own.code, 0)
  t.equal(there2.code, own.code, there2.stderr)
})

t.test('paths longer than 260 characters, reserved names, drives without a directory and shares are paths', async t => {
  const { here, there } = onDrive(windows, 'paths')
  const wim = join(here, 'sample.wim')
  writeFileSync(wim, readFileSync(join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')))
  const share = join(windows.servers, 'depot', 'images')
  mkdirSync(share, { recursive: true })
  const long = Array.from({ length: 6 }, (_, n) => `${n}-${'long'.repeat(14)}`).join('\\')
  mkdirSync(join(here, ...long.split('\\')), { recursive: true })
  for (const place of [
    `${there}\\${long}\\`,
    `${there}\\aux.`,
    `${there}\\con.txt `,
    '\\\\depot\\images\\',
    '\\\\?\\C:\\paths\\plain',
  ]) {
    const at = (name: string): string => `${place}${name}`
    const packed = await windows.stowage(['pack', SHOP, '-o', at('bundle')])
    t.equal(packed.code, 0, packed.stderr)
    t.match(await windows.stowage(['verify', at('bundle')]), { code: 0 }, place)
    const layer = await windows.stowage(['layer', 'from-wim', `${there}\\sample.wim`, '-o', at('layer.tar.gz')])
    t.equal(layer.code, 0, layer.stderr)
    t.match(await windows.stowage(['layer', 'inspect', at('layer.tar.gz')]), { code: 0 }, place)
  }
  t.ok(readdirSync(share).includes('layer.tar.gz'), 'on the share')
  const relative = await windows.stowage(['verify', 'paths\\..\\PATHS/aux.bundle'], { cwd: windows.drive })
  t.equal(relative.code, 0, relative.stderr)
  t.match(await windows.stowage(['verify', 'C:aux.bundle'], { cwd: here }), { code: 0 })
  t.match(await windows.stowage(['wim', 'info', 'C:sample.wim'], { cwd: here }), { code: 0 })
})

t.test('lists with Windows line ends are read', async t => {
  const { here, there } = onDrive(windows, 'lists')
  writeFileSync(join(here, 'note.txt'), 'for the operator\r\n')
  const lines = ['version: 1', 'images:', `  - '${SHOP}'`, 'files:', '  - from: note.txt', '']
  writeFileSync(join(here, 'images.yaml'), lines.join('\r\n'))
  const packed = await windows.stowage(['pack', '--file', 'images.yaml', '-o', 'bundle'], { cwd: here })
  t.equal(packed.code, 0, packed.stderr)
  writeFileSync(join(here, 'paths.txt'), ['/License.txt', '/Windows/win.ini', ''].join('\r\n'))
  writeFileSync(
    join(here, 'sample.wim'),
    readFileSync(join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')),
  )
  const extracted = await windows.stowage(
    ['wim', 'extract', 'sample.wim', '1', '@paths.txt', '--dest-dir', `${there}\\out`],
    { cwd: here },
  )
  t.equal(extracted.code, 0, extracted.stderr)
  t.same(readdirSync(join(here, 'out'), { recursive: true }).sort(), ['License.txt', 'Windows', 'Windows/win.ini'])
})

t.test('images go to a registry and come back, by what Windows has in place of native transfers', async t => {
  const registry = await startRegistry(t)
  const { here, there } = onDrive(windows, 'registry')
  // Wine refuses it for a socket that is not connected yet
  writeFileSync(join(here, 'wine.cjs'), "require('net').Socket.prototype.setKeepAlive = function () { return this }\n")
  const online = async (...words: readonly string[]) =>
    await windows.node(['--require', `${there}\\wine.cjs`, windows.command, ...words, '--insecure', registry.domain])
  const name = `docker://${registry.domain}/app:2`
  const copied = await online('copy', `oci:${windowsPath(layout)}:app:2`, name)
  t.equal(copied.code, 0, copied.stderr)
  for (const digest of large.blobs.digests())
    t.ok(readFileSync(registry.blobFile(digest)).equals(Buffer.from(large.blobs.get(digest))), digest)
  const packed = await online('pack', name, '-o', `${there}\\bundle`)
  t.equal(packed.code, 0, packed.stderr)
  t.equal(digestIn(join(here, 'bundle')), large.root.digest)
  t.match(await stowage(['verify', join(here, 'bundle')]), { code: 0 })
})

t.test('a bundle that Windows serves is pulled from this machine', async t => {
  const { there } = onDrive(windows, 'served')
  t.equal((await windows.stowage(['pack', SHOP, '-o', `${there}\\bundle.tar`])).code, 0)
  const server = windows.start([windows.command, 'serve', `${there}\\bundle.tar`, '--listen', '127.0.0.1:0'])
  const [, domain = ''] = await server.said(/(127\.0\.0\.1:\d+)/)
  const work = scratch(t)
  const pulled = await stowage([
    'pack',
    `docker://${domain}/library/shop:1`,
    '-o',
    join(work, 'bundle'),
    '--insecure',
    domain,
  ])
  t.equal(pulled.code, 0, pulled.stderr)
  t.equal(digestIn(join(work, 'bundle')), image.root.digest)
})
