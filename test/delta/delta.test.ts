/** A delta leaves out what its destination has, is loaded only there, and together with the rest is the whole bundle. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseBundleManifest } from '../../src/bundle/manifest.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { encodeInventory } from '../../src/delta/inventory-file.js'
import { blobPath } from '../../src/oci/layout.js'
import { copy } from '../../src/verbs/copy.js'
import { diffPlaces } from '../../src/verbs/diff.js'
import { takeInventory } from '../../src/verbs/inventory.js'
import { loadBundle, planLoad } from '../../src/verbs/load.js'
import { mergeBundles } from '../../src/verbs/merge.js'
import { pack } from '../../src/verbs/pack.js'
import { planPack } from '../../src/verbs/pack-plan.js'
import type { PackOptions } from '../../src/verbs/pack-requests.js'
import { verifyAgainst } from '../../src/verbs/verify-against.js'
import { splitBundle } from '../../src/verbs/volumes.js'
import { readTree } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { layeredImage, multiPlatformImage, type TestImage, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const [march, april] = [join(root, 'march'), join(root, 'april')]
const shop = { old: await layeredImage(3, { seed: 'shop' }), new: await layeredImage(4, { seed: 'shop' }) }
const monitor = await layeredImage(2, { seed: 'monitor' })
const both = await multiPlatformImage()
await writeLayout(march, { 'shop:1': shop.old, 'monitor:1': monitor, 'both:1': both })
await writeLayout(april, { 'shop:1': shop.new, 'monitor:1': monitor, 'both:1': both })
const names = ['shop:1', 'monitor:1', 'both:1']
const packed = async (layout: string, output: string, options: PackOptions = {}) =>
  await pack(
    names.map(name => `oci:${layout}:${name}`),
    output,
    { epoch: 0, ...options },
  )
await packed(march, join(root, 'first'))
await packed(april, join(root, 'second'))
await packed(april, join(root, 'second.tar'))
await packed(april, join(root, 'delta'), { have: [join(root, 'first')] })
await packed(april, join(root, 'delta.tar'), { have: [join(root, 'first')] })

const fresh = shop.new.layers[3]
const shared = shop.new.layers.slice(0, 3).map(({ digest }) => digest)

async function siteWith(bundle: string, t: Parameters<typeof scratch>[0]): Promise<string> {
  const site = join(scratch(t), 'site')
  await loadBundle(bundle, { to: `oci:${site}` })
  return site
}

/** The blobs of a layout or a bundle. */
function blobs(directory: string): readonly string[] {
  return execFileSync('ls', [join(directory, 'blobs', 'sha256')], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean)
}

t.test('a delta has only what is new, and says what it leaves out', async t => {
  const { images, assumes } = parseBundleManifest(readFileSync(join(root, 'delta', 'bundle.json')))
  t.same(
    images.map(image => image.names),
    [['docker.io/library/shop:1']],
  )
  t.same(
    assumes?.images.map(image => image.names),
    [['docker.io/library/both:1'], ['docker.io/library/monitor:1']],
  )
  t.same(
    assumes?.layers.map(({ digest }) => digest),
    shared.toSorted(),
  )
  t.same(
    blobs(join(root, 'delta')),
    [shop.new.root, shop.new.config, fresh].map(blob => blob?.digest.slice(7)).sort(),
    'the manifest, the config and the new layer',
  )
  t.ok(statSync(join(root, 'delta.tar')).size < (fresh?.size ?? 0) * 1.1)
  for (const form of ['delta', 'delta.tar']) {
    const report = await verifyBundle(join(root, form))
    t.match(report, { ok: true, assumes: { layers: { length: 3 } } }, form)
  }
  execFileSync('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: join(root, 'delta') })
})

t.test('an inventory gives the same delta as the bundle that was loaded', async t => {
  const site = await siteWith(join(root, 'first'), t)
  const inventory = join(scratch(t), 'site.json')
  const { stdout } = await stowage(['inventory', `oci:${site}`])
  writeFileSync(inventory, stdout)
  const { manifest } = await packed(april, join(scratch(t), 'x'), { have: [inventory] })
  const known = parseBundleManifest(readFileSync(join(root, 'delta', 'bundle.json')))
  t.same(manifest.images, known.images)
  t.same(manifest.assumes?.images, known.assumes?.images)
  t.same(
    manifest.assumes?.layers.map(({ digest }) => digest),
    known.assumes?.layers.map(({ digest }) => digest),
  )
  t.match(manifest.assumes?.sources, [{ place: `oci:${site}` }])
})

t.test('a delta is loaded where the rest is, and the images are whole there', async t => {
  const site = await siteWith(join(root, 'first'), t)
  for (const form of ['delta', 'delta.tar']) {
    const { images, present } = await loadBundle(join(root, form), { to: `oci:${site}` })
    t.match(images, [{ names: ['docker.io/library/shop:1'], error: undefined }], form)
    t.same(present?.length, 2)
  }
  const copied = join(scratch(t), 'copy')
  execFileSync('skopeo', ['copy', '-q', `oci:${site}:docker.io/library/shop:1`, `dir:${copied}`])
  t.ok(readFileSync(join(copied, 'manifest.json')).equals(shop.new.blobs.get(shop.new.root.digest)))
})

t.test('where the rest is not, nothing is written, and what is missing is named', async t => {
  const empty = join(scratch(t), 'empty')
  await t.rejects(loadBundle(join(root, 'delta'), { to: `oci:${empty}` }), {
    code: 'BASE_MISSING',
    message: new RegExp(
      `oci:${empty} does not have what the delta .* leaves out: images: both:1, monitor:1; layers: sha256:`,
    ),
  })
  t.notOk(existsSync(empty))
  const site = await siteWith(join(root, 'first'), t)
  rmSync(join(site, blobPath(shared[1] ?? 'sha256:')))
  const before = await readTree(site)
  await t.rejects(loadBundle(join(root, 'delta.tar'), { to: `oci:${site}` }), {
    message: new RegExp(`layers: ${shared[1]} .*shop:1`),
  })
  t.same(await readTree(site), before)
  await t.rejects(planLoad(join(root, 'delta'), { to: `oci:${site}` }), { code: 'BASE_MISSING' })
  await t.rejects(copy(`bundle:${join(root, 'delta')}:shop:1`, `oci:${empty}`), { code: 'BASE_MISSING' })
  t.notOk(existsSync(empty))
  const { code, stderr } = await stowage(['load', join(root, 'delta'), '--to', `oci:${empty}`])
  t.equal(code, 3)
  t.match(stderr, /hint: Nothing was written\. Load the bundle that has the rest first/)
})

t.test('an image at the site that is another one now is not there', async t => {
  const site = await siteWith(join(root, 'first'), t)
  await copy(`oci:${march}:shop:1`, `oci:${site}`, { name: 'monitor:1' })
  await t.rejects(loadBundle(join(root, 'delta'), { to: `oci:${site}` }), { message: /leaves out: images: monitor:1$/ })
})

t.test('destinations that need whole images, and commands that do, say so', async t => {
  const delta = join(root, 'delta')
  const out = scratch(t)
  for (const to of [`docker-archive:${join(out, 'x.tar')}`, `oci-archive:${join(out, 'y.tar')}`]) {
    await t.rejects(loadBundle(delta, { to }), {
      code: 'UNSUPPORTED',
      message: /takes only whole images, not those of a delta/,
    })
  }
  await t.rejects(pack([`bundle:${delta}`], join(out, 'z')), {
    code: 'BASE_MISSING',
    message: /is a delta, which leaves out blobs/,
  })
  const served = await stowage(['serve', delta, '--listen', '127.0.0.1:0'])
  t.match(served, { code: 1, stderr: /is a delta: its images are not whole, so it cannot be served/ })
  t.same(await readTree(out), new Map())
})

t.test('a whole bundle from a delta has the bytes that packing everything gives', async t => {
  const out = scratch(t)
  for (const [form, whole] of [
    ['x.tar', 'second.tar'],
    ['x', 'second'],
  ] as const) {
    const { manifest } = await mergeBundles([join(root, 'first')], join(root, 'delta.tar'), join(out, form))
    t.notOk(manifest.assumes)
    if (form === 'x.tar') t.ok(readFileSync(join(out, form)).equals(readFileSync(join(root, whole))))
    else t.same(await readTree(join(out, form)), await readTree(join(root, whole)))
    t.same((await verifyBundle(join(out, form))).findings, [])
  }
  const { stdout } = await stowage(['merge', join(root, 'first'), join(root, 'delta'), '-o', join(out, 'y')])
  t.match(stdout, /Merged 3 images into .*\nIt is a new bundle: signatures of its parts do not cover it\.\n$/)
  await t.rejects(mergeBundles([join(root, 'first')], join(root, 'second'), join(out, 'z')), {
    message: /is not a delta/,
  })
  await packed(march, join(out, 'part'), {})
  rmSync(join(out, 'part'), { recursive: true })
  await pack([`oci:${march}:monitor:1`], join(out, 'part'))
  await t.rejects(mergeBundles([join(out, 'part')], join(root, 'delta'), join(out, 'z')), {
    code: 'BASE_MISSING',
    message: new RegExp(`none of the bundles has what .* leaves out: ${shared[0]}, .* which shop:1 needs`),
  })
  t.notOk(existsSync(join(out, 'z')))
})

t.test('deltas of deltas: each trip carries what is new since the last', async t => {
  const out = scratch(t)
  const may = join(out, 'may')
  const newest = await layeredImage(5, { seed: 'shop' })
  await writeLayout(may, { 'shop:1': newest, 'monitor:1': monitor, 'both:1': both })
  const { manifest } = await packed(may, join(out, 'third'), { have: [join(root, 'delta')] })
  t.equal(manifest.images.length, 1)
  t.equal(manifest.assumes?.layers.length, 4)
  const site = await siteWith(join(root, 'first'), t)
  await t.rejects(loadBundle(join(out, 'third'), { to: `oci:${site}` }), {
    message: new RegExp(`layers: ${fresh?.digest}`),
  })
  await loadBundle(join(root, 'delta'), { to: `oci:${site}` })
  t.match((await loadBundle(join(out, 'third'), { to: `oci:${site}` })).images, [{ error: undefined }])
  await packed(may, join(out, 'whole'))
  await mergeBundles([join(root, 'first'), join(root, 'delta')], join(out, 'third'), join(out, 'merged'))
  t.same(await readTree(join(out, 'merged')), await readTree(join(out, 'whole')))
})

t.test('some platforms: what was left behind stays so', async t => {
  const out = scratch(t)
  const options = { epoch: 0, platforms: ['linux/amd64', 'linux/s390x'] }
  await pack([`oci:${march}:both:1`], join(out, 'some'), options)
  const { manifest } = await pack([`oci:${april}:both:1`, `oci:${april}:shop:1`], join(out, 'delta'), {
    ...options,
    platforms: undefined,
    have: [join(out, 'some')],
  })
  t.equal(manifest.images.length, 2, 'the other platforms are new')
  const same = await pack([`oci:${april}:both:1`], join(out, 'same'), { ...options, have: [join(out, 'some')] })
  t.match(same.manifest, { images: [], assumes: { images: [{ absent: { length: 1 } }] } })
  await mergeBundles([join(out, 'some')], join(out, 'same'), join(out, 'merged'))
  t.same(await readTree(join(out, 'merged')), await readTree(join(out, 'some')))
  const site = await siteWith(join(out, 'some'), t)
  t.match(await loadBundle(join(out, 'same'), { to: `oci:${site}` }), { images: [], present: { length: 1 } })
})

t.test('verify --against says what is missing', async t => {
  const site = await siteWith(join(root, 'first'), t)
  const inventory = join(scratch(t), 'site.json')
  writeFileSync(inventory, encodeInventory(await takeInventory(`oci:${site}`)))
  for (const place of [inventory, join(root, 'first'), `oci:${site}`]) {
    const { code, stdout } = await stowage(['verify', join(root, 'delta'), '--against', place])
    t.equal(code, 0, place)
    t.match(stdout, /A delta: it leaves out 2 images and 3 layers \(601kB\), which .* has\n/)
  }
  const other = join(scratch(t), 'other')
  await pack([`oci:${march}:monitor:1`], other)
  const lost = await stowage(['verify', join(root, 'delta.tar'), '--against', other])
  t.equal(lost.code, 3)
  t.match(
    lost.stdout,
    new RegExp(
      `BASE_MISSING  blobs/sha256/${shared[0]?.slice(7)}: it is left out, and is not there; docker.io/library/shop:1 needs it`,
    ),
  )
  t.match(lost.stdout, /BASE_MISSING {2}docker\.io\/library\/both:1: the image is left out/)
  const plain = await stowage(['verify', join(root, 'delta')])
  t.match(plain, { code: 0, stdout: /to check that a place has them: stowage verify .* --against PLACE/ })
  t.match(
    await verifyAgainst(join(root, 'second'), [other]),
    { ok: true, assumes: undefined },
    'a whole bundle needs nothing',
  )
})

t.test('a delta that is damaged, or lies about what it leaves out, is found', async t => {
  const out = scratch(t)
  cpSync(join(root, 'delta'), join(out, 'x'), { recursive: true })
  rmSync(join(out, 'x', blobPath(fresh?.digest ?? 'sha256:')))
  t.match((await verifyBundle(join(out, 'x'))).findings, [{ code: 'FILE_MISSING' }])
  cpSync(join(root, 'delta'), join(out, 'y'), { recursive: true })
  const file = join(out, 'y', 'bundle.json')
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as { assumes: { layers: { digest: string; size: number }[] } }
  manifest.assumes.layers[0] = { digest: `sha256:${'0'.repeat(64)}`, size: 5 }
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`)
  execFileSync('sh', ['-c', 'cut -c67- SHA256SUMS | xargs sha256sum > sums && mv sums SHA256SUMS'], {
    cwd: join(out, 'y'),
  })
  const { findings } = await verifyBundle(join(out, 'y'))
  t.match(findings.map(({ code }) => code).sort(), ['BLOB_MISSING', 'IMAGES_DIFFER'])
  t.match(
    findings.find(({ code }) => code === 'IMAGES_DIFFER')?.message,
    /it leaves out sha256:000.* which no image has/,
  )
})

t.test('other tools refuse a delta instead of making a broken image of it', async t => {
  const out = scratch(t)
  for (const from of [
    `oci:${join(root, 'delta')}:1`,
    `oci-archive:${join(root, 'delta.tar')}:1`,
    `docker-archive:${join(root, 'delta.tar')}`,
  ]) {
    const { status, stderr } = spawnSync('skopeo', ['copy', '-q', from, `oci:${join(out, 'x')}:1`], {
      encoding: 'utf8',
    })
    t.not(status, 0, from)
    t.match(stderr, from.startsWith('docker') ? /this is a delta/ : /no such file or directory|not found/, from)
  }
  t.notOk(existsSync(join(out, 'x', 'index.json')))
})

t.test('volumes and compressed tars of a delta', async t => {
  const out = scratch(t)
  await splitBundle(join(root, 'delta.tar'), join(out, 'x.tar'), { volumeSize: 100_000 })
  await packed(april, join(out, 'delta.tar.gz'), { have: [join(root, 'first')] })
  for (const form of ['x.tar.001', 'delta.tar.gz']) {
    const site = await siteWith(join(root, 'first'), t)
    t.match((await verifyBundle(join(out, form))).findings, [])
    t.match((await loadBundle(join(out, form), { to: `oci:${site}` })).images, [{ error: undefined }], form)
  }
})

t.test('--dry-run counts what a delta would carry', async t => {
  const images = names.map(name => `oci:${april}:${name}`)
  const plan = await planPack(images, join(scratch(t), 'x'), { have: [join(root, 'first')] })
  t.equal(plan.images.length, 1)
  t.equal(
    plan.send,
    [shop.new.root, shop.new.config, fresh].reduce((sum, blob) => sum + (blob?.size ?? 0), 0),
  )
})

t.test('nothing in common: the bundle is whole', async t => {
  const other = join(scratch(t), 'other')
  await writeLayout(other, { 'else:1': await layeredImage(1, { seed: 'else' }) })
  const { manifest } = await pack([`oci:${other}:else:1`], join(scratch(t), 'x'), { have: [join(root, 'first')] })
  t.notOk(manifest.assumes)
})

t.test('a delta for several sites leaves out what each of them has, and loads at each', async t => {
  // The second site has the old shop, and nothing else
  await pack([`oci:${march}:shop:1`], join(root, 'other'), { epoch: 0 })
  const [here, there] = [await siteWith(join(root, 'first'), t), await siteWith(join(root, 'other'), t)]
  const inventories = []
  for (const [name, site] of Object.entries({ here, there })) {
    const file = join(scratch(t), `${name}.json`)
    writeFileSync(file, encodeInventory(await takeInventory(`oci:${site}`)))
    inventories.push(file)
  }
  const [first = '', second = ''] = inventories
  const together = join(scratch(t), 'together')
  await packed(april, together, { have: inventories })
  await t.rejects(loadBundle(together, { to: `oci:${there}` }), { code: 'BASE_MISSING' }, '--have is about one site')

  const delta = join(scratch(t), 'delta')
  const words = names.map(name => `oci:${april}:${name}`)
  const { code, stdout, stderr } = await stowage(
    ['pack', ...words, '-o', delta, '--have', first, '--also-for', second],
    { env: { SOURCE_DATE_EPOCH: '0' } },
  )
  t.equal(code, 0, stderr)
  t.match(stdout, /A delta: it leaves out 3 layers \([\d.]+\w+\), which each of its 2 destinations is to have/)
  const { assumes, images } = parseBundleManifest(readFileSync(join(delta, 'bundle.json')))
  t.match(assumes, { images: [], sources: [{ site: 1 }, { site: 2 }] })
  t.same(assumes?.layers.map(({ digest }) => digest).sort(), shared.toSorted())
  t.equal(images.length, names.length, 'images that only one of them has are in it')
  const turned = join(scratch(t), 'turned')
  await packed(april, turned, { have: [second], alsoFor: [first] })
  t.same(readFileSync(join(turned, 'bundle.json')), readFileSync(join(delta, 'bundle.json')), 'in either order')
  t.match((await planPack(words, undefined, { have: [first], alsoFor: [second] })).images, { length: names.length })
  for (const site of [here, there]) {
    t.match(await verifyAgainst(delta, [`oci:${site}`]), { ok: true })
    const loaded = await loadBundle(delta, { to: `oci:${site}` })
    t.same(
      loaded.images.map(({ error }) => error),
      names.map(() => undefined),
    )
    const whole = join(scratch(t), 'whole')
    await packed(site, whole)
    t.same(readFileSync(join(whole, 'SHA256SUMS')), readFileSync(join(root, 'second', 'SHA256SUMS')), 'all is there')
  }
  await t.rejects(packed(april, join(scratch(t), 'x'), { alsoFor: [second] }), {
    code: 'INVALID_ARGUMENT',
    hint: /--have/,
  })
})

t.test('a registry has layers in each of its repositories', async t => {
  const site = await startRegistry(t)
  await loadBundle(join(root, 'first'), { to: `docker://${site.domain}/mirror` })
  const inventory = join(scratch(t), 'site.json')
  const wrote = await stowage(['inventory', `docker://${site.domain}/mirror`, '-o', inventory])
  t.match(wrote, { code: 0, stdout: /Wrote .*: 3 images/ })
  const { manifest } = await packed(april, join(scratch(t), 'x'), { have: [inventory] })
  t.equal(manifest.assumes?.images.length, 2)
  t.equal(manifest.assumes?.layers.length, 3)
  const delta = join(scratch(t), 'delta.tar')
  await packed(april, delta, { have: [inventory] })
  const { images, present } = await loadBundle(delta, { to: `docker://${site.domain}/mirror` })
  t.match({ images, present }, { images: [{ error: undefined }], present: { length: 2 } })
  execFileSync('skopeo', [
    'copy',
    '-q',
    '--src-tls-verify=false',
    `docker://${site.domain}/mirror/library/shop:1`,
    `dir:${join(scratch(t), 'y')}`,
  ])
  await t.rejects(loadBundle(delta, { to: `docker://${site.domain}/elsewhere` }), { code: 'BASE_MISSING' })
  const moved = join(scratch(t), 'renamed')
  await writeLayout(moved, { 'store:1': shop.new })
  const renamed = await pack([`oci:${moved}:store:1`], join(scratch(t), 'z'), { have: [inventory] })
  t.notOk(renamed.manifest.assumes, 'another repository does not have them')
})

t.test('diff shows images, layers and sizes', async t => {
  const { images, layers } = await diffPlaces(join(root, 'first'), join(root, 'second'))
  t.match(images, [
    { name: 'docker.io/library/both:1', change: 'same' },
    { name: 'docker.io/library/monitor:1', change: 'same' },
    { name: 'docker.io/library/shop:1', change: 'changed', newLayers: 1, newSize: fresh?.size },
  ])
  t.match(layers, { added: 1, addedSize: fresh?.size, removed: 0 })
  const { stdout } = await stowage(['diff', join(root, 'second'), `bundle:${join(root, 'first')}`])
  t.match(
    stdout,
    /~ +shop:1 .*\nImages: 0 added, 0 removed, 1 changed, 2 the same\nLayers: 0 added \(0B\), 1 removed \(200kB\)/,
  )
})

t.test('an inventory that is none, or of a later version, is refused with what to do', async t => {
  const file = join(scratch(t), 'x.json')
  const said = async (text: string) => {
    writeFileSync(file, text)
    const { code, stderr } = await stowage(['pack', `oci:${april}:shop:1`, '-o', join(scratch(t), 'x'), '--have', file])
    return `${code} ${stderr}`
  }
  t.match(
    await said('{"schema":"x"}'),
    /^4 stowage: .*x\.json is not an inventory: its schema is "x".*\nhint: Make one: stowage inventory > FILE/,
  )
  t.match(
    await said('{"schema":"stowage.inventory/v2"}'),
    /^1 stowage: .*is stowage\.inventory\/v2; this version of Stowage reads stowage\.inventory\/v1/,
  )
  t.match(
    await said(
      '{"schema":"stowage.inventory/v1","place":"oci:x","kind":"blobs","digests":[],"sizes":[],"images":[{"names":[],"id":0}]}',
    ),
    /^4 .*images\[0\]\.id: expected the number of one of 0 digests but found 0/,
  )
})

t.test('500 images are a small inventory', async t => {
  const layout = join(scratch(t), 'many')
  const base = await layeredImage(5, { size: 100, seed: 'base' })
  const images: Record<string, TestImage> = {}
  for (let n = 0; n < 500; n++)
    images[`registry.example/team/application-${String(n).padStart(3, '0')}:1.2.3`] = await layeredImage(3, {
      size: 100,
      seed: `own-${n}`,
    })
  images['registry.example/team/base:1'] = base
  await writeLayout(layout, images)
  const { stdout, code } = await stowage(['inventory', `oci:${layout}`])
  t.equal(code, 0)
  t.comment(`${stdout.length} bytes for 501 images of 1505 layers`)
  t.ok(stdout.length < 200_000)
})

t.test('a layer that many images have is proved by a few of them, those that are replaced first', async t => {
  const [out, held, now] = [scratch(t), join(scratch(t), 'held'), join(scratch(t), 'now')]
  const images: Record<string, TestImage> = {}
  for (let n = 1; n <= 20; n += 1) images[`app-${n}:1`] = await layeredImage(n, { size: 100, seed: 'base' })
  await writeLayout(held, images)
  await writeLayout(now, { 'app-7:1': await layeredImage(21, { size: 100, seed: 'base' }) })
  const inventory = join(out, 'site.json')
  t.match(await stowage(['inventory', `oci:${held}`, '-o', inventory]), { code: 0 })
  const { manifest } = await pack([`oci:${now}`], join(out, 'delta'), { have: [inventory] })
  const layers = manifest.assumes?.layers ?? []
  t.equal(layers.length, 20)
  for (const { manifests = [] } of layers) t.ok(manifests.length > 0 && manifests.length <= 8, String(manifests.length))
  const replaced = images['app-7:1']?.root.digest
  t.equal(layers.filter(({ manifests = [] }) => replaced && manifests.includes(replaced)).length, 7)
})
