import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openBundleReader } from '../../src/bundle/reader.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { blobPath } from '../../src/oci/layout.js'
import { openLayoutSource } from '../../src/source/layout.js'
import { openRegistrySource } from '../../src/source/registry.js'
import { writeBundle } from '../support/bundles.js'
import { flipped, layeredImage, multiPlatformImage, writeLayout } from '../support/images.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'
import { sourceContract } from './source-suite.js'

const name = 'docker.io/team/shop:2.3'
for (const [kind, image] of [
  ['one platform', await layeredImage(3)],
  ['several platforms', await multiPlatformImage()],
] as const) {
  const damageFile = (root: string) => async ({ digest }: Descriptor) => {
    const path = join(root, blobPath(digest))
    await writeFile(path, flipped(await readFile(path)))
  }

  t.test(`layout, ${kind}`, async t => {
    const directory = join(t.testdir(), 'layout')
    await writeLayout(directory, { [name]: image })
    sourceContract(t, { open: async () => await openLayoutSource(directory), damage: damageFile(directory), image, name })
  })

  t.test(`bundle directory, ${kind}`, async t => {
    const directory = join(t.testdir(), 'bundle')
    await writeBundle(directory, { [name]: image })
    sourceContract(t, { open: async () => await openBundleReader(directory), damage: damageFile(directory), image, name })
  })

  t.test(`bundle tar, ${kind}`, async t => {
    const tar = join(t.testdir(), 'bundle.tar')
    await writeBundle(tar, { [name]: image })
    const damage = async ({ digest }: Descriptor) => {
      const whole = await readFile(tar)
      const at = whole.indexOf(image.blobs.get(digest)) + 10
      whole[at] = (whole[at] ?? 0) ^ 1
      await writeFile(tar, whole)
    }
    sourceContract(t, { open: async () => await openBundleReader(tar, { ref: 'team/shop:2.3' }), damage, image, name })
  })

  t.test(`registry, ${kind}`, async t => {
    const registry = await startRegistry(t)
    await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
    const damage = async ({ digest }: Descriptor) => {
      const path = registry.blobFile(digest)
      await writeFile(path, flipped(await readFile(path)))
    }
    const open = async () => await openRegistrySource(`${registry.domain}/team/shop:2.3`)
    sourceContract(t, { open, damage, image, name: `${registry.domain}/team/shop:2.3` })
  })
}
