import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { pack } from 'tar-stream'
import { readImage } from '../../../src/blob/closure.js'
import { BlobDirectory } from '../../../src/blob/directory.js'
import { readVerified } from '../../../src/blob/verified.js'
import { digestOf, hexOf } from '../../../src/oci/digest.js'
import { blobPath } from '../../../src/oci/layout.js'
import { OCI_CONFIG, OCI_MANIFEST } from '../../../src/oci/media-type.js'
import { formatReference } from '../../../src/oci/reference.js'
import { openEngineSource } from '../../../src/transport/engine/source.js'
import { type FakeAnswer, type FakeRequest, fakeStore, startFakeEngine } from '../../support/fake-engine.js'
import {
  layeredImage,
  makeImage,
  makeLayer,
  MemoryBlobs,
  multiPlatformImage,
  type TestImage,
} from '../../support/images.js'

/** A member of an export: content, or where a link goes to. */
type Entry = Uint8Array | string | { readonly symlink: string } | { readonly link: string }

async function archive(entries: Readonly<Record<string, Entry>>): Promise<Buffer> {
  const tar = pack()
  for (const [name, entry] of Object.entries(entries)) {
    if (typeof entry === 'string' || entry instanceof Uint8Array) tar.entry({ name }, Buffer.from(entry))
    else if ('symlink' in entry) tar.entry({ name, type: 'symlink', linkname: entry.symlink })
    else tar.entry({ name, type: 'link', linkname: entry.link })
  }
  tar.finalize()
  const pieces: Uint8Array[] = []
  for await (const piece of tar as AsyncIterable<Uint8Array>) pieces.push(piece) // tar-stream does not type its pieces
  return Buffer.concat(pieces)
}

/** The export of an image as an OCI layout, without the blobs `left` out. */
function layoutOf(image: TestImage, left: readonly string[] = []): Record<string, Entry> {
  const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [image.root] }
  const blobs = image.blobs.digests().filter(digest => !left.includes(digest))
  return {
    ...Object.fromEntries(blobs.map(digest => [blobPath(digest), image.blobs.get(digest)])),
    'index.json': JSON.stringify(index),
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'manifest.json': '[]',
  }
}

/** Opens `lab/app:1` of an engine that exports `exported`; what is left in the stage directory is checked as well. */
async function open(t: Test, exported: Uint8Array, answer: FakeAnswer = { body: exported }) {
  const engine = await startFakeEngine(fakeStore('graphdriver'), ({ path }: FakeRequest): FakeAnswer | undefined => {
    if (path === '/images/docker.io/lab/app:1/json') return { body: { Id: `sha256:${'0'.repeat(64)}` } }
    if (path === '/images/docker.io/lab/app:1/get') return answer
    return path === '/images/json' ? { body: [] } : undefined
  })
  t.teardown(() => engine.stop())
  const directory = t.testdir()
  const source = await openEngineSource('lab/app:1', {
    host: engine.host,
    spool: new BlobDirectory(directory),
  }).finally(() => {
    const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    t.same(
      files.filter(name => !/^blobs(\/sha256(\/[0-9a-f]{64})?)?$/.test(name)),
      [],
      'nothing but blobs',
    )
  })
  t.teardown(() => source[Symbol.asyncDispose]())
  const [image] = await source.images()
  if (!image) throw new TypeError('one image was exported')
  return { source, image }
}

/** The export of Docker 20.10 and of Podman: a config and plain layers by any path. */
function dockerArchive(
  config: Uint8Array,
  layers: Readonly<Record<string, Entry>>,
  order = Object.keys(layers),
): Record<string, Entry> {
  const Config = `${hexOf(digestOf(config))}.json`
  const manifest = [{ Config, RepoTags: ['lab/app:1'], Layers: order }]
  return { ...layers, [Config]: config, 'manifest.json': JSON.stringify(manifest) }
}

const one = await makeLayer({ one: 'one' }, 'none')
const two = await makeLayer({ two: 'two' }, 'none')
const pair = makeImage([one, two])
const config = pair.blobs.get(pair.config.digest)

t.test('openEngineSource() takes the manifests and blobs of an OCI export untouched', async t => {
  for (const image of [await layeredImage(2), await multiPlatformImage()]) {
    const { source, image: found } = await open(t, await archive(layoutOf(image)))
    t.equal(found.root.digest, image.root.digest)
    t.same(found.names.map(formatReference), ['docker.io/lab/app:1'])
    const content = await readImage(source, found.root)
    for (const layer of content.layers) {
      const bytes = await readVerified(layer, source.fetch(layer), layer.size)
      t.same(Buffer.from(bytes), Buffer.from(image.blobs.get(layer.digest)))
    }
  }
})

t.test('openEngineSource() takes the one whole platform of an index that is not whole', async t => {
  const image = await multiPlatformImage()
  const content = await readImage(image.blobs, image.root)
  const others = content.platforms.slice(1)
  const left = others.flatMap(({ descriptor, manifest }) => [descriptor, manifest.config, ...manifest.layers])
  const { image: found } = await open(
    t,
    await archive(
      layoutOf(
        image,
        left.map(blob => blob.digest),
      ),
    ),
  )
  t.equal(found.root.digest, content.platforms[0]?.descriptor.digest)
})

t.test('openEngineSource() names what an export leaves out', async t => {
  const image = await layeredImage(3)
  for (const blob of [image.root, image.config, ...image.layers]) {
    const opening = open(t, await archive(layoutOf(image, [blob.digest])))
    await t.rejects(opening, { code: 'BLOB_MISSING', message: new RegExp(`lacks ${blob.digest}$`) })
  }
})

t.test(
  'openEngineSource() writes a manifest around an older export, and follows its links among the members',
  async t => {
    const bytes = [one.blob, two.blob] as const
    const forms: readonly (readonly [Record<string, Entry>, string[]])[] = [
      [{ 'a/layer.tar': bytes[0], 'b/layer.tar': bytes[1] }, ['a/layer.tar', 'b/layer.tar']],
      [{ 'a/layer.tar': bytes[0], './b/layer.tar': bytes[1] }, ['./a/layer.tar', 'b/layer.tar']],
      [{ 'a/l.tar': { symlink: '../x' }, 'b/l.tar': { link: 'y' }, x: bytes[0], y: bytes[1] }, ['a/l.tar', 'b/l.tar']],
      [{ '/etc/one': bytes[0], two: bytes[1] }, ['/etc/one', '././two']],
    ]
    for (const [layers, order] of forms) {
      const { source, image } = await open(t, await archive(dockerArchive(config, layers, order)))
      const content = await readImage(source, image.root)
      t.same(
        content.layers.map(layer => layer.digest),
        pair.diffIds,
      )
      t.equal(content.configs[0]?.descriptor.digest, pair.config.digest)
      t.same(Buffer.from(content.configs[0]?.bytes ?? []), Buffer.from(config))
    }
  },
)

t.test('openEngineSource() refuses an export that lies', async t => {
  const layers = { 'a/layer.tar': one.blob, 'b/layer.tar': two.blob }
  const lies: readonly (readonly [Record<string, Entry>, string])[] = [
    [dockerArchive(config, { 'a/layer.tar': two.blob, 'b/layer.tar': one.blob }), 'DIGEST_MISMATCH'],
    [dockerArchive(config, { 'a/layer.tar': one.blob }), 'INVALID_MANIFEST'],
    [dockerArchive(config, layers, ['a/layer.tar', 'c/layer.tar']), 'BLOB_MISSING'],
    [dockerArchive(config, { a: { symlink: 'b' }, b: { symlink: 'a' } }), 'BLOB_MISSING'],
    [dockerArchive(config, { a: { symlink: '/etc/passwd' }, b: { link: '../../../../etc/passwd' } }), 'BLOB_MISSING'],
    [dockerArchive(config, { '../../one': one.blob, two: two.blob }), 'INVALID_TAR'],
    [{ ...layers, 'manifest.json': '[]' }, 'INVALID_MANIFEST'],
    [{ ...layers, 'manifest.json': '{' }, 'INVALID_MANIFEST'],
    [{ ...layers, 'manifest.json': JSON.stringify([{ Config: '../config', Layers: [] }]) }, 'BLOB_MISSING'],
    [layers, 'BLOB_MISSING'],
    [{ ...layoutOf(pair), 'index.json': '{"schemaVersion":2,"manifests":[]}' }, 'INVALID_MANIFEST'],
    [{}, 'BLOB_MISSING'],
  ]
  for (const [entries, code] of lies) await t.rejects(open(t, await archive(entries)), { code })
})

t.test('openEngineSource() refuses an export that is cut short or no archive', async t => {
  const whole = await archive(layoutOf(pair))
  await t.rejects(open(t, whole.subarray(0, 3000)), { code: 'INVALID_TAR' })
  await t.rejects(open(t, Buffer.alloc(4096, 'x')), { code: 'INVALID_TAR' })
  await t.rejects(open(t, whole, { body: whole.subarray(0, 3000), cut: true }), { code: 'ENGINE_UNREACHABLE' })
  await t.rejects(open(t, whole, { status: 500, body: { message: 'cannot export' } }), { code: 'ENGINE_REFUSED' })
})

t.test('openEngineSource() takes an image with no layers, whose lists Docker writes as null or not at all', async t => {
  const blobs = new MemoryBlobs()
  const config = blobs.add(OCI_CONFIG, json({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers' } }))
  const root = blobs.add(OCI_MANIFEST, json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: null }))
  const image: TestImage = { root, blobs, config, layers: [], diffIds: [] }
  const old = {
    'c.json': blobs.get(config.digest),
    'manifest.json': '[{"Config":"c.json","RepoTags":[],"Layers":null}]',
  }
  for (const entries of [layoutOf(image), old]) {
    const opened = await open(t, await archive(entries))
    const content = await readImage(opened.source, opened.image.root)
    t.same(
      content.platforms.map(({ config: { diffIds }, manifest }) => [diffIds, manifest.layers]),
      [[[], []]],
    )
    t.same(content.layers, [])
  }
})

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}
