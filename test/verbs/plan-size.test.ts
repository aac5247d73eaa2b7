/** A plan says to the byte how large the output will be, and what else would fit if it is too large. */
import { execFileSync } from 'node:child_process'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { encodeInventory } from '../../src/delta/inventory-file.js'
import type { TransferPlan } from '../../src/transfer/planner.js'
import { copy, planCopy } from '../../src/verbs/copy.js'
import { takeInventory } from '../../src/verbs/inventory.js'
import { pack } from '../../src/verbs/pack.js'
import { planPack } from '../../src/verbs/pack-plan.js'
import type { PackOptions } from '../../src/verbs/pack-requests.js'
import { layeredImage, multiPlatformImage, windowsImage, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const from = scratch(t)
const registry = await startRegistry(t)
await writeLayout(join(from, 'layout'), {
  'one:1': await layeredImage(2),
  'two:1': await layeredImage(3),
  'multi:1': await multiPlatformImage(),
  'win:1': await windowsImage(),
})
const at = (name: string): string => `oci:${join(from, 'layout')}:${name}`
await copy(at('two:1'), `docker://${registry.domain}/lab/two:1`)
await copy(at('one:1'), `docker-archive:${join(from, 'one.tar')}`)
writeFileSync(join(from, 'notes.txt'), 'read me\n')
writeFileSync(join(from, 'empty'), '')
await pack([at('one:1')], join(from, 'base'))
const inventory = join(from, 'site.json')
writeFileSync(inventory, encodeInventory(await takeInventory(`bundle:${join(from, 'base')}`)))

/** What GNU find says that is there: the sizes of all files below a directory. */
function sizesBelow(directory: string): readonly number[] {
  const lines = execFileSync('find', [directory, '-type', 'f', '-printf', '%s\n'], { encoding: 'utf8' })
  return lines.trim().split('\n').map(Number)
}

const sum = (sizes: readonly number[]): number => sizes.reduce((all, size) => all + size, 0)

const SOURCES: Readonly<Record<string, readonly string[]>> = {
  'images of a layout': [at('one:1'), at('two:1'), at('multi:1'), at('win:1')],
  'an image of a registry': [`docker://${registry.domain}/lab/two:1`],
  'a docker archive': [`docker-archive:${join(from, 'one.tar')}`],
}
const FILES = [
  { from: join(from, 'notes.txt'), path: 'docs/notes.txt' },
  { from: join(from, 'empty'), path: 'empty' },
]
const SETTINGS: Readonly<Record<string, PackOptions>> = {
  'as they are': {},
  'with files and a date': { files: FILES, epoch: 1_700_000_000 },
  'with recovery data': { recovery: 7 },
  'one platform': { platforms: ['linux/amd64'] },
  'one platform, its index stripped': { platforms: ['linux/amd64'], sparse: 'strip' },
  'a delta': { have: [inventory] },
}
const OUTPUTS: Readonly<Record<string, PackOptions>> = {
  site: {},
  'site.tar': {},
  'volumes.tar': { volumeSize: 65536 },
}

for (const [source, images] of Object.entries(SOURCES)) {
  for (const [setting, options] of Object.entries(SETTINGS)) {
    if (source !== 'images of a layout' && options.platforms) continue
    t.test(`${source}, ${setting}: the plan has the size that find sees afterwards`, async t => {
      for (const [name, form] of Object.entries(OUTPUTS)) {
        const directory = scratch(t)
        const all = { ...options, ...form }
        const wanted = options.platforms ? [at('multi:1')] : images
        const { output, room, exact } = await planPack(wanted, join(directory, name), all)
        await pack(wanted, join(directory, name), all)
        const sizes = sizesBelow(directory)
        t.same(
          { size: output?.size, files: output?.files, largest: output?.largest, certainty: output?.certainty },
          { size: sum(sizes), files: sizes.length, largest: Math.max(...sizes), certainty: 'exact' },
          name,
        )
        t.ok(exact)
        t.ok((room?.needed ?? 0) >= sum(sizes) && (room?.needed ?? 0) < sum(sizes) + (sizes.length + 10) * 4096, name)
      }
    })
  }
}

t.test('an update, and a directory that an interrupted run has left', async t => {
  const directory = scratch(t)
  const site = join(directory, 'site')
  await pack([at('one:1')], site)
  const before = sum(sizesBelow(site))
  const { output, room } = await planPack([at('one:1'), at('two:1')], site, { update: true })
  await pack([at('one:1'), at('two:1')], site, { update: true })
  const after = sum(sizesBelow(site))
  t.equal(output?.size, after)
  t.ok((room?.needed ?? 0) < after - before + 20 * 4096, 'what is there is not needed again')
  t.match((await planPack([at('one:1'), at('two:1')], site)).room, { needed: 0 }, 'nothing for the same again')
})

t.test('a compressed tar has at most the planned size, and one for standard output is a file first', async t => {
  const directory = scratch(t)
  for (const name of ['site.tar.gz', 'site.tar.zst']) {
    const { output } = await planPack([at('multi:1')], join(directory, name))
    await pack([at('multi:1')], join(directory, name))
    t.equal(output?.certainty, 'at most')
    t.ok(statSync(join(directory, name)).size <= (output?.size ?? 0))
  }
  t.match(await planPack([at('one:1')], '-'), { output: { form: 'tar', certainty: 'exact' } })
})

t.test('copies to archives and bundles are known to the byte, and to a layout in blocks', async t => {
  for (const form of ['oci-archive:', 'oci-archive::v1', 'docker-archive:', 'bundle:', 'bundle-tar:']) {
    for (const name of ['one:1', 'multi:1', 'win:1']) {
      const directory = scratch(t)
      const file = join(directory, form === 'bundle:' ? 'site' : 'x.tar')
      const to = form.replace('bundle-tar', 'bundle').replace(/:(.*)$/, `:${file}$1`)
      const plan = await planCopy(at(name), to)
      await copy(at(name), to)
      t.equal(plan.output?.size, sum(sizesBelow(directory)), `${name} to ${form}`)
    }
  }
  const directory = scratch(t)
  for (const name of ['one:1', 'two:1', 'multi:1']) {
    const used = (): number => sum(sizesBelow(directory).map(size => Math.ceil(size / 4096) * 4096))
    const before = used()
    const plan: TransferPlan = await planCopy(at(name), `oci:${join(directory, 'store')}`)
    await copy(at(name), `oci:${join(directory, 'store')}`)
    const [needed, taken] = [plan.room?.needed ?? 0, used() - before]
    t.ok(needed >= taken && needed <= taken + 6 * 4096, `${name}: ${needed} for ${taken}`)
    t.equal(plan.output, undefined)
  }
  t.ok(readdirSync(directory).includes('store'))
})
