import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, watch } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { BlobDirectory } from '../../src/blob/directory.js'
import { readVerified } from '../../src/blob/verified.js'
import { openEngineDestination } from '../../src/transport/engine/destination.js'
import { digestFromHex, digestOf } from '../../src/oci/digest.js'
import { formatReference, parseReference } from '../../src/oci/reference.js'
import { openEngineSource } from '../../src/transport/engine/source.js'
import { startEngine } from '../support/engine.js'
import { layeredImage, makeImage, makeLayer, runnableImage, type TestImage } from '../support/images.js'

const engine = await startEngine()
t.teardown(() => engine.stop())
const destination = await openEngineDestination({ host: engine.host })
t.teardown(() => destination[Symbol.asyncDispose]())
const host = engine.host

async function load(image: TestImage, name: string): Promise<void> {
  await destination.write(await readImage(image.blobs, image.root), image.blobs, [parseReference(name)])
}

t.test('openEngineSource() gives config and layers as `docker save` does, byte for byte', async t => {
  const directory = t.testdir({ stage: {}, saved: {} })
  const stage = join(directory, 'stage')
  const twice = await makeLayer({ same: 'the same layer, which 20.10 exports as a link' })
  const images: readonly (readonly [string, TestImage])[] = [
    ['lab/run:1', await runnableImage()],
    ['lab/layers:3', await layeredImage(3)],
    ['lab/twice:1', makeImage([twice, twice])],
  ]
  for (const [name, image] of images) {
    await load(image, name)
    const tar = join(directory, 'saved.tar')
    t.equal((await engine.docker('save', '-o', tar, name)).code, 0)
    const saved = join(directory, 'saved', name.replace(/\W/g, '-'))
    execFileSync('sh', ['-c', 'mkdir "$1" && tar -xf "$2" -C "$1"', 'sh', saved, tar])
    const [entry] = JSON.parse(readFileSync(join(saved, 'manifest.json'), 'utf8')) as {
      Config: string
      Layers: string[]
    }[]
    const sums = (paths: readonly string[]) => {
      const lines = execFileSync('sha256sum', paths, { cwd: saved, encoding: 'utf8' }).trimEnd().split('\n')
      return lines.map(line => digestFromHex(line.slice(0, 64)))
    }

    await using source = await openEngineSource(name, { host, spool: new BlobDirectory(stage) })
    const [found] = await source.images()
    if (!found || !entry) throw new TypeError('one image was saved')
    t.same(found.names.map(formatReference), [`docker.io/${name}`])
    const content = await readImage(source, found.root)
    const [platform] = content.platforms
    const layers = platform?.manifest.layers.map(layer => layer.digest)
    t.same(layers, sums(entry.Layers), `${name}: sha256sum agrees`)
    t.same(layers, image.diffIds)
    t.same(
      content.configs.map(config => config.descriptor.digest),
      sums([entry.Config]),
    )
    t.ok(readFileSync(join(saved, entry.Config)).equals(content.configs[0]?.bytes ?? new Uint8Array()))
    t.equal(content.configs[0]?.descriptor.digest, image.config.digest, 'the config is what it was when loaded')
    for (const layer of content.layers) {
      const bytes = await readVerified(layer, source.fetch(layer), layer.size)
      t.equal(digestOf(bytes), layer.digest)
      t.ok(await source.has(layer))
    }
  }
})

t.test('openEngineSource() takes an image ID, which has no name', async t => {
  const directory = t.testdir()
  const spool = new BlobDirectory(directory)
  const image = await layeredImage(1, { seed: 'by-id' })
  await load(image, 'lab/by-id:1')
  for (const id of [image.config.digest, image.config.digest.slice(7, 19)]) {
    await using source = await openEngineSource(id, { host, spool })
    const [found] = await source.images()
    t.same(found?.names, [])
    if (found) t.equal((await readImage(source, found.root)).configs[0]?.descriptor.digest, image.config.digest)
  }
})

t.test('openEngineSource() names what is there when the image is not', async t => {
  const directory = t.testdir()
  const spool = new BlobDirectory(directory)
  await load(await layeredImage(1, { seed: 'there' }), 'lab/there:1')
  const open = openEngineSource('lab/nowhere', { host, spool })
  await t.rejects(open, { code: 'IMAGE_NOT_FOUND', message: /lab\/nowhere/, hint: /lab\/there:1/ })
  await t.rejects(openEngineSource('Not A Name', { host, spool }), { code: 'INVALID_REFERENCE' })
  t.same(readdirSync(directory), [])
})

t.test('openEngineSource() that is aborted leaves nothing half written', async t => {
  const directory = t.testdir()
  const spool = new BlobDirectory(directory)
  await load(await layeredImage(2, { seed: 'aborted', size: 3_000_000 }), 'lab/aborted:1')
  const abort = new AbortController()
  const watcher = watch(directory, () => abort.abort()) // at the first sign of a blob
  t.teardown(() => watcher.close())
  await t.rejects(openEngineSource('lab/aborted:1', { host, spool, signal: abort.signal }), { code: 'ABORTED' })
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  t.same(
    files.filter(name => !/^blobs(\/sha256(\/[0-9a-f]{64})?)?$/.test(name)),
    [],
  )
})

t.test('an image goes from one name to another through its own export, and stays the same', async t => {
  const image = await runnableImage()
  await load(image, 'lab/round:1')
  await using source = await openEngineSource('lab/round:1', { host, spool: new BlobDirectory(t.testdir()) })
  const [found] = await source.images()
  if (!found) throw new TypeError('one image was exported')
  const written = await destination.write(await readImage(source, found.root), source, [parseReference('lab/round:2')])
  t.equal(written.id, image.config.digest)
  t.equal(written.sent, 0)
})
