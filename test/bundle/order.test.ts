/** The same inputs give the same bundle, in whatever order they are named, from wherever, with any number of jobs. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pack } from '../../src/verbs/pack.js'
import type { PackOptions } from '../../src/verbs/pack-requests.js'
import { readTree } from '../support/bundles.js'
import { layeredImage, multiPlatformImage, noise, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const root = t.testdir({ tree: { one: 'one', two: { three: '3' } }, other: { four: '4' } })
const layout = join(root, 'layout')
await writeLayout(layout, {
  'shop:1': await layeredImage(3, { seed: 'shop' }),
  'monitor:1': await layeredImage(2, { seed: 'monitor' }),
  'both:1': await multiPlatformImage(),
})
writeFileSync(join(root, 'a.bin'), noise(1000, 'a'))
writeFileSync(join(root, 'b.bin'), noise(1000, 'b'))

const images = [
  `oci:${layout}:shop:1`,
  { image: `dir:${join(root, 'tree')}`, names: ['tree:1'] },
  `oci:${layout}:monitor:1`,
  { image: `dir:${join(root, 'other')}`, names: ['other:1', 'another:2'] },
  { image: `oci:${layout}:both:1`, platforms: ['linux/s390x'] },
]
const files = [
  { from: join(root, 'b.bin'), path: 'b.bin' },
  { from: join(root, 'a.bin'), path: 'docs/a.bin' },
]

/** `images` with the names of each in the other order. */
const turned = images
  .map(image => (typeof image === 'string' ? image : { ...image, names: image.names?.toReversed() }))
  .toReversed()

for (const [form, read] of [
  ['x.tar', async (path: string) => readFileSync(path).toString('latin1')],
  [
    'x',
    async (path: string) =>
      JSON.stringify([...(await readTree(path))].map(([file, bytes]) => [file, bytes.toString('latin1')])),
  ],
] as const) {
  t.test(`the order of arguments does not change ${form}`, async t => {
    const options: PackOptions = { epoch: 0, files }
    const [one, two] = [join(scratch(t), form), join(scratch(t), form)]
    await pack(images, one, options)
    await pack(turned, two, { ...options, files: files.toReversed(), jobs: 1 })
    t.ok((await read(one)) === (await read(two)), 'the same bytes')
    const [moved, three] = [scratch(t), join(scratch(t), form)]
    mkdirSync(join(moved, 'zz'))
    execFileSync('cp', ['-a', join(root, 'tree'), join(moved, 'zz', 'tree')])
    execFileSync('cp', ['-a', join(root, 'other'), join(moved, 'other')])
    const elsewhere = images.map(image =>
      typeof image === 'string' || !image.image.startsWith('dir:')
        ? image
        : {
            ...image,
            image: image.image.includes('tree') ? `dir:${join(moved, 'zz', 'tree')}` : `dir:${join(moved, 'other')}`,
          },
    )
    await pack(elsewhere, three, options)
    t.ok((await read(three)) === (await read(one)), 'from wherever')
  })
}
