import { chmod, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { BlobStore } from '../../src/blob/blob-store.js'
import { readImage } from '../../src/blob/closure.js'
import { openEngineDestination } from '../../src/transport/engine/destination.js'
import type { WrittenImage } from '../../src/image/image-destination.js'
import { layerMediaType } from '../../src/oci/compression.js'
import { parseReference } from '../../src/oci/reference.js'
import type { ProgressEvent } from '../../src/progress.js'
import { startEngine } from '../support/engine.js'
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

const engine = await startEngine()
t.teardown(() => engine.stop())
const destination = await openEngineDestination({ host: engine.host })
t.teardown(() => destination[Symbol.asyncDispose]())

/** Reads the image while it is whole, lets `spoil` damage it, and writes it. */
async function write(
  image: TestImage,
  names: readonly string[],
  spoil: () => void = () => {},
  blobs: BlobStore = image.blobs,
): Promise<WrittenImage> {
  const content = await readImage(image.blobs, image.root)
  spoil()
  return await destination.write(content, blobs, names.map(parseReference))
}

/** `REPOSITORY:TAG ID` of all that `docker images -a` shows, sorted. */
async function images(): Promise<readonly string[]> {
  const { stdout } = await engine.docker('images', '-a', '--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}')
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .sort()
}

/** Layers and temporary files of the engine: what a failed load must not add to. */
async function leftovers(): Promise<readonly string[]> {
  const found: string[] = []
  for (const directory of ['tmp', 'overlay2', 'vfs/dir', 'image/overlay2/layerdb/tmp', 'image/vfs/layerdb/tmp']) {
    const names = await readdir(join(engine.dataRoot, directory)).catch(() => []) // the other driver's are not there
    found.push(...names.filter(name => name !== 'l').map(name => `${directory}/${name}`))
  }
  return found.sort()
}

async function layersOf(name: string): Promise<unknown> {
  return JSON.parse((await engine.docker('image', 'inspect', '--format', '{{json .RootFS.Layers}}', name)).stdout)
}

t.test('write() loads an image that then runs', async t => {
  const image = await runnableImage()
  const events: ProgressEvent[] = []
  const content = await readImage(image.blobs, image.root)
  const written = await destination.write(content, image.blobs, ['lab/run:1', 'run:latest'].map(parseReference), {
    onProgress: event => events.push(event),
  })
  t.equal(written.id, image.config.digest)
  t.equal(written.skipped, 0)
  t.same(
    await images(),
    [`lab/run:1 ${image.config.digest}`, `run:latest ${image.config.digest}`],
    'and no temporary name',
  )
  const { stdout, code } = await engine.docker('run', '--rm', '--network', 'none', 'lab/run:1')
  t.equal(stdout, `${GREETING}\n`)
  t.equal(code, 0)
  const bytes = events.filter(event => event.type === 'bytes')
  t.equal(bytes.at(-1)?.done, written.sent)
  t.equal(bytes.at(-1)?.total, written.sent)
  t.match(events.at(-1), { type: 'done', subject: 'lab/run:1' })
})

t.test('write() sends nothing of an image that is there, and gives it its new name', async t => {
  const image = await runnableImage()
  image.blobs.delete(image.layers[0]?.digest ?? image.root.digest)
  const whole = await runnableImage()
  const content = await readImage(whole.blobs, whole.root)
  const written = await destination.write(content, image.blobs, [parseReference('registry.example:5000/lab/again:2')])
  t.equal(written.sent, 0)
  t.ok((await images()).includes(`registry.example:5000/lab/again:2 ${image.config.digest}`))
})

t.test('write() leaves out the layers that the engine has', async t => {
  const small = await layeredImage(2)
  const large = await layeredImage(3)
  await write(small, ['lab/layered:2'])
  const fetched: string[] = []
  const blobs: BlobStore = {
    has: blob => large.blobs.has(blob),
    fetch: blob => {
      fetched.push(blob.digest)
      return large.blobs.fetch(blob)
    },
  }
  const written = await write(large, ['lab/layered:3'], () => {}, blobs)
  t.same(fetched, [large.layers[2]?.digest])
  t.equal(
    written.sent,
    [large.root, large.config, large.layers[2]].reduce((sum, blob) => sum + (blob?.size ?? 0), 0),
  )
  t.equal(
    written.skipped,
    [large.layers[0], large.layers[1]].reduce((sum, blob) => sum + (blob?.size ?? 0), 0),
  )
  t.same(await layersOf('lab/layered:3'), large.diffIds)
})

t.test('write() sends all when what it counted on was removed meanwhile', async t => {
  const base = await layeredImage(2, { seed: 'removed' })
  await write(base, ['lab/base:1'])
  t.equal((await engine.docker('rmi', 'lab/base:1')).code, 0)
  const image = await layeredImage(3, { seed: 'removed' })
  const written = await write(image, ['lab/upper:1'])
  t.equal(written.skipped, 0)
  t.same(await layersOf('lab/upper:1'), image.diffIds)
})

t.test('write() refuses a layer with one wrong bit, and nothing is left', async t => {
  for (const layer of [0, 2]) {
    const image = await layeredImage(3, { seed: `flipped-${layer}`, size: 3_000_000 })
    const digest = image.layers[layer]?.digest ?? image.root.digest
    const before = [await images(), await leftovers()]
    const spoil = () => image.blobs.set(digest, flipped(image.blobs.get(digest)))
    await t.rejects(write(image, ['lab/broken:1'], spoil), { code: 'DIGEST_MISMATCH' })
    t.same([await images(), await leftovers()], before)
  }
})

t.test('write() refuses a layer that is missing or short, and nothing is left', async t => {
  const image = await layeredImage(3, { seed: 'missing' })
  const digest = image.layers[1]?.digest ?? image.root.digest
  const bytes = image.blobs.get(digest)
  const before = [await images(), await leftovers()]
  await t.rejects(
    write(image, ['lab/broken:1'], () => image.blobs.delete(digest)),
    { code: 'BLOB_MISSING' },
  )
  image.blobs.set(digest, bytes)
  const cut = () => image.blobs.set(digest, bytes.subarray(0, 1000))
  await t.rejects(write(image, ['lab/broken:1'], cut), { code: 'SIZE_MISMATCH' })
  t.same([await images(), await leftovers()], before)
})

t.test('write() moves a name only to an image that was proved', async t => {
  const old = await layeredImage(1, { seed: 'old' })
  await write(old, ['lab/app:1'])
  const broken = await layeredImage(2, { seed: 'new' })
  const digest = broken.layers[1]?.digest ?? broken.root.digest
  const bytes = broken.blobs.get(digest)
  const spoil = () => broken.blobs.set(digest, flipped(bytes))
  await t.rejects(write(broken, ['lab/app:1'], spoil), { code: 'DIGEST_MISMATCH' })
  t.ok((await images()).includes(`lab/app:1 ${old.config.digest}`))
  broken.blobs.set(digest, bytes)
  await write(broken, ['lab/app:1'])
  t.ok((await images()).includes(`lab/app:1 ${broken.config.digest}`))
})

t.test('write() tells what the engine says of layers that are not those of the config', async t => {
  const [one, other] = await Promise.all(['one', 'other'].map(name => makeLayer({ [name]: name })))
  if (!one || !other) throw new TypeError('two layers were made')
  const image = makeImage([{ ...one, blob: other.blob, descriptor: other.descriptor }])
  const before = [await images(), await leftovers()]
  await t.rejects(write(image, ['lab/lying:1']), { code: 'ENGINE_REFUSED', message: /invalid diffID/ })
  t.same([await images(), await leftovers()], before)
})

t.test('write() refuses a Windows image before it sends a byte', async t => {
  const image = await windowsImage()
  const blobs: BlobStore = {
    has: async () => true,
    fetch: () => {
      throw new Error('nothing is to be read')
    },
  }
  await t.rejects(
    write(image, ['lab/windows:1'], () => {}, blobs),
    {
      code: 'PLATFORM_MISMATCH',
      message: /windows\/amd64:10\.0\.20348\.169.*Docker 20/,
      hint: /--to oci:DIR/,
    },
  )
})

t.test('write() refuses Zstandard layers where the engine would fail on them', async t => {
  const layer = await makeLayer({ file: 'content' })
  const image = makeImage([{ ...layer, descriptor: { ...layer.descriptor, mediaType: layerMediaType('zstd') } }])
  await t.rejects(write(image, ['lab/zstd:1']), { code: 'UNSUPPORTED', message: /Zstandard.*Docker 20/ })
})

t.test("write() takes the engine's platform of an index, and refuses an index without it", async t => {
  const image = await multiPlatformImage()
  const written = await write(image, ['lab/multi:1'])
  t.equal(written.id, image.config.digest)
  t.same(await layersOf('lab/multi:1'), image.diffIds)
  const others = [
    { os: 'linux', architecture: 's390x' },
    { os: 'windows', architecture: 'amd64' },
  ]
  const foreign = await multiPlatformImage(others)
  await t.rejects(write(foreign, ['lab/multi:2']), {
    code: 'PLATFORM_MISMATCH',
    message: /linux\/s390x, windows\/amd64/,
  })
})

t.test('write() loads an image without a name, and calls it by its ID', async t => {
  const image = await layeredImage(1, { seed: 'nameless' })
  const written = await write(image, [])
  t.same(written.names, [])
  t.equal(written.id, image.config.digest)
  t.ok((await images()).includes(`<none>:<none> ${image.config.digest}`))
})

t.test('write() gives only the names that an engine can be told', async t => {
  const digest = `sha256:${'0'.repeat(64)}`
  const image = await layeredImage(1, { seed: 'digest' })
  const written = await write(image, [`lab/pinned:1@${digest}`, 'lab/pinned:1', `lab/pinned@${digest}`])
  t.same(
    written.names.map(name => name.tag),
    ['1'],
  )
})

t.test('write() that is aborted in the middle leaves nothing, and the engine is well', async t => {
  const image = await layeredImage(3, { seed: 'aborted', size: 4_000_000 })
  const content = await readImage(image.blobs, image.root)
  const before = [await images(), await leftovers()]
  const abort = new AbortController()
  const writing = destination.write(content, image.blobs, [parseReference('lab/aborted:1')], {
    signal: abort.signal,
    onProgress: event => {
      if (event.type === 'bytes' && event.done > 5_000_000) abort.abort()
    },
  })
  await t.rejects(writing, { code: 'ABORTED' })
  t.same([await images(), await leftovers()], before)
  await write(image, ['lab/aborted:1'])
  t.same(await layersOf('lab/aborted:1'), image.diffIds, 'and the same again succeeds')
})

t.test('write() that is aborted while a source keeps it waiting leaves nothing', async t => {
  const image = await layeredImage(2, { seed: 'slow' })
  const content = await readImage(image.blobs, image.root)
  const before = [await images(), await leftovers()]
  const abort = new AbortController()
  const blobs: BlobStore = {
    has: async () => true,
    fetch: (_blob, { signal } = {}) =>
      (async function* () {
        setTimeout(() => abort.abort(), 50)
        await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
        yield new Uint8Array()
      })(),
  }
  const writing = destination.write(content, blobs, [parseReference('lab/slow:1')], { signal: abort.signal })
  await t.rejects(writing, { code: 'ABORTED' })
  t.same([await images(), await leftovers()], before)
})

t.test("openEngineDestination() speaks through the system's ssh", async t => {
  const bin = t.testdir({
    ssh: '#!/bin/sh\necho "$@" > "$0.words"\nexec docker --host "$TEST_ENGINE" system dial-stdio\n',
  })
  await chmod(join(bin, 'ssh'), 0o755)
  const { PATH } = process.env
  Object.assign(process.env, { PATH: `${bin}:${PATH}`, TEST_ENGINE: engine.host })
  t.teardown(() => {
    process.env['PATH'] = PATH
  })
  const image = await layeredImage(2, { seed: 'ssh', size: 3_000_000 })
  await using remote = await openEngineDestination({ host: 'ssh://site@far.example:2222' })
  await remote.write(await readImage(image.blobs, image.root), image.blobs, [parseReference('lab/ssh:1')])
  t.same(await layersOf('lab/ssh:1'), image.diffIds)
  const words = await readFile(join(bin, 'ssh.words'), 'utf8')
  t.match(words, /-l site -p 2222 -- far\.example docker system dial-stdio\n$/)
})
