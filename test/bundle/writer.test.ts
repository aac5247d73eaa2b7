import { execFileSync } from 'node:child_process'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Bytes } from '../../src/blob/blob-store.js'
import { readImage } from '../../src/blob/closure.js'
import { openBundleWriter } from '../../src/bundle/writer.js'
import { StowageError, systemCode } from '../../src/errors.js'
import { describe, type Descriptor } from '../../src/oci/descriptor.js'
import { digestOf, hexOf } from '../../src/oci/digest.js'
import { blobPath } from '../../src/oci/layout.js'
import { parseReference } from '../../src/oci/reference.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { readTree, sumsAgree, writeBundle } from '../support/bundles.js'
import {
  flipped,
  layeredImage,
  makeImage,
  makeLayer,
  multiPlatformImage,
  noise,
  type TestImage,
  windowsImage,
} from '../support/images.js'

async function threeImages(): Promise<Record<string, TestImage>> {
  return {
    'shop:2.3': await layeredImage(2),
    'team/multi:2.3': await multiPlatformImage(),
    'win:ltsc': await windowsImage(),
  }
}

function output(command: string, ...args: string[]): string {
  return execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TZ: 'UTC' },
  })
}

t.test('openBundleWriter() writes a directory that coreutils and skopeo accept', async t => {
  const bundle = join(t.testdir(), 'site')
  const images = await threeImages()
  const manifest = await writeBundle(bundle, images)
  t.ok(sumsAgree(bundle))
  const listed = (await readFile(join(bundle, 'SHA256SUMS'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map(line => line.slice(66))
  t.same(
    listed,
    [...(await readTree(bundle)).keys()].filter(path => path !== 'SHA256SUMS'),
    'every file but itself, sorted',
  )
  t.same(
    manifest.images.map(image => image.names),
    [['docker.io/library/shop:2.3'], ['docker.io/library/win:ltsc'], ['docker.io/team/multi:2.3']],
  )
  for (const [name, ref] of [
    ['shop:2.3', 'docker.io/library/shop:2.3'],
    ['win:ltsc', 'ltsc'],
  ] as const) {
    const raw = output('skopeo', 'inspect', '--raw', `oci:${bundle}:${ref}`)
    t.equal(digestOf(Buffer.from(raw)), images[name]?.root.digest, name)
  }
})

t.test('openBundleWriter() writes a tar with its heads first, that skopeo reads both ways', async t => {
  const bundle = join(t.testdir(), 'site.tar')
  const images = await threeImages()
  await writeBundle(bundle, images)
  const members = output('tar', 'tf', bundle).trimEnd().split('\n')
  t.same(members.slice(0, 6), ['oci-layout', 'index.json', 'manifest.json', 'blobs/', 'blobs/sha256/', 'README.txt'])
  t.same(members.slice(-2), ['bundle.json', 'SHA256SUMS'])
  t.match(
    output('tar', 'tvf', bundle, '--numeric-owner').split('\n')[0],
    /^-rw-r--r-- 0\/0 +30 1970-01-01 00:00 oci-layout$/,
  )
  const raw = output('skopeo', 'inspect', '--raw', `oci-archive:${bundle}:docker.io/team/multi:2.3`)
  t.equal(digestOf(Buffer.from(raw)), images['team/multi:2.3']?.root.digest)
  const config = output('skopeo', 'inspect', '--config', '--raw', `docker-archive:${bundle}:docker.io/library/shop:2.3`)
  t.equal(digestOf(Buffer.from(config)), images['shop:2.3']?.config.digest)
  const windows = JSON.parse(
    output('skopeo', 'inspect', '--override-os', 'windows', `docker-archive:${bundle}:docker.io/library/win:ltsc`),
  )
  t.match(windows, { Os: 'windows', Architecture: 'amd64' })
})

t.test('openBundleWriter() puts the same files into a tar as into a directory', async t => {
  const root = t.testdir({ out: {} })
  await writeBundle(join(root, 'site'), await threeImages())
  await writeBundle(join(root, 'site.tar'), await threeImages())
  output('tar', '-C', join(root, 'out'), '-xf', join(root, 'site.tar'))
  t.same(await readTree(join(root, 'out')), await readTree(join(root, 'site')))
  t.ok(sumsAgree(join(root, 'out')))
})

t.test('openBundleWriter() names images for containerd, docker and skopeo', async t => {
  const bundle = join(t.testdir(), 'site')
  const images = await threeImages()
  await writeBundle(bundle, images)
  const index = JSON.parse(await readFile(join(bundle, 'index.json'), 'utf8'))
  t.same(
    index.manifests.map((entry: { annotations: object }) => Object.values(entry.annotations)),
    [
      ['docker.io/library/shop:2.3', 'docker.io/library/shop:2.3'],
      ['docker.io/library/win:ltsc', 'ltsc'],
      ['docker.io/team/multi:2.3', 'docker.io/team/multi:2.3'],
    ],
    'the tag alone only where it is the only one of its kind',
  )
  const docker = JSON.parse(await readFile(join(bundle, 'manifest.json'), 'utf8'))
  t.same(
    docker.map((entry: { RepoTags: string[] }) => entry.RepoTags[0]),
    ['docker.io/library/shop:2.3', 'docker.io/team/multi:2.3', 'docker.io/library/win:ltsc'],
  )
  t.same(docker[1].Config, blobPath(images['team/multi:2.3']!.config.digest), 'linux/amd64 of several platforms')
})

t.test('openBundleWriter() leaves attestations out of manifest.json and keeps them in the bundle', async t => {
  const bundle = join(t.testdir(), 'site')
  const image = await multiPlatformImage([
    { os: 'linux', architecture: 'arm64' },
    { os: 'unknown', architecture: 'unknown' },
  ])
  await writeBundle(bundle, { 'shop:1': image })
  t.equal(JSON.parse(await readFile(join(bundle, 'manifest.json'), 'utf8')).length, 1)
  t.match(await verifyBundle(bundle), { ok: true })
  for (const digest of image.blobs.digests()) t.equal(digestOf(await readFile(join(bundle, blobPath(digest)))), digest)
})

t.test('openBundleWriter() gives the same bytes for the same images, wherever and whenever', async t => {
  const root = t.testdir()
  const before = process.umask(0o077)
  for (const name of ['a', 'a.tar']) await writeBundle(join(root, name), await threeImages())
  process.umask(0o002)
  process.env['TZ'] = 'Asia/Kolkata'
  for (const name of ['b', 'b.tar']) await writeBundle(join(root, name), await threeImages())
  process.umask(before)
  delete process.env['TZ']
  t.same(await readTree(join(root, 'a')), await readTree(join(root, 'b')))
  t.ok((await readFile(join(root, 'a.tar'))).equals(await readFile(join(root, 'b.tar'))))
})

t.test('openBundleWriter() takes all times from the epoch', async t => {
  const bundle = join(t.testdir(), 'site.tar')
  t.equal((await writeBundle(bundle, await threeImages(), 1_700_000_000)).created, '2023-11-14T22:13:20.000Z')
  t.notOk(/1970/.test(output('tar', 'tvf', bundle)))
})

t.test('BundleWriter.create() writes a layer that is born here once, straight to its place', async t => {
  for (const name of ['site', 'site.tar']) {
    const bundle = join(t.testdir(), name)
    const layer = await makeLayer({ big: noise(300_000, 'born') })
    const { blobs, root } = makeImage([layer])
    await using writer = await openBundleWriter(bundle)
    await writer.plan([], { pendingImages: 1 })
    const made = await writer.create(async ({ path, offset }) => {
      const file = await open(path, 'r+')
      await file.write(layer.blob, 0, layer.blob.length, offset)
      await file.close()
      return { digest: layer.descriptor.digest, size: layer.blob.length, more: 'kept' }
    })
    t.equal(made.more, 'kept')
    blobs.delete(layer.descriptor.digest) // it is nowhere else
    await writer.write(await readImage(blobs, root), blobs, [parseReference('born:1')])
    await writer.seal()
    const report = await verifyBundle(bundle)
    t.same(report.findings, [], name)
    if (name.endsWith('.tar')) {
      t.match(JSON.parse(output('skopeo', 'inspect', `oci-archive:${bundle}:1`)), { Layers: [layer.descriptor.digest] })
      t.match(output('tar', 'tvf', bundle), /index\.json/)
    } else {
      t.ok(sumsAgree(bundle))
    }
  }
})

t.test('BundleWriter.write() stores an image given twice once, and shared layers once', async t => {
  const bundle = join(t.testdir(), 'site.tar')
  const [two, three] = [await layeredImage(2), await layeredImage(3)]
  await using writer = await openBundleWriter(bundle)
  for (const [image, name] of [
    [two, 'a:1'],
    [two, 'b:1'],
    [three, 'c:1'],
  ] as const) {
    await writer.write(await readImage(image.blobs, image.root), image.blobs, [parseReference(name)])
  }
  const { images, files } = await writer.seal()
  t.same(
    images.map(({ names }) => names.length),
    [2, 1],
  )
  const blobs = new Set([...two.blobs.digests(), ...three.blobs.digests()])
  t.equal(files.filter(({ path }) => path.startsWith('blobs/')).length, blobs.size)
})

t.test('BundleWriter.write() and plan() refuse one name for two images', async t => {
  const [two, three] = [await layeredImage(2), await layeredImage(3)]
  const named = await Promise.all(
    [two, three].map(async ({ blobs, root }) => ({
      image: await readImage(blobs, root),
      names: [parseReference('a:1')],
    })),
  )
  const bundle = join(t.testdir(), 'site')
  await using writer = await openBundleWriter(bundle)
  await t.rejects(writer.plan(named), { code: 'INVALID_ARGUMENT', message: /a:1/ })
  await writer.write(named[0]!.image, two.blobs, named[0]!.names)
  await t.rejects(writer.write(named[1]!.image, three.blobs, named[1]!.names), { code: 'INVALID_ARGUMENT' })
})

t.test('BundleWriter removes all it made when it is disposed unsealed', async t => {
  for (const name of ['site', 'site.tar']) {
    const root = t.testdir()
    const image = await layeredImage(2)
    const layer = image.layers[1]!.digest
    image.blobs.set(layer, flipped(image.blobs.get(layer)))
    await t.rejects(writeBundle(join(root, name), { 'a:1': image }), { code: 'DIGEST_MISMATCH' })
    t.same(await readdir(root), [], name)
  }
})

t.test('BundleWriter leaves the directory itself when it was there before', async t => {
  const root = t.testdir({ stick: { 'lost+found': {} } })
  const image = await layeredImage(1)
  image.blobs.delete(image.layers[0]!.digest)
  await t.rejects(writeBundle(join(root, 'stick'), { 'a:1': image }), { code: 'BLOB_MISSING' })
  t.same(await readdir(join(root, 'stick')), ['lost+found'])
  await writeBundle(join(root, 'stick'), { 'a:1': await layeredImage(1) })
  t.match(
    await verifyBundle(join(root, 'stick')),
    { ok: true },
    'what the file system keeps there is no part of the bundle',
  )
})

t.test('openBundleWriter() never overwrites', async t => {
  const root = t.testdir({
    full: { 'photo.jpg': 'x' },
    file: 'x',
    'x.tar': 'x',
    marked: { INCOMPLETE: '', 'photo.jpg': 'x' },
  })
  for (const name of ['full', 'file', 'x.tar', 'marked']) {
    await t.rejects(openBundleWriter(join(root, name)), { code: 'OUTPUT_EXISTS', hint: /.+/ }, name)
  }
  await t.rejects(openBundleWriter(join(root, 'no/where')), { code: 'FILE_NOT_FOUND', hint: /.+/ })
  await t.rejects(openBundleWriter(join(root, 'no/where.tar')), { code: 'FILE_NOT_FOUND' })
  t.same(
    [...(await readTree(root)).keys()],
    ['file', 'full/photo.jpg', 'marked/INCOMPLETE', 'marked/photo.jpg', 'x.tar'],
  )
})

t.test('BundleWriter does not replace a tar that appeared meanwhile', async t => {
  const bundle = join(t.testdir(), 'x.tar')
  const { blobs, root } = await layeredImage(1)
  await using writer = await openBundleWriter(bundle)
  await writer.write(await readImage(blobs, root), blobs, [parseReference('a:1')])
  await writeFile(bundle, 'of another')
  await t.rejects(writer.seal(), { code: 'OUTPUT_EXISTS' })
  t.equal(await readFile(bundle, 'utf8'), 'of another')
})

t.test('BundleWriter leaves a directory to the command that took it over', async t => {
  for (const made of [true, false]) {
    const bundle = join(t.testdir(made ? {} : { site: {} }), 'site')
    const { blobs, root } = await layeredImage(2)
    const content = await readImage(blobs, root)
    {
      await using first = await openBundleWriter(bundle)
      await first.write(content, blobs, [parseReference('a:1')])
      await using second = await openBundleWriter(bundle)
      await t.rejects(first.seal(), { code: 'OUTPUT_EXISTS', message: /taken over/, hint: /.+/ })
      await first[Symbol.asyncDispose]()
      const { skipped } = await second.write(content, blobs, [parseReference('a:1')])
      t.ok(skipped > 0, 'what the first had finished is still there')
      await second.seal()
    }
    t.same((await verifyBundle(bundle)).findings, [])
  }
})

t.test('BundleWriter says that the directory is gone, which nobody took over', async t => {
  const bundle = join(t.testdir(), 'site')
  const { blobs, root } = await layeredImage(2)
  const content = await readImage(blobs, root)
  await using writer = await openBundleWriter(bundle)
  await writer.write(content, blobs, [parseReference('a:1')])
  await rename(bundle, `${bundle}-unplugged`)
  const gone = { code: 'MEDIUM_FAILED', message: /site is gone: its medium was removed/, hint: /same command/ }
  await t.rejects(writer.seal(), gone)
  await mkdir(bundle) // the mount point of a stick
  await t.rejects(writer.seal(), gone)
})

t.test('BundleWriter.write() says so when another command takes the directory over, and gives it nothing', async t => {
  const bundle = join(t.testdir(), 'site')
  const { blobs, root } = await layeredImage(2)
  await using first = await openBundleWriter(bundle)
  let taken: Promise<void> | undefined
  const fetched: string[] = []
  const taking = {
    has: async () => true,
    async *fetch(blob: { digest: typeof root.digest }): Bytes {
      fetched.push(hexOf(blob.digest))
      yield blobs.get(blob.digest).subarray(0, 1)
      await (taken ??= (async () =>
        await (await openBundleWriter(bundle, { signal: AbortSignal.abort() }))[Symbol.asyncDispose]())())
      yield blobs.get(blob.digest).subarray(1)
    },
  }
  const written = first.write(await readImage(blobs, root), taking, [parseReference('a:1')])
  await t.rejects(written, { code: 'OUTPUT_EXISTS', message: /taken over/ })
  // The other command may have been too early for there to be a directory yet
  const names = await readdir(join(bundle, 'blobs/sha256')).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  })
  t.ok(fetched.length > 0)
  t.same(
    names.filter(name => fetched.includes(name)),
    [],
  )
})

t.test('what several commands that begin one bundle at once leave is whole or says that it is not', async t => {
  const bundle = join(t.testdir(), 'site')
  const { blobs, root } = await layeredImage(2)
  const content = await readImage(blobs, root)
  const write = async (): Promise<void> => {
    await using writer = await openBundleWriter(bundle)
    await writer.write(content, blobs, [parseReference('a:1')])
    await writer.seal()
  }
  const runs = await Promise.allSettled(Array.from({ length: 8 }, write))
  for (const run of runs)
    if (run.status === 'rejected') t.match(run.reason, { code: /^(?:OUTPUT_EXISTS|FILE_NOT_FOUND|BLOB_MISSING)$/ })
  const findings = await verifyBundle(bundle).then(
    ({ findings: found }) => found.map(({ code }): string => code),
    () => ['nothing'],
  )
  t.ok(findings.length === 0 || findings.includes('INCOMPLETE') || findings.includes('nothing'), findings.join())
  await write()
  t.same((await verifyBundle(bundle)).findings, [])
})

t.test('BundleWriter.seal() misses what was taken away beneath it', async t => {
  const bundle = join(t.testdir(), 'site')
  const { blobs, root } = await layeredImage(2)
  await using writer = await openBundleWriter(bundle)
  const content = await readImage(blobs, root)
  await writer.write(content, blobs, [parseReference('a:1')])
  await rm(join(bundle, blobPath(content.layers[0]!.digest)))
  await t.rejects(writer.seal(), { code: 'BLOB_MISSING', message: new RegExp(hexOf(content.layers[0]!.digest)) })
  t.ok((await readdir(bundle)).includes('INCOMPLETE'))
})

t.test('BundleWriter keeps finished blobs of a directory after an abort, and the next run goes on', async t => {
  const root = t.testdir()
  const bundle = join(root, 'site')
  const image = await layeredImage(3)
  const content = await readImage(image.blobs, image.root)
  const controller = new AbortController()
  const fetched: Descriptor[] = []
  const stopping = {
    has: async () => true,
    async *fetch(blob: Descriptor): Bytes {
      if (fetched.push(blob) === 2) controller.abort()
      yield image.blobs.get(blob.digest)
    },
  }
  {
    await using writer = await openBundleWriter(bundle, { signal: controller.signal })
    await t.rejects(writer.write(content, stopping, [parseReference('a:1')], { jobs: 1 }))
  }
  const [first, second] = fetched
  t.ok((await readdir(bundle)).includes('INCOMPLETE'))
  t.same(
    (await verifyBundle(bundle)).findings.map(({ code }) => code),
    ['INCOMPLETE'],
  )
  const kept = await stat(join(bundle, blobPath(first!.digest)))
  await writeFile(join(bundle, blobPath(second!.digest)), 'a wrong blob under a right name')
  await writeFile(join(bundle, 'blobs/sha256/stray.partial'), 'x')
  const { skipped } = await (async () => {
    await using writer = await openBundleWriter(bundle)
    const written = await writer.write(content, image.blobs, [parseReference('a:1')])
    await writer.seal()
    return written
  })()
  t.ok(skipped >= first!.size, 'what was whole is not written again')
  t.equal((await stat(join(bundle, blobPath(first!.digest)))).ino, kept.ino)
  t.same((await verifyBundle(bundle)).findings, [])
  await writeBundle(join(root, 'fresh'), { 'a:1': image })
  t.same(await readTree(bundle), await readTree(join(root, 'fresh')), 'and the result is the same as in one run')
})

t.test('BundleWriter takes a directory over that was left at any point, deleting strays', async t => {
  const bundle = join(t.testdir({ site: {} }), 'site')
  await mkdir(join(bundle, 'blobs/sha512'), { recursive: true })
  for (const file of ['INCOMPLETE', 'index.json', 'SHA256SUMS.partial', `blobs/sha512/${'0'.repeat(128)}`]) {
    await writeFile(join(bundle, file), 'left')
  }
  await writeBundle(bundle, { 'a:1': await layeredImage(1) })
  t.same((await verifyBundle(bundle)).findings, [])
})

t.test('a tar that is not sealed reads as nothing', async t => {
  const root = t.testdir()
  const { blobs, root: descriptor } = await layeredImage(2)
  await using writer = await openBundleWriter(join(root, 'x.tar'))
  await writer.write(await readImage(blobs, descriptor), blobs, [parseReference('a:1')])
  t.same(await readdir(root), ['x.tar.partial'])
  t.ok((await stat(join(root, 'x.tar.partial'))).size > 400_000)
  t.equal(output('tar', 'tf', join(root, 'x.tar.partial')), '')
  t.throws(() => output('skopeo', 'inspect', `oci-archive:${join(root, 'x.tar.partial')}`))
})

t.test('BundleWriter refuses to write after its end', async t => {
  const { blobs, root } = await layeredImage(1)
  const writer = await openBundleWriter(join(t.testdir(), 'site'))
  const content = await readImage(blobs, root)
  await t.rejects(writer.seal(), StowageError, 'nothing to seal')
  await writer.write(content, blobs, [])
  await writer.seal()
  await writer[Symbol.asyncDispose]()
  await t.rejects(writer.write(content, blobs, []), { code: 'INVALID_ARGUMENT' })
})

t.test('BundleWriter.spool() keeps what the bundle needs, and nothing else of it stays', async t => {
  for (const name of ['site', 'site.tar']) {
    const root = t.testdir()
    const { blobs, root: descriptor } = await layeredImage(1)
    await using writer = await openBundleWriter(join(root, name))
    const spool = await writer.spool()
    const content = await readImage(blobs, descriptor)
    for (const layer of content.layers) await spool.put(layer, () => blobs.fetch(layer))
    const stray = new TextEncoder().encode('a file of the export that is not part of the image')
    await spool.put(describe('text/plain', stray), async function* () {
      yield stray
    })
    const written = await writer.write(content, blobs, [parseReference('a:1')])
    t.equal(written.skipped > 0, name === 'site', 'in a directory what was spooled is in its place')
    await writer.seal()
    t.same(await readdir(root), [name])
    t.same((await verifyBundle(join(root, name))).findings, [])
  }
})
