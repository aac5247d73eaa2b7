import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readImage } from '../../../src/blob/closure.js'
import { BlobDirectory } from '../../../src/blob/directory.js'
import { readVerified } from '../../../src/blob/verified.js'
import { formatReference, parseReference } from '../../../src/oci/reference.js'
import { type DirectorySourceOptions, openDirectorySource } from '../../../src/transport/directory/source.js'
import { hostPlatform, layeredImage, writeLayout } from '../../support/images.js'

/** A directory beside that of `t`, and with a shorter name. */
function temporary(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'stowage-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}

/** The one image of `path`, its layer on a stage of its own. */
async function read(t: Test, path: string, options: Partial<DirectorySourceOptions> = {}) {
  const stage = new BlobDirectory(temporary(t))
  await using source = await openDirectorySource(path, { stage, epoch: 0, ...options })
  const [image, ...others] = await source.images()
  t.equal(others.length, 0)
  const content = await readImage(source, image!.root)
  const [layer] = content.layers
  return { image: image!, content, tar: Buffer.from(await readVerified(layer!, stage.fetch(layer!), layer!.size)) }
}

/** A tree below the directory of another test, which keeps it. */
function tree(root: string, name: string): string {
  const path = join(root, name)
  mkdirSync(join(path, 'etc'), { recursive: true })
  writeFileSync(join(path, 'etc', 'motd'), 'hello')
  writeFileSync(join(path, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 })
  symlinkSync('etc/motd', join(path, 'motd'))
  return path
}

t.test('openDirectorySource() makes a tree one layer of a Linux image, the same wherever and whenever', async t => {
  const root = t.testdir()
  const [one, other] = [tree(root, 'My App'), tree(root, 'elsewhere')]
  utimesSync(join(other, 'run.sh'), 2_000_000_000, 2_000_000_000)
  const { image, content, tar } = await read(t, one)
  t.same(image.names.map(formatReference), ['docker.io/library/my-app:latest'])
  t.same(content.platforms[0]?.config.platform, hostPlatform())
  const names = execFileSync('tar', ['-tzf', '-'], { input: tar, encoding: 'utf8' }).trim().split('\n')
  t.same(
    names
      .map(name => name.replace(/^\.\//, ''))
      .filter(name => name !== '')
      .sort(),
    ['etc/', 'etc/motd', 'motd', 'run.sh'],
  )
  t.match(JSON.parse(Buffer.from(content.configs[0]!.bytes).toString()), {
    created: '1970-01-01T00:00:00.000Z',
    os: 'linux',
    rootfs: { type: 'layers' },
  })
  t.equal((await read(t, other)).image.root.digest, image.root.digest)
  const { content: undated } = await read(t, one, { epoch: undefined })
  t.notOk('created' in JSON.parse(Buffer.from(undated.configs[0]!.bytes).toString()), 'no time where none was given')
})

t.test('openDirectorySource() takes a name, a platform and a compression', async t => {
  const path = tree(t.testdir(), 'tree')
  const { image, content } = await read(t, path, {
    name: parseReference('team/tree:1'),
    platforms: ['linux/arm/v7'],
    compression: { type: 'zstd' },
  })
  t.same(image.names.map(formatReference), ['docker.io/team/tree:1'])
  t.same(content.platforms[0]?.config.platform, { os: 'linux', architecture: 'arm', variant: 'v7' })
  t.match(content.layers[0]?.mediaType, /zstd$/)
  await t.rejects(read(t, path, { platforms: ['windows/amd64'] }), { code: 'UNSUPPORTED', hint: /wim capture/ })
  await t.rejects(read(t, path, { platforms: ['linux/amd64', 'linux/arm64'] }), {
    code: 'INVALID_ARGUMENT',
    message: /one platform/,
  })
})

t.test('openDirectorySource() refuses what is not a tree', async t => {
  const root = t.testdir({
    file: 'x',
    ö: {},
    bundle: { 'bundle.json': '{}', 'oci-layout': '{}' },
    new: { version: 'Directory Transport Version: 2.0\n' },
    lacking: { version: 'Directory Transport Version: 1.1\n' },
  })
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(1) })
  const stage = new BlobDirectory(join(root, 'stage'))
  const open = async (name: string) => await openDirectorySource(join(root, name), { stage })
  await t.rejects(open('file'), { code: 'INVALID_ARGUMENT', hint: /docker-archive:/ })
  await t.rejects(open('nowhere'), { code: 'FILE_NOT_FOUND' })
  await t.rejects(open('layout'), { code: 'INVALID_ARGUMENT', hint: /oci:/ })
  await t.rejects(open('bundle'), { code: 'INVALID_ARGUMENT', hint: /bundle:/ })
  await t.rejects(open('new'), { code: 'UNSUPPORTED', message: /version 1/ })
  await t.rejects(open('lacking'), { code: 'FILE_NOT_FOUND', message: /manifest\.json/ })
  await t.rejects((await open('ö')).images(), { code: 'INVALID_REFERENCE', hint: /--tag/ })
  await t.rejects((await openDirectorySource(root, { stage })).images(), {
    code: 'INVALID_ARGUMENT',
    message: /part of itself/,
  })
})

t.test('openDirectorySource() names what a layer cannot hold, and leaves it out when it may', async t => {
  const path = tree(temporary(t), 'tree') // a socket's path is short
  const server = createServer().listen(join(path, 'socket'))
  t.teardown(() => server.close())
  await new Promise(resolve => server.once('listening', resolve))
  await t.rejects(read(t, path), { code: 'LAYER_UNSUPPORTED', message: /socket/ })
  const skipped: string[] = []
  await read(t, path, { skipUnsupported: true, onSkipped: paths => skipped.push(...paths) })
  t.match(skipped, [/socket/])
})

t.test("openDirectorySource() reads skopeo's directories of Docker's types too", async t => {
  const root = t.testdir()
  await writeLayout(join(root, 'layout'), { 'shop:1': await layeredImage(2) })
  execFileSync('skopeo', [
    'copy',
    '-q',
    '--format',
    'v2s2',
    `oci:${join(root, 'layout')}:1`,
    `dir:${join(root, 'dir')}`,
  ])
  await using source = await openDirectorySource(join(root, 'dir'), { stage: new BlobDirectory(root) })
  const [image] = await source.images()
  t.same(image?.names, [], 'which have no name')
  t.match(image?.root.mediaType, /docker.distribution.manifest.v2/)
  t.equal((await readImage(source, image!.root)).layers.length, 2)
})
