import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { BlobStore } from '../../../src/blob/blob-store.js'
import { readImage } from '../../../src/blob/closure.js'
import { openLayoutDestination } from '../../../src/transport/oci/destination.js'
import { blobPath } from '../../../src/oci/layout.js'
import { digestOf } from '../../../src/oci/digest.js'
import { parseReference } from '../../../src/oci/reference.js'
import { removeImages } from '../../../src/verbs/remove.js'
import { writeBundle } from '../../support/bundles.js'
import {
  flipped,
  layeredImage,
  makeImage,
  makeLayer,
  multiPlatformImage,
  noise,
  type TestImage,
  windowsImage,
  writeLayout,
} from '../../support/images.js'
import { held, reached } from '../../support/stored.js'

async function write(directory: string, { blobs, root }: TestImage, ...names: string[]) {
  await using destination = await openLayoutDestination(directory)
  return await destination.write(await readImage(blobs, root), blobs, names.map(parseReference))
}

async function entries(directory: string): Promise<[string, string | undefined][]> {
  const index = JSON.parse(await readFile(join(directory, 'index.json'), 'utf8'))
  return index.manifests.map((entry: any) => [entry.digest, entry.annotations?.['org.opencontainers.image.ref.name']])
}

t.test('openLayoutDestination() writes a layout that skopeo reads', async t => {
  const layout = join(t.testdir(), 'a/b/layout')
  const [shop, multi] = [await layeredImage(2), await multiPlatformImage()]
  t.match(await write(layout, shop, 'shop:2.3'), { id: shop.root.digest, skipped: 0 })
  await write(layout, multi, 'team/multi:v1')
  for (const [ref, image] of [
    ['2.3', shop],
    ['v1', multi],
  ] as const) {
    const raw = execFileSync('skopeo', ['inspect', '--raw', `oci:${layout}:${ref}`])
    t.equal(digestOf(raw), image.root.digest)
  }
  for (const digest of multi.blobs.digests()) t.equal(digestOf(await readFile(join(layout, blobPath(digest)))), digest)
})

t.test('openLayoutDestination() moves a name to the new image, and keeps what others wrote', async t => {
  const layout = join(t.testdir(), 'layout')
  const [one, two, three] = [await layeredImage(1), await layeredImage(2), await layeredImage(3)]
  await writeLayout(layout, { 'old:1': three })
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'))
  index.manifests[0].future = 'kept'
  index.annotations = { 'who.knows': 'kept' }
  await writeFile(join(layout, 'index.json'), JSON.stringify(index))
  await write(layout, one, 'shop:v1')
  await write(layout, two, 'shop:v1')
  t.same(await entries(layout), [
    [three.root.digest, '1'],
    [two.root.digest, 'v1'],
  ])
  t.match(JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')), {
    annotations: { 'who.knows': 'kept' },
    manifests: [{ future: 'kept' }],
  })
  await write(layout, one, 'other/shop:v1')
  t.same(
    (await entries(layout)).at(-1),
    [one.root.digest, 'docker.io/other/shop:v1'],
    'the tag is taken, so it is called by its full name',
  )
})

t.test('openLayoutDestination() keeps an image without a name, once', async t => {
  const layout = join(t.testdir(), 'layout')
  const image = await layeredImage(1)
  await write(layout, image)
  await write(layout, image)
  t.same(await entries(layout), [[image.root.digest, undefined]])
  await write(layout, image, 'shop:1')
  t.same(await entries(layout), [[image.root.digest, '1']])
})

t.test('openLayoutDestination() does not believe a file because of its name', async t => {
  const layout = join(t.testdir(), 'layout')
  const image = await layeredImage(2)
  await write(layout, image, 'shop:1')
  const path = join(layout, blobPath(image.layers[0]!.digest))
  await writeFile(path, flipped(await readFile(path)))
  t.match(await write(layout, image, 'shop:1'), { sent: image.layers[0]!.size })
  t.equal(digestOf(await readFile(path)), image.layers[0]!.digest)
})

t.test('openLayoutDestination() names nothing when a blob is wrong', async t => {
  const layout = join(t.testdir(), 'layout')
  const image = await layeredImage(2)
  image.blobs.set(image.layers[1]!.digest, flipped(image.blobs.get(image.layers[1]!.digest)))
  await t.rejects(write(layout, image, 'shop:1'), { code: 'DIGEST_MISMATCH' })
  t.same(await readdir(layout), ['blobs', 'oci-layout'])
  t.notOk((await readdir(join(layout, 'blobs/sha256'))).some(name => name.endsWith('.partial')))
})

t.test('openLayoutDestination() refuses a directory with something else in it, and a bundle', async t => {
  const root = t.testdir({ photos: { 'a.jpg': '' } })
  await t.rejects(openLayoutDestination(join(root, 'photos')), { code: 'NOT_A_LAYOUT' })
  await t.rejects(openLayoutDestination(join(root, 'photos/a.jpg')), { code: 'OUTPUT_EXISTS' })
  await writeBundle(join(root, 'site'), { 'shop:1': await layeredImage(1) })
  await t.rejects(openLayoutDestination(join(root, 'site')), { code: 'OUTPUT_EXISTS', message: /bundle/ })
})

t.test('openLayoutDestination() loses no entry when many write at once', async t => {
  const layout = join(t.testdir(), 'layout')
  const image = await windowsImage()
  const script = `
    import { openLayoutDestination } from ${JSON.stringify(new URL('../../../src/transport/oci/destination.ts', import.meta.url).href)}
    import { readImage } from ${JSON.stringify(new URL('../../../src/blob/closure.ts', import.meta.url).href)}
    import { parseReference } from ${JSON.stringify(new URL('../../../src/oci/reference.ts', import.meta.url).href)}
    import { openLayoutSource } from ${JSON.stringify(new URL('../../../src/transport/oci/source.ts', import.meta.url).href)}
    const [, from, to, prefix] = process.argv
    const source = await openLayoutSource(from)
    const [{ root }] = await source.images()
    const content = await readImage(source, root)
    const destination = await openLayoutDestination(to)
    for (let n = 0; n < 15; n++) await destination.write(content, source, [parseReference(prefix + n + ':v' + n)])
  `
  const from = join(t.testdirName, 'from')
  await writeLayout(from, { 'win:1': image })
  const children = ['a', 'b', 'c'].map(prefix =>
    spawn(process.execPath, [...process.execArgv, '--input-type=module', '--eval', script, from, layout, prefix], {
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  )
  for (const code of await Promise.all(children.map(async child => (await once(child, 'close'))[0]))) t.equal(code, 0)
  t.equal((await entries(layout)).length, 45)
  t.same((await readdir(layout)).sort(), ['blobs', 'index.json', 'oci-layout'], 'no lock and no temporary file is left')
})

t.test('openLayoutDestination() brings again what another process removed while it copied', async t => {
  const layout = join(t.testdir(), 'layout')
  const shared = [await makeLayer({ a: noise(5000, 'a') }), await makeLayer({ b: noise(5000, 'b') })]
  const [one, two] = [
    makeImage(shared),
    makeImage([...shared, await makeLayer({ c: 'the smallest, which comes last' })]),
  ]
  await writeLayout(layout, { 'one:1': one })
  const last = two.layers[2]
  let removals = 0
  const source: BlobStore = {
    has: async blob => await two.blobs.has(blob),
    async *fetch(blob) {
      if (blob.digest === last?.digest && removals++ === 0) {
        const { images } = await removeImages(['one:1'], { store: `oci:${layout}` })
        t.equal(images[0]?.error, undefined)
      }
      yield* two.blobs.fetch(blob)
    },
  }
  await using destination = await openLayoutDestination(layout)
  await destination.write(await readImage(two.blobs, two.root), source, [parseReference('two:1')], { jobs: 1 })
  t.equal(removals, 1, 'it was removed after the others were found there')
  t.same(held(layout), reached(layout), 'and every blob is there again')
  t.same(await entries(layout), [[two.root.digest, '1']])
})

t.test('a lock of a process that is gone is not a reason to wait', async t => {
  const layout = join(t.testdir(), 'layout')
  const image = await layeredImage(1)
  const content = await readImage(image.blobs, image.root)
  await mkdir(layout)
  await using destination = await openLayoutDestination(layout)
  await writeFile(join(layout, '.stowage.lock'), `process 99999999 on ${hostname()}\n`)
  const start = Date.now()
  await destination.write(content, image.blobs, [])
  t.ok(Date.now() - start < 20_000, 'thirty seconds it would be')
})

t.test('openLayoutDestination() waits for a lock, and takes one over that was left long ago', async t => {
  const layout = join(t.testdir(), 'layout')
  const image = await layeredImage(1)
  await write(layout, image, 'shop:1')
  const lock = join(layout, '.stowage.lock')
  await writeFile(lock, '')
  setTimeout(() => void rm(lock), 300)
  const start = Date.now()
  await write(layout, image, 'shop:2')
  t.ok(Date.now() - start >= 250)
  await writeFile(lock, '')
  await utimes(lock, new Date(0), new Date(0))
  await write(layout, image, 'shop:3')
  await t.rejects(stat(lock), { code: 'ENOENT' })
  t.equal((await entries(layout)).length, 3)
})
