import { spawnSync } from 'node:child_process'
import t from 'tap'
import type { Bytes } from '../../src/blob/blob-store.js'
import { readImage } from '../../src/blob/closure.js'
import { loadArchive } from '../../src/engine/load-archive.js'
import { layersToSend, planEngineLoad } from '../../src/engine/load-plan.js'
import type { EngineStore } from '../../src/engine/store.js'
import { hexOf } from '../../src/oci/digest.js'
import { parseReference } from '../../src/oci/reference.js'
import { flipped, layeredImage, multiPlatformImage } from '../support/images.js'

const platform = { os: 'linux', architecture: 'amd64' }
const store: EngineStore = { kind: 'containerd', engine: 'Docker 28', api: 51, platform }
const name = parseReference('lab/app:temporary')

async function collect(bytes: Bytes): Promise<readonly Uint8Array[]> {
  const pieces: Uint8Array[] = []
  for await (const piece of bytes) pieces.push(piece)
  return pieces
}

function tar(archive: Uint8Array, ...words: readonly string[]) {
  return spawnSync('tar', ['-f', '-', ...words], { input: archive, encoding: 'utf8' })
}

t.test('loadArchive() makes a layout and a docker archive in one, and GNU tar agrees', async t => {
  const image = await layeredImage(3)
  const plan = planEngineLoad(await readImage(image.blobs, image.root), store, 'lab/app')
  const archive = Buffer.concat(await collect(loadArchive(plan, plan.layers, name, image.blobs)))
  const { stdout, stderr, status } = tar(archive, '-t')
  t.equal(status, 0)
  t.equal(stderr, '')
  const blobs = [image.root, image.config, ...image.layers].map(blob => `blobs/sha256/${hexOf(blob.digest)}`)
  t.same(stdout.trimEnd().split('\n'), ['oci-layout', 'index.json', 'manifest.json', ...blobs])
  const full = 'docker.io/lab/app:temporary'
  const index = JSON.parse(tar(archive, '-xO', 'index.json').stdout)
  t.same(index.manifests, [
    { ...image.root, annotations: { 'io.containerd.image.name': full, 'org.opencontainers.image.ref.name': full } },
  ])
  t.same(JSON.parse(tar(archive, '-xO', 'manifest.json').stdout), [
    { Config: blobs[1], RepoTags: [full], Layers: blobs.slice(2) },
  ])
})

t.test('loadArchive() leaves layers out of the archive, but not out of manifest.json', async t => {
  const image = await layeredImage(3)
  const plan = planEngineLoad(await readImage(image.blobs, image.root), { ...store, kind: 'graphdriver' }, 'lab/app')
  const archive = Buffer.concat(await collect(loadArchive(plan, layersToSend(plan, 2), undefined, image.blobs)))
  const sent = [image.root, image.config, ...image.layers.slice(2)]
  const blobs = sent.map(blob => `blobs/sha256/${hexOf(blob.digest)}`)
  t.same(tar(archive, '-t').stdout.trimEnd().split('\n').slice(3), blobs)
  const [entry] = JSON.parse(tar(archive, '-xO', 'manifest.json').stdout)
  t.equal(entry.Layers.length, 3)
  t.same(entry.RepoTags, [], 'and has no name where none is given')
  t.notMatch(tar(archive, '-xO', 'index.json').stdout, /annotations/)
})

t.test('loadArchive() is not a whole archive after any piece but the last', async t => {
  const image = await layeredImage(3, { size: 512 * 300 - 200 })
  const plan = planEngineLoad(await readImage(image.blobs, image.root), store, 'lab/app')
  const pieces = await collect(loadArchive(plan, plan.layers, name, image.blobs))
  t.ok(pieces.length > 6)
  for (let count = 1; count < pieces.length; count++) {
    t.match(
      tar(Buffer.concat(pieces.slice(0, count)), '-t'),
      { status: 2, stderr: /Unexpected EOF/ },
      `${count} pieces`,
    )
  }
})

t.test('loadArchive() ends inside the member of a layer that is wrong', async t => {
  for (const wrong of [0, 1, 2]) {
    const image = await layeredImage(3, { seed: `wrong-${wrong}` })
    const plan = planEngineLoad(await readImage(image.blobs, image.root), store, 'lab/app')
    const digest = image.layers[wrong]?.digest ?? image.root.digest
    image.blobs.set(digest, flipped(image.blobs.get(digest)))
    const pieces: Uint8Array[] = []
    await t.rejects(
      async () => {
        for await (const piece of loadArchive(plan, plan.layers, name, image.blobs)) pieces.push(piece)
      },
      { code: 'DIGEST_MISMATCH' },
    )
    const archive = Buffer.concat(pieces)
    t.match(tar(archive, '-t'), { status: 2, stderr: /Unexpected EOF/ })
    t.match(tar(archive, '-t').stdout, hexOf(digest))
  }
})

t.test("planEngineLoad() sends an index whole to containerd's store, and one platform of it to others", async t => {
  const image = await multiPlatformImage([
    { os: 'linux', architecture: 's390x' },
    { os: 'linux', architecture: 'amd64' },
    { os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763.1' },
    { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.1' },
  ])
  const content = await readImage(image.blobs, image.root)
  const [s390x, amd64, , windows] = content.platforms
  const whole = planEngineLoad(content, store, 'lab/multi')
  t.equal(whole.id, image.root.digest)
  t.equal(whole.main, amd64)
  t.equal(whole.layers.length, 4)
  t.equal(whole.documents[0]?.descriptor.digest, image.root.digest)
  for (const kind of ['graphdriver', 'podman'] as const) {
    const one = planEngineLoad(content, { ...store, kind }, 'lab/multi')
    t.equal(one.id, amd64?.manifest.config.digest)
    const documents = one.documents.map(document => document.descriptor.digest)
    t.same(documents, [image.root.digest, amd64?.descriptor.digest, one.id])
    t.same(one.layers, amd64?.manifest.layers)
  }
  const on = (platform: EngineStore['platform']) =>
    planEngineLoad(content, { ...store, kind: 'graphdriver', platform }, 'lab/multi').main
  t.equal(on({ os: 'linux', architecture: 's390x' }), s390x)
  t.equal(
    on({ os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.2000' }),
    windows,
    'Windows of its own build',
  )
  const mismatch = { code: 'PLATFORM_MISMATCH', message: /linux\/s390x, linux\/amd64/ }
  t.throws(() => on({ os: 'linux', architecture: 'arm64' }), mismatch)
})
