import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Descriptor, describe } from '../../../src/oci/descriptor.js'
import { hexOf } from '../../../src/oci/digest.js'
import { blobPath, INDEX_FILE } from '../../../src/oci/layout.js'
import { OCI_MANIFEST } from '../../../src/oci/media-type.js'
import { imageHistory } from '../../../src/verbs/history.js'
import { listImages } from '../../../src/verbs/images.js'
import { removeImages } from '../../../src/verbs/remove.js'
import { tagImage } from '../../../src/verbs/tag.js'
import { commitContainer } from '../../../src/verbs/commit.js'
import { writeBundle } from '../../support/bundles.js'
import { flipped, multiPlatformImage, type TestImage, writeLayout } from '../../support/images.js'
import { held, NANO, reached, standingImages } from '../../support/stored.js'

const standing = await standingImages()
const { nano, app, shop, other } = standing
const multi = await multiPlatformImage()

async function layoutOf(
  t: Test,
  images: Readonly<Record<string, TestImage>>,
): Promise<{ readonly directory: string; readonly store: string }> {
  const directory = join(t.testdir(), 'layout')
  await writeLayout(directory, images)
  return { directory, store: `oci:${directory}` }
}

const standingNames = {
  'nanoserver:1': nano,
  'registry.example:5000/team/app:1': app,
  'shop:1': shop,
  'other:1': other,
}

/** What skopeo says the image is: digest of its manifest. */
function skopeo(directory: string, ref: string): string {
  return (
    JSON.parse(
      execFileSync('skopeo', ['inspect', '--override-os', 'windows', `oci:${directory}:${ref}`], { encoding: 'utf8' }),
    ) as { Digest: string }
  ).Digest
}

async function codeOf(
  work: Promise<{
    readonly images: readonly {
      readonly error?: { readonly code: string; readonly message: string; readonly hint: string | undefined }
    }[]
  }>,
) {
  return (await work).images[0]?.error
}

t.test('listImages() tells of each image its names, what it is, and what it stands on, the newest first', async t => {
  const { store } = await layoutOf(t, standingNames)
  const { images } = await listImages({ store })
  t.same(
    images.map(({ names }) => names[0]),
    [
      'docker.io/library/other:1',
      'docker.io/library/shop:1',
      'registry.example:5000/team/app:1',
      'docker.io/library/nanoserver:1',
    ],
  )
  t.same(
    images.map(({ base }) => base?.id),
    [undefined, app.root.digest, nano.root.digest, undefined],
  )
  t.same(
    images.map(({ isOSImage }) => isOSImage),
    [false, false, false, true],
  )
  t.match(images.at(-1), {
    ...NANO,
    id: nano.root.digest,
    digests: [`docker.io/library/nanoserver@${nano.root.digest}`],
  })
  t.equal(
    images[1]?.size,
    [...shop.blobs.digests()].reduce((sum, digest) => sum + shop.blobs.get(digest).length, 0),
  )
})

t.test('listImages() filters as docker does', async t => {
  const { store } = await layoutOf(t, standingNames)
  await tagImage('other:1', 'shop:1', { store })
  const names = async (options: object) =>
    (await listImages({ store, ...options })).images.map(
      image => image.names.join(' ').replaceAll('docker.io/library/', '') || image.id,
    )
  t.same(await names({ references: ['shop'] }), ['shop:1'])
  t.same(await names({ references: ['sho?:[0-9]'] }), ['shop:1'])
  t.same(await names({ references: ['*/team/app'] }), ['registry.example:5000/team/app:1'])
  t.same(await names({ references: ['*app'] }), [], 'no letter stands for a slash')
  t.same(await names({ references: ['docker.io/library/other'] }), ['other:1'])
  t.same(await names({ dangling: true }), [shop.root.digest])
  t.equal((await names({ dangling: false })).length, 3)
  t.same(await names({ labels: ['tier=front', 'empty'] }), ['registry.example:5000/team/app:1'])
  t.same(await names({ labels: ['tier=back'] }), [])
  t.same(await names({ before: 'registry.example:5000/team/app:1' }), ['nanoserver:1'])
  t.same(await names({ since: shop.root.digest.slice(7, 19) }), ['other:1 shop:1'])
  await t.rejects(listImages({ store, since: 'none:1' }), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(listImages({ store, references: ['[z-a]'] }), { code: 'INVALID_ARGUMENT' })
})

t.test(
  "listImages() lists an image for several platforms once, this machine's first, and what has no name or no right name",
  async t => {
    const { directory, store } = await layoutOf(t, { 'multi:1': multi, 'other:1': other })
    const index = JSON.parse(readFileSync(join(directory, INDEX_FILE), 'utf8')) as {
      manifests: { annotations: Record<string, string> }[]
    }
    index.manifests[1]!.annotations = { 'org.opencontainers.image.ref.name': 'v1' }
    writeFileSync(join(directory, INDEX_FILE), JSON.stringify(index))
    const { images } = await listImages({ store })
    const found = images.find(({ id }) => id === multi.root.digest)
    t.equal(found?.platforms.length, 3)
    t.equal(found?.platforms[0]?.platform.os, 'linux')
    t.match(
      images.find(({ id }) => id === other.root.digest),
      { names: [], refNames: ['v1'] },
    )
    t.match(await removeImages(['v1'], { store }), {
      images: [{ removed: [{ untagged: 'v1' }, { deleted: other.root.digest }] }],
    })
    t.same(held(directory), reached(directory))
  },
)

t.test('imageHistory() gives each step its layer, and the images below and above', async t => {
  const { store } = await layoutOf(t, standingNames)
  const { steps, chain, dependents } = await imageHistory('registry.example:5000/team/app:1', { store })
  t.same(
    steps.map(({ size }) => size),
    [0, app.layers[1]?.size, app.layers[0]?.size],
  )
  t.match(steps, [
    { id: app.root.digest, createdBy: 'CMD ["app.exe"]' },
    { comment: 'by hand' },
    { createdBy: `Apply image ${NANO.version}` },
  ])
  t.equal(steps[1]?.id, undefined)
  t.same(
    chain.map(({ id }) => id),
    [nano, app].map(({ root }) => root.digest),
  )
  t.same(
    dependents.map(({ image }) => image.id),
    [shop.root.digest],
  )
  t.same(
    (await imageHistory('shop:1', { store })).steps.map(({ size }) => size),
    shop.layers.map(({ size }) => size).reverse(),
    'layers of which no history tells',
  )
})

t.test('tagImage() gives one more name; an image that loses its last name stays, for skopeo as well', async t => {
  const { directory, store } = await layoutOf(t, standingNames)
  t.match(await tagImage(nano.root.digest.slice(7, 15), 'nanoserver', { store }), {
    name: 'docker.io/library/nanoserver:latest',
    id: nano.root.digest,
  })
  t.equal(skopeo(directory, 'latest'), nano.root.digest)
  await tagImage('nanoserver:latest', 'other:1', { store })
  const { images } = await listImages({ store })
  t.match(
    images.find(({ id }) => id === other.root.digest),
    { names: [], refNames: [] },
  )
  t.equal(images.find(({ id }) => id === nano.root.digest)?.names.length, 3)
  t.same(held(directory), reached(directory), 'nothing is lost')
  await t.rejects(tagImage('none:1', 'x:1', { store }), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(tagImage('shop:1', `x@${nano.root.digest}`, { store }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(tagImage('shop:1', 'UPPER', { store }), { code: 'INVALID_REFERENCE' })
  await tagImage(other.root.digest, 'found/again:1', { store })
  t.equal(
    (await listImages({ store, dangling: true })).images.length,
    0,
    'what has a name again has no entry without one',
  )
  t.same(readdirSync(directory).sort(), ['blobs', 'index.json', 'oci-layout'])
})

t.test('removeImages() takes the name, and with the last name the blobs that nothing else needs', async t => {
  const { directory, store } = await layoutOf(t, standingNames)
  await tagImage('shop:1', 'shop:2', { store })
  t.match(await removeImages(['shop:1'], { store }), {
    images: [{ removed: [{ untagged: 'docker.io/library/shop:1' }] }],
  })
  t.same(held(directory), reached(directory))
  t.equal(skopeo(directory, '2'), shop.root.digest)
  const last = await removeImages(['shop:2'], { store })
  t.same(
    last.images[0]?.removed,
    [
      { untagged: 'docker.io/library/shop:2' },
      ...[shop.root, shop.config, shop.layers[2]].map(blob => ({ deleted: blob?.digest })),
    ],
    'two of its layers are those of others',
  )
  t.same(held(directory), reached(directory))
  for (const [image, tag] of [
    [nano, 'nanoserver:1'],
    [app, 'registry.example:5000/team/app:1'],
    [other, 'other:1'],
  ] as const) {
    t.ok(
      (await listImages({ store })).images.some(({ id, error }) => id === image.root.digest && !error),
      tag,
    )
  }
})

t.test(
  'removeImages() refuses what another image stands on, and what has several names, unless it is forced',
  async t => {
    const { directory, store } = await layoutOf(t, standingNames)
    t.match(await codeOf(removeImages(['nanoserver:1'], { store })), {
      code: 'IMAGE_IN_USE',
      message: /2 images are based on nanoserver:1: shop:1, registry\.example:5000\/team\/app:1/,
    })
    await tagImage('nanoserver:1', 'nanoserver:latest', { store })
    t.match(await codeOf(removeImages([nano.root.digest], { store })), {
      code: 'IMAGE_IN_USE',
      message: /has 2 names: nanoserver:1, nanoserver:latest/,
    })
    t.same(held(directory), reached(directory))
    const forced = await removeImages([nano.root.digest], { store, force: true })
    t.same(
      forced.images[0]?.removed.map(removal => Object.keys(removal)[0]),
      ['untagged', 'untagged', 'deleted', 'deleted'],
    )
    t.same(held(directory), reached(directory))
    t.match(await codeOf(removeImages(['none:1', 'other:1'], { store })), { code: 'IMAGE_NOT_FOUND' })
    t.notOk(
      (await listImages({ store })).images.some(({ id }) => id === other.root.digest),
      'every one is tried',
    )
  },
)

t.test('removeImages() touches neither what is being written nor what nobody named', async t => {
  const { directory, store } = await layoutOf(t, { 'other:1': other, 'shop:1': shop })
  const partial = `${hexOf(shop.layers[0]!.digest)}.01234567-1-1.partial`
  for (const name of [partial, 'f'.repeat(64)]) writeFileSync(join(directory, 'blobs/sha256', name), 'x')
  await removeImages(['shop:1'], { store })
  t.same(held(directory), [...reached(directory), partial, 'f'.repeat(64)].sort())
})

t.test(
  'removeImages() removes nothing while it cannot tell what others need, and can remove what is damaged itself',
  async t => {
    const { directory, store } = await layoutOf(t, { 'other:1': other, 'shop:1': shop })
    const manifest = join(directory, blobPath(other.root.digest))
    const right = readFileSync(manifest)
    for (const damage of [
      () => rmSync(manifest),
      () => writeFileSync(manifest, flipped(right)),
      () => writeFileSync(manifest, ''),
    ]) {
      damage()
      const before = [readFileSync(join(directory, INDEX_FILE), 'utf8'), ...held(directory)]
      t.match(await codeOf(removeImages(['shop:1'], { store })), {
        message: /^nothing was removed, .*other:1/,
        hint: /stowage rmi sha256:/,
      })
      t.same([readFileSync(join(directory, INDEX_FILE), 'utf8'), ...held(directory)], before)
      const [broken] = (await listImages({ store })).images.filter(({ error }) => error)
      t.equal(broken?.id, other.root.digest, 'it is listed, with why')
      writeFileSync(manifest, right)
    }
    rmSync(manifest)
    t.match(await removeImages([other.root.digest], { store }), {
      images: [{ removed: [{ untagged: 'docker.io/library/other:1' }, { deleted: other.root.digest }] }],
    })
    t.match(await removeImages(['shop:1'], { store }), { images: [{ error: undefined }] })
    t.same(reached(directory), [])
  },
)

t.test('an index whose platforms were left out keeps what is there', async t => {
  const { directory, store } = await layoutOf(t, { 'multi:1': multi, 'other:1': other })
  const index = JSON.parse(Buffer.from(multi.blobs.get(multi.root.digest)).toString()) as {
    manifests: { digest: `sha256:${string}` }[]
  }
  rmSync(join(directory, blobPath(index.manifests[1]!.digest)))
  t.equal((await listImages({ store, references: ['multi'] })).images[0]?.platforms.length, 2)
  await removeImages(['other:1'], { store })
  t.ok(held(directory).includes(hexOf(index.manifests[2]!.digest)))
})

t.test(
  'removeImages() keeps what others need by ways of their own: a manifest as a layer, an index as a manifest, a list of digests',
  async t => {
    const { directory, store } = await layoutOf(t, { 'other:1': other, 'shop:1': shop, 'copy:1': app })
    const add = (mediaType: string, value: object): Descriptor => {
      const descriptor = describe(mediaType, Buffer.from(JSON.stringify(value)))
      writeFileSync(join(directory, blobPath(descriptor.digest)), JSON.stringify(value))
      return descriptor
    }
    const empty = add('application/vnd.oci.empty.v1+json', {})
    const carrying = add(OCI_MANIFEST, {
      schemaVersion: 2,
      config: empty,
      layers: [{ ...app.root, mediaType: 'application/octet-stream' }],
    })
    const old = add('application/vnd.docker.distribution.manifest.v1+prettyjws', {
      fsLayers: [{ blobSum: shop.layers[2]?.digest }],
    })
    const index = JSON.parse(readFileSync(join(directory, INDEX_FILE), 'utf8')) as { manifests: object[] }
    writeFileSync(
      join(directory, INDEX_FILE),
      JSON.stringify({ ...index, manifests: [carrying, old, ...index.manifests] }),
    )
    t.match((await removeImages(['shop:1'], { store })).images[0]?.error, undefined)
    const there = held(directory)
    for (const digest of [
      ...app.blobs
        .digests()
        .filter(digest =>
          [app.root.digest, app.config.digest, ...app.layers.map(layer => layer.digest)].includes(digest),
        ),
      shop.layers[2]!.digest,
    ]) {
      t.ok(there.includes(hexOf(digest)), digest)
    }
    t.notOk(there.includes(hexOf(shop.root.digest)))
  },
)

t.test('a bundle is listed and never changed', async t => {
  const root = t.testdir()
  for (const path of [join(root, 'site'), join(root, 'site.tar')]) {
    await writeBundle(path, { 'nanoserver:1': nano, 'shop:1': shop })
    const store = `bundle:${path}`
    t.same(
      (await listImages({ store })).images.map(({ base }) => base?.id),
      [nano.root.digest, undefined],
    )
    t.equal((await imageHistory('shop:1', { store })).chain.length, 2)
    await t.rejects(tagImage('shop:1', 'shop:2', { store }), { code: 'UNSUPPORTED' })
    t.match(await codeOf(removeImages(['shop:1'], { store })), { code: 'UNSUPPORTED' })
  }
  const directory = `oci:${join(root, 'site')}`
  await t.rejects(
    tagImage('shop:1', 'shop:2', { store: directory }),
    { code: 'OUTPUT_EXISTS' },
    'nor through its other name',
  )
  t.match(await codeOf(removeImages(['shop:1'], { store: directory })), { code: 'OUTPUT_EXISTS' })
  await t.rejects(commitContainer('web', 'x:1', { store: directory }), { code: 'UNSUPPORTED' })
  await t.rejects(listImages({ store: 'docker://x' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(listImages({ store: `oci:${root}/nothing` }), { code: 'FILE_NOT_FOUND' })
})
