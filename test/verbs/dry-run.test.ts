/** A dry run writes nothing, and says of each verb what the verb then does. */
import { rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openRegistry } from '../../src/registry/client.js'
import type { TransferPlan } from '../../src/transfer/planner.js'
import { copy, planCopy } from '../../src/verbs/copy.js'
import { loadBundle, planLoad } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { planPack } from '../../src/verbs/pack-plan.js'
import { planPull, pullImages } from '../../src/verbs/pull.js'
import { planPush, pushImages } from '../../src/verbs/push.js'
import { readTree } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { layeredImage, multiPlatformImage, windowsImage, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const from = scratch(t)
const registry = await startRegistry(t)
const inRegistry = (name: string): string => `${registry.domain}/${name}`
// Two images that share a layer, one of several platforms, a Windows image
const names = ['lab/one:1', 'lab/two:1', 'lab/multi:1', 'lab/win:1'].map(inRegistry)
const [one, two, multi] = names as [string, string, string, string]
await writeLayout(join(from, 'layout'), {
  [one]: await layeredImage(2),
  [two]: await layeredImage(3),
  [multi]: await multiPlatformImage(),
  [names[3]!]: await windowsImage(),
})
const layout = `oci:${join(from, 'layout')}`
const bundle = join(from, 'bundle.tar')
const all = names.map(name => `${layout}:${name}`)
await pack(all, bundle)

interface Bytes {
  readonly send: number
  readonly present: number
}

const sum = (results: readonly { sent: number; skipped: number; error?: Error | undefined }[]): Bytes => {
  for (const { error } of results) if (error) throw error
  return {
    send: results.reduce((total, { sent }) => total + sent, 0),
    present: results.reduce((total, { skipped }) => total + skipped, 0),
  }
}

interface Way {
  /** What is at the destination already. */
  readonly before?: (root: string) => Promise<unknown>
  readonly plan: (root: string) => Promise<TransferPlan>
  readonly run: (root: string) => Promise<Bytes>
}

const WAYS: Readonly<Record<string, Way>> = {
  'copy to an empty layout': {
    plan: async root => await planCopy(`${layout}:${two}`, `oci:${join(root, 'to')}`),
    run: async root => sum([await copy(`${layout}:${two}`, `oci:${join(root, 'to')}`)]),
  },
  'copy to a layout that has some of it': {
    before: async root => await copy(`${layout}:${one}`, `oci:${join(root, 'to')}`),
    plan: async root => await planCopy(`${layout}:${two}`, `oci:${join(root, 'to')}`),
    run: async root => sum([await copy(`${layout}:${two}`, `oci:${join(root, 'to')}`)]),
  },
  'copy of one platform to an archive of docker': {
    plan: async root => await planCopy(`${layout}:${multi}`, `docker-archive:${join(root, 'x.tar')}`),
    run: async root => {
      const { sent } = await copy(`${layout}:${multi}`, `docker-archive:${join(root, 'x.tar')}`)
      return { send: sent, present: 0 }
    },
  },
  'load of everything': {
    plan: async root => await planLoad(bundle, { to: `oci:${join(root, 'to')}` }),
    run: async root => sum((await loadBundle(bundle, { to: `oci:${join(root, 'to')}` })).images),
  },
  'load of one platform of one image': {
    plan: async root =>
      await planLoad(bundle, { to: `oci:${join(root, 'to')}`, names: [multi], platforms: ['linux/s390x'] }),
    run: async root => {
      const options = { to: `oci:${join(root, 'to')}`, names: [multi], platforms: ['linux/s390x'] }
      return sum((await loadBundle(bundle, options)).images)
    },
  },
  'load into a registry that has one of the images': {
    before: async () => await copy(`${layout}:${one}`, `docker://${inRegistry('site/lab/one:1')}`),
    plan: async () => await planLoad(bundle, { to: `docker://${inRegistry('site')}`, names: [one, two] }),
    run: async () =>
      sum((await loadBundle(bundle, { to: `docker://${inRegistry('site')}`, names: [one, two] })).images),
  },
  push: {
    plan: async () => await planPush([one, multi], { from: layout }),
    run: async () => sum((await pushImages([one, multi], { from: layout })).images),
  },
  'push again': {
    plan: async () => await planPush([one, two], { from: layout }),
    run: async () => sum((await pushImages([one, two], { from: layout })).images),
  },
  pull: {
    before: async root => await copy(`${layout}:${one}`, `oci:${join(root, 'to')}`),
    plan: async root => await planPull([one, multi], { to: `oci:${join(root, 'to')}` }),
    run: async root => sum((await pullImages([one, multi], { to: `oci:${join(root, 'to')}` })).images),
  },
}

for (const [name, { before, plan, run }] of Object.entries(WAYS)) {
  t.test(`${name}: the dry run says what is done then, and does nothing`, async t => {
    const root = scratch(t)
    await before?.(root)
    const untouched = await readTree(root)
    const planned = await plan(root)
    t.same([...(await readTree(root))], [...untouched], 'nothing was written')
    t.ok(planned.exact)
    const done = await run(root)
    // Manifests are always written to a registry, also where it has them
    const manifests = planned.to?.startsWith('docker:') || name.startsWith('push')
    if (manifests) t.equal(planned.send + planned.present, done.send + done.present)
    if (!manifests || name === 'push') t.same({ send: planned.send, present: planned.present }, done)
    t.ok(planned.send <= done.send)
    if (planned.room) {
      t.ok(planned.room.needed >= planned.send)
      t.ok(planned.room.path.startsWith(root))
      const { bavail, bsize } = statfsSync(root)
      t.ok(Math.abs(planned.room.free - bavail * bsize) < 1e9)
    }
    t.equal(planned.room === undefined, manifests, 'the room of a registry is not known')
  })
}

t.test('a dry run of push writes nothing to the registry', async t => {
  const name = inRegistry('lab/never:1')
  const root = scratch(t)
  await copy(`${layout}:${one}`, `oci:${join(root, 'to')}`, { name })
  t.match(await planPush([name], { from: `oci:${join(root, 'to')}` }), { images: [{ names: [name] }] })
  await using client = await openRegistry(registry.domain)
  t.equal(await client.headManifest('lab/never', '1'), undefined)
  t.equal(await client.hasBlob('lab/never', (await layeredImage(2)).layers[0]!), false)
})

t.test('planPack() knows the size of the tar, what a bundle has, and what it cannot know', async t => {
  const root = scratch(t)
  const tar = await planPack(all, join(root, 'x.tar'))
  const packed = await pack(all, join(root, 'x.tar'))
  t.equal(tar.output!.size, packed.size)
  t.ok(tar.room!.needed >= packed.size && tar.room!.needed < packed.size + 4096, 'room is for all of the tar')
  await t.rejects(planPack(all, join(root, 'x.tar')), { code: 'OUTPUT_EXISTS' })

  await pack([`${layout}:${one}`], join(root, 'site'))
  t.match(await planPack([`${layout}:${one}`], join(root, 'site')), { send: 0 })
  await t.rejects(planPack([`${layout}:${two}`], join(root, 'site')), { code: 'OUTPUT_EXISTS', hint: /--update/ })
  const renamed = { names: ['other:1'] }
  await t.rejects(planPack([`${layout}:${one}`], join(root, 'site'), renamed), { code: 'OUTPUT_EXISTS' })
  const untouched = await readTree(join(root, 'site'))
  const update = await planPack([`${layout}:${two}`], join(root, 'site'), { update: true })
  t.ok(update.send > 200_000 && update.present > 400_000, 'the shared layers are there')
  t.same([...(await readTree(join(root, 'site')))], [...untouched])

  const plain = (await planPack(all, join(root, 'y.tar'))).room?.needed ?? 0
  const beside = (await planPack(all, join(root, 'y.tar.zst'))).room?.needed ?? 0
  t.ok(beside >= 2 * plain && beside < 2.1 * plain, 'the plain tar is beside it')
  t.match(await planPack(all, '-'), { room: { needed: plain } })

  const wim = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')
  const made = await planPack([`wim:${wim}`, `${layout}:${one}`], join(root, 'y.tar'))
  t.match(made, { exact: false, images: [{ location: `wim:${wim}`, platforms: [/^windows/] }, { names: [one] }] })
  t.match(made, {
    images: [{ estimate: true, digest: undefined }, { estimate: undefined }],
    output: { certainty: 'estimate' },
  })
  const { output } = await planPack([`wim:${wim}`], join(root, 'wim.tar'))
  await pack([`wim:${wim}`], join(root, 'wim.tar'))
  const ratio = (output?.size ?? 0) / statSync(join(root, 'wim.tar')).size
  t.ok(ratio > 0.7 && ratio < 1.4, `a WIM's layer is estimated: ${ratio}`)
  t.match(await planPack(all, undefined), { to: undefined, room: undefined })
})

t.test('an image that would fail is named, and the others are planned', async t => {
  const root = scratch(t)
  const absent = inRegistry('lab/absent:1')
  t.match(await planPull([absent, one], { to: `oci:${join(root, 'to')}` }), {
    images: [{ names: [absent], error: { code: 'IMAGE_NOT_FOUND' } }, { names: [one] }],
  })
  t.match(await planPush([absent, one], { from: layout }), {
    images: [{ names: [absent], error: { code: 'IMAGE_NOT_FOUND' } }, { names: [one] }],
  })
  const broken = join(root, 'broken')
  await pack([`${layout}:${one}`, `${layout}:${multi}`], broken)
  const layer = (await layeredImage(2)).layers[1]!.digest.slice(7)
  rmSync(join(broken, 'blobs/sha256', layer))
  t.match(await planLoad(broken, { to: `oci:${join(root, 'to')}` }), {
    images: [{ names: [multi] }, { names: [one], error: { code: 'BLOB_MISSING' } }],
  })
})

t.test('a dry run stores nothing of a compressed source, and refuses what the command refuses', async t => {
  const root = scratch(t)
  const compressed = join(root, 'site.tar.xz')
  await pack(all, compressed)
  const notices: string[] = []
  const options = { onNotice: (text: string) => void notices.push(text) }
  await planCopy(`bundle:${compressed}:${one}`, `oci:${join(root, 'to')}`, options)
  await planPack([`bundle:${compressed}`], join(root, 'again.tar'), options)
  await planLoad(compressed, { to: `oci:${join(root, 'to')}`, ...options })
  t.same(notices, [])
  for (const words of [
    ['pack', `${layout}:${one}`, `${layout}:${two}`, '-o', 'wim:x.wim', '--dry-run'],
    ['install', '--wim', 'x.wim', '--to', 'bundle:-'],
  ])
    t.equal((await stowage(words, { cwd: root })).code, 2, words.join(' '))
})

t.test('the command prints the plan', async t => {
  const cwd = scratch(t)
  const words = ['--dry-run', '--json']
  const planned = await stowage(['load', bundle, '--to', 'oci:to', ...words], { cwd })
  t.equal(planned.code, 0)
  t.match(JSON.parse(planned.stdout), {
    schema: 'stowage.plan/v1',
    to: 'oci:to',
    exact: true,
    images: names.toSorted().map(name => ({ names: [name] })),
    room: { path: cwd },
  })
  const text = await stowage(['copy', `${layout}:${one}`, 'oci:to', '--dry-run'], { cwd })
  t.match(
    text.stdout,
    /^NAME +PLATFORM +SIZE +DIGEST +SEND +PRESENT\n[^]*\nWould send \S+ to oci:to\nNeeds up to \S+ in \S+(?: \(\w+\))?, which has \S+ free\n$/,
  )
  const piped = await stowage(['pack', `${layout}:${one}`, '-o', '-', '--dry-run'], { cwd })
  t.match(piped.stdout, /Would pack \S+ into bundle:-\nMakes a tar of \S+ \(\d+ bytes\)\nNeeds up to .*\n$/)
  for (const verb of [
    ['pull', one, '--to', 'oci:to'],
    ['push', one, '--from', layout],
    ['pack', `${layout}:${one}`, '-o', 'site'],
    ['pack', `${layout}:${one}`, '-o', 'wim:x.wim'],
  ])
    t.match(await stowage([...verb, '--dry-run'], { cwd }), { code: 0, stdout: /Would (send|pack)/ }, verb.join(' '))
  t.same([...(await readTree(cwd)).keys()], [])
})
