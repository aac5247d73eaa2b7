import { execFileSync, spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { BlobDirectory } from '../../src/blob/directory.js'
import { readVerified } from '../../src/blob/verified.js'
import { openEngineDestination } from '../../src/transport/engine/destination.js'
import type { WrittenImage } from '../../src/image/image-destination.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { hexOf } from '../../src/oci/digest.js'
import { parseReference } from '../../src/oci/reference.js'
import { openEngineSource } from '../../src/transport/engine/source.js'
import { loadBundle } from '../../src/verbs/load.js'
import { writeBundle } from '../support/bundles.js'
import { startDebianEngine } from '../support/debian-engine.js'
import {
  flipped,
  GREETING,
  layeredImage,
  makeImage,
  makeLayer,
  multiPlatformImage,
  runnableImage,
  type TestImage,
  windowsImage,
} from '../support/images.js'
import { scratch } from '../support/scratch.js'

const engine = await startDebianEngine('trixie', 'containerd')
t.teardown(() => engine.stop())
const destination = await openEngineDestination({ host: engine.host })
t.teardown(() => destination[Symbol.asyncDispose]())

async function write(image: TestImage, names: readonly string[], signal?: AbortSignal): Promise<WrittenImage> {
  const whole = await readImage(image.blobs, image.root)
  return await destination.write(whole, image.blobs, names.map(parseReference), { signal })
}

async function images(): Promise<readonly string[]> {
  const { stdout } = await engine.docker('images', '-a', '--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}')
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .sort()
}

/**
 * Blobs of `image` in containerd's content, and blobs half written, once it has collected its garbage: a moment after
 * what made it.
 */
async function remains(image: TestImage): Promise<readonly string[]> {
  const mine = image.blobs.digests().map(hexOf)
  for (let tries = 0; ; tries++) {
    const found = (await blobs()).filter(name => mine.includes(name) || !/^[0-9a-f]{64}$/.test(name))
    if (found.length === 0 || tries === 100) return found
    await sleep(100)
  }
}

async function blobs(): Promise<readonly string[]> {
  const content = join(engine.dataRoot, 'containerd', 'daemon', 'io.containerd.content.v1.content')
  const found = await Promise.all(['blobs/sha256', 'ingest'].map(name => readdir(join(content, name)).catch(() => [])))
  return found.flat().sort()
}

t.test("write() keeps the manifest's digest, and the image runs", async t => {
  const image = await runnableImage()
  const written = await write(image, ['lab/run:1'])
  t.equal(written.id, image.root.digest)
  t.same(await images(), [`lab/run:1 ${image.root.digest}`])
  t.equal((await engine.docker('run', '--rm', '--network', 'none', 'lab/run:1')).stdout, `${GREETING}\n`)
  t.equal((await write(image, ['lab/run:2'])).sent, 0)
})

t.test('a bundle from a pipe loads images that share layers, and is whole here', async t => {
  const root = scratch(t)
  // Too large for memory, so that what both need has to be stored
  const shared = { seed: 'piped', size: 9 << 20 }
  const of = { 'lab/piped:1': await layeredImage(2, shared), 'lab/piped:2': await layeredImage(3, shared) }
  await writeBundle(join(root, 'site.tar'), of)
  const pipe = join(root, 'pipe')
  execFileSync('mkfifo', [pipe])
  spawn('sh', ['-c', 'cat "$0" > "$1"', join(root, 'site.tar'), pipe], { stdio: 'ignore' })
  const notices: string[] = []
  const loaded = await loadBundle(pipe, { host: engine.host, onNotice: text => notices.push(text) })
  t.same(
    loaded.images.map(({ id, error }) => error ?? id),
    Object.values(of).map(({ root }) => root.digest),
  )
  t.match(notices, [/is a stream: if interrupted/, /^storing in .* is needed more than once$/])
  for (const [name, { root }] of Object.entries(of)) t.ok((await images()).includes(`${name} ${root.digest}`))
  await engine.docker('image', 'rm', ...Object.keys(of))
})

t.test('write() loads a Windows image, which comes out bit for bit', async t => {
  const image = await windowsImage()
  const written = await write(image, ['lab/windows:1'])
  t.equal(written.id, image.root.digest)
  t.equal((await engine.docker('image', 'inspect', '--format', '{{.Os}}', 'lab/windows:1')).stdout, 'windows\n')
  await using source = await openEngineSource('lab/windows:1', {
    host: engine.host,
    spool: new BlobDirectory(t.testdir()),
  })
  const [found] = await source.images()
  t.equal(found?.root.digest, image.root.digest)
  for (const layer of image.layers) await readVerified(layer, source.fetch(layer), layer.size)
})

t.test('write() keeps an index with all its platforms', async t => {
  const image = await multiPlatformImage()
  t.equal((await write(image, ['lab/multi:1'])).id, image.root.digest)
  await using source = await openEngineSource('lab/multi:1', {
    host: engine.host,
    spool: new BlobDirectory(t.testdir()),
  })
  const [found] = await source.images()
  if (!found) throw new TypeError('one image was exported')
  t.equal(found.root.digest, image.root.digest)
  t.equal((await readImage(source, found.root)).platforms.length, 3)
})

t.test('write() keeps an index of which some platforms are left out, and what is there is whole', async t => {
  const image = await multiPlatformImage()
  const index = JSON.parse(Buffer.from(image.blobs.get(image.root.digest)).toString()) as { manifests: Descriptor[] }
  const [own, , other] = index.manifests
  const names = ['lab/sparse:1'].map(parseReference)
  for (const absent of [[index.manifests[1]!], [index.manifests[1]!, other!]]) {
    const content = await readImage(image.blobs, image.root, { absent: absent.map(({ digest }) => digest) })
    const written = await destination.write(content, image.blobs, names)
    t.equal(written.id, image.root.digest)
    t.equal(
      (await engine.docker('image', 'inspect', '--format', '{{.Id}}', 'lab/sparse:1')).stdout.trim(),
      image.root.digest,
    )
    t.equal(
      (await engine.docker('create', '--name', `sparse-${absent.length}`, 'lab/sparse:1')).code,
      0,
      `of ${own?.digest}`,
    )
    await engine.docker('rm', `sparse-${absent.length}`)
  }
  await engine.docker('rmi', 'lab/sparse:1')
})

t.test('write() of a broken image moves no name, and nothing is left', async t => {
  const old = await layeredImage(1, { seed: 'old' })
  await write(old, ['lab/app:1'])
  const before = await images()
  const image = await layeredImage(3, { seed: 'broken', size: 3_000_000 })
  const content = await readImage(image.blobs, image.root)
  const last = image.layers[2]?.digest ?? image.root.digest
  image.blobs.set(last, flipped(image.blobs.get(last)))
  const writing = destination.write(content, image.blobs, [parseReference('lab/app:1')])
  await t.rejects(writing, { code: 'DIGEST_MISMATCH' })
  t.same(await images(), before)
  t.same(await remains(image), [])
})

t.test('write() of layers that are not those of the config moves no name', async t => {
  const [one, other] = await Promise.all(['one', 'other'].map(name => makeLayer({ [name]: name })))
  if (!one || !other) throw new TypeError('two layers were made')
  const image = makeImage([{ ...one, blob: other.blob, descriptor: other.descriptor }])
  const before = await images()
  for (const names of [['lab/app:1'], []]) await t.rejects(write(image, names), { code: 'ENGINE_REFUSED' })
  t.same(await images(), before)
  t.same(await remains(image), [])
})

t.test('write() that is aborted leaves nothing, and the same again succeeds', async t => {
  const image = await layeredImage(3, { seed: 'aborted', size: 4_000_000 })
  const content = await readImage(image.blobs, image.root)
  const before = await images()
  const abort = new AbortController()
  const writing = destination.write(content, image.blobs, [parseReference('lab/aborted:1')], {
    signal: abort.signal,
    onProgress: event => {
      if (event.type === 'bytes' && event.done > 6_000_000) abort.abort()
    },
  })
  await t.rejects(writing, { code: 'ABORTED' })
  t.same(await images(), before)
  t.same(await remains(image), [])
  t.equal((await write(image, ['lab/aborted:1'])).id, image.root.digest)
})
