import { cp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { openBundleWriter } from '../../src/bundle/writer.js'
import { blobPath } from '../../src/oci/layout.js'
import { parseReference } from '../../src/oci/reference.js'
import { pack } from '../../src/verbs/pack.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { readTree, sumsAgree } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { flipped, makeImage, makeLayer, noise, type TestImage, writeLayout } from '../support/images.js'

/** Two images that share a layer, as a layout, and a bundle of the first. */
async function standing(t: Test) {
  const root = t.testdir()
  const shared = await makeLayer({ shared: noise(400_000, 'shared') })
  const one = makeImage([shared, await makeLayer({ one: noise(1_500_000, 'one') })])
  const two = makeImage([shared, await makeLayer({ two: noise(1_600_000, 'two') })])
  const layout = join(root, 'layout')
  await writeLayout(layout, { 'shop:1': one, 'shop:2': two })
  const [bundle, first, second] = [join(root, 'site'), `oci:${layout}:shop:1`, `oci:${layout}:shop:2`]
  await pack([first], bundle)
  return { root, bundle, first, second, one, two, before: await stateOf(bundle) }
}

/** All files with their bytes, and what would tell that one was written again. */
async function stateOf(bundle: string): Promise<readonly (readonly [string, string, number, number])[]> {
  const files = await readTree(bundle)
  return await Promise.all(
    [...files].map(async ([path, bytes]) => {
      const { ino, mtimeMs } = await stat(join(bundle, path))
      return [path, bytes.toString('latin1'), ino, mtimeMs] as const
    }),
  )
}

async function isWhole(bundle: string): Promise<boolean> {
  return (
    (await verifyBundle(bundle)).findings.length === 0 &&
    sumsAgree(bundle) &&
    !(await readdir(bundle)).includes('INCOMPLETE')
  )
}

t.test('packing the same again writes nothing, with --update or without', async t => {
  const { bundle, first, before } = await standing(t)
  for (const update of [false, true]) {
    const { unchanged, manifest } = await pack([first], bundle, { update })
    t.ok(unchanged)
    t.equal(manifest.images.length, 1)
    t.same(await stateOf(bundle), before)
  }
  const told = await stowage(['pack', first, '-o', bundle])
  t.equal(told.code, 0, told.stderr)
  t.match(told.stdout, /Nothing new: .* already holds 1 image/)
  t.match(JSON.parse((await stowage(['pack', first, '-o', bundle, '--json'])).stdout), { unchanged: true })
})

t.test('packing something else into it is refused as it stands, and the bundle is untouched', async t => {
  const { bundle, first, second, before } = await standing(t)
  for (const [images, names] of [[[first, second]], [[second]], [[first], ['shop:other']]] as const) {
    await t.rejects(pack(images, bundle, { names }), { code: 'OUTPUT_EXISTS', hint: /--update/ })
    t.same(await stateOf(bundle), before)
  }
})

t.test('--update adds what is new, leaves what stays, and removes what is no longer named', async t => {
  const { root, bundle, first, second, one, two, before } = await standing(t)
  const inode = (state: typeof before, path: string) => state.find(([known]) => known === path)?.[2]
  const shared = blobPath(one.layers[0]!.digest)
  t.notOk((await pack([first, second], bundle, { update: true })).unchanged)
  t.ok(await isWhole(bundle))
  t.equal(inode(await stateOf(bundle), shared), inode(before, shared), 'a blob that was there is not written again')
  await pack([second], bundle, { update: true })
  t.ok(await isWhole(bundle))
  const fresh = join(root, 'fresh')
  await pack([second], fresh)
  t.same(await readTree(bundle), await readTree(fresh), 'the same bundle as one that is made anew')
  t.equal(one.layers.length, two.layers.length)
})

t.test('--update that fails, or is interrupted, leaves the bundle as it was', async t => {
  const { root, bundle, first, two, before } = await standing(t)
  const broken = join(root, 'broken')
  const image: TestImage = { ...two, blobs: two.blobs }
  await writeLayout(broken, { 'shop:2': image })
  const layer = join(broken, blobPath(two.layers[1]!.digest))
  await writeFile(layer, flipped(await readFile(layer)))
  await t.rejects(pack([first, `oci:${broken}:shop:2`], bundle, { update: true }), { code: 'DIGEST_MISMATCH' })
  t.same(await stateOf(bundle), before)
  const stop = new AbortController()
  const aborted = pack([first, `oci:${join(root, 'layout')}:shop:2`], bundle, {
    update: true,
    signal: stop.signal,
    onProgress: event => void (event.type === 'bytes' && event.done > 500_000 && stop.abort()),
  })
  await t.rejects(aborted, { code: 'ABORTED' })
  t.same(await stateOf(bundle), before)
})

t.test('a blob that is newer than the bundle, or has another size, is not taken for what it was', async t => {
  const { bundle, first, one } = await standing(t)
  const path = join(bundle, blobPath(one.layers[1]!.digest))
  const right = await readFile(path)
  await writeFile(path, flipped(right))
  await utimes(path, new Date(), new Date(Date.now() + 60_000))
  await t.rejects(pack([first], bundle), { code: 'OUTPUT_EXISTS', message: new RegExp(one.layers[1]!.digest) })
  await writeFile(path, right.subarray(1))
  await t.rejects(pack([first], bundle), { code: 'OUTPUT_EXISTS' })
  await pack([first], bundle, { update: true, names: ['shop:other'] })
  t.ok(await isWhole(bundle), 'with --update it is mended')
  t.ok((await readFile(path)).equals(right))
})

t.test('files beside the images are compared, replaced and removed with them', async t => {
  const { root, bundle, first } = await standing(t)
  const [from, path] = [join(root, 'note.txt'), 'notes/a.txt']
  await writeFile(from, 'one')
  await t.rejects(pack([first], bundle, { files: [{ from, path }] }), { code: 'OUTPUT_EXISTS' })
  await pack([first], bundle, { files: [{ from, path }], update: true })
  t.ok(await isWhole(bundle))
  t.ok((await pack([first], bundle, { files: [{ from, path }] })).unchanged)
  await writeFile(from, 'two')
  await pack([first], bundle, { files: [{ from, path }], update: true })
  t.equal(await readFile(join(bundle, 'files', path), 'utf8'), 'two')
  t.ok(await isWhole(bundle))
  await pack([first], bundle, { update: true })
  t.ok(await isWhole(bundle))
  t.notOk((await readTree(bundle)).has(`files/${path}`))
})

t.test('what is not a whole bundle is not taken for one', async t => {
  const { root, bundle, first } = await standing(t)
  for (const [name, spoil] of [
    ['unmarked', async (at: string) => await rm(join(at, 'bundle.json'))],
    ['foreign', async (at: string) => await writeFile(join(at, 'SHA256SUMS'), 'x')],
  ] as const) {
    const spoiled = join(root, name)
    await cp(bundle, spoiled, { recursive: true, preserveTimestamps: true })
    await spoil(spoiled)
    await t.rejects(pack([first], spoiled, { update: true }), { code: 'OUTPUT_EXISTS' }, name)
  }
})

t.test('one that another command changed meanwhile is not written over', async t => {
  const { bundle, second, two } = await standing(t)
  await using writer = await openBundleWriter(bundle, { update: true })
  const image = await readImage(two.blobs, two.root)
  await writer.write(image, two.blobs, [parseReference('shop:3')])
  await pack([second], bundle, { update: true })
  await t.rejects(writer.seal(), { code: 'OUTPUT_EXISTS', message: /another command/ })
})
