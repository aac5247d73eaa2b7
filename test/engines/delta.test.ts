/** A delta at real engines: made from an inventory, loaded, proved, and refused by engines that are handed it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encodeInventory } from '../../src/delta/inventory-file.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { takeInventory } from '../../src/verbs/inventory.js'
import { verifyAgainst } from '../../src/verbs/verify-against.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { startEngine, type TestEngine } from '../support/engine.js'
import { busyboxLayer, GREETING, layeredImage, makeImage, makeLayer, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const [march, april] = [join(root, 'march'), join(root, 'april')]
const base = await busyboxLayer()
const own = async (version: string) => await makeLayer({ version, padding: '.'.repeat(50_000) })
const config = { config: { Cmd: ['/bin/busybox', 'echo', GREETING] } }
const shop = {
  old: makeImage([base, await own('1')], { config: { config } }),
  new: makeImage([base, await own('1'), await own('2')], { config }),
}
const monitor = await layeredImage(2, { seed: 'monitor' })
await writeLayout(march, { 'shop:1': shop.old, 'monitor:1': monitor })
await writeLayout(april, { 'shop:1': shop.new, 'monitor:1': monitor })
const first = join(root, 'first')
await pack([`oci:${march}:shop:1`, `oci:${march}:monitor:1`], first)
const second = [`oci:${april}:shop:1`, `oci:${april}:monitor:1`]

/** What `docker images` shows. */
async function images(engine: TestEngine): Promise<readonly string[]> {
  const { stdout } = await engine.docker('images', '-a', '--no-trunc', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}')
  return stdout.split('\n').filter(Boolean).sort()
}

const ENGINES: Readonly<Record<string, { readonly start: () => Promise<TestEngine>; readonly blobs: boolean }>> = {
  "this machine's Docker with its own store": { start: async () => await startEngine(), blobs: false },
  'Docker 26 with the containerd store': {
    start: async () => await startDebianEngine('trixie', 'containerd'),
    blobs: true,
  },
  'Docker 28 with the containerd store': {
    start: async () => await startDebianEngine('forky', 'containerd'),
    blobs: true,
  },
}

for (const [title, { start, blobs }] of Object.entries(ENGINES)) {
  t.test(title, async t => {
    const engine = await start()
    t.teardown(() => engine.stop())
    const { host } = engine
    const receipt = join(scratch(t), 'receipt.json')
    await loadBundle(first, { host, receipt })
    const version = await engine.docker(
      'version',
      '--format',
      '{{.Server.Version}} {{.Server.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}',
    )
    const { proof } = JSON.parse(readFileSync(receipt, 'utf8'))
    t.equal(`${proof.engine} ${proof.api} ${proof.platform}`, `Docker ${version.stdout.trim()}`)
    t.match(proof, { host, proved: ['id', 'layers', 'platform'] })
    const inventory = join(scratch(t), 'site.json')
    writeFileSync(inventory, encodeInventory(await takeInventory('docker-daemon:', { host })))
    // An engine with containerd's store does not say which blobs it has: what was loaded there does
    const have = blobs ? [inventory, receipt] : [inventory]
    const delta = join(scratch(t), 'delta.tar')
    const { manifest } = await pack(second, delta, { have })
    t.match(manifest.images, [{ names: ['docker.io/library/shop:1'] }])
    t.match(manifest.assumes, { images: [{ names: ['docker.io/library/monitor:1'] }], layers: { length: 2 } })
    const alone = await pack(second, join(scratch(t), 'x'), { have: [inventory] })
    t.equal(alone.manifest.assumes?.layers.length, blobs ? 0 : 2, 'with the inventory alone')

    const before = await images(engine)
    const { code, stdout, stderr } = await engine.docker('load', '-i', delta)
    t.not(code, 0, 'docker load refuses it')
    t.match(stdout + stderr, /delta, incomplete without what is at its destination: load it with/)
    t.same(await images(engine), before, 'and nothing has changed')

    t.match(await verifyAgainst(delta, ['docker-daemon:'], { host }), { ok: true })
    const loaded = await loadBundle(delta, { host })
    t.match(loaded.images, [{ error: undefined }])
    t.equal(loaded.present?.length, 1)
    t.equal((await images(engine)).length, before.length + 1, 'the old one has no name now')
    const ran = await engine.docker('run', '--rm', '--network', 'none', 'shop:1')
    t.equal(ran.stdout, `${GREETING}\n`)
    const saved = join(scratch(t), 'saved.tar')
    t.equal((await engine.docker('save', '-o', saved, 'shop:1')).code, 0)
    await t.resolves(pack([`docker-archive:${saved}`], join(scratch(t), 'whole')), 'and it is whole: it can be saved')

    await engine.docker('rmi', '-f', 'shop:1', 'monitor:1')
    await engine.docker('image', 'prune', '-f')
    await t.rejects(loadBundle(delta, { host }), { code: 'BASE_MISSING', message: /images: monitor:1/ })
    t.same(await images(engine), [], 'nothing was loaded')
  })
}
