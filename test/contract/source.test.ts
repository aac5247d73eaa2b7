import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { BlobDirectory } from '../../src/blob/directory.js'
import { openBundleReader } from '../../src/bundle/reader.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { blobPath } from '../../src/oci/layout.js'
import { parseReference } from '../../src/oci/reference.js'
import { openDirectorySource } from '../../src/transport/directory/source.js'
import { openDockerArchiveSource } from '../../src/transport/archive/docker-source.js'
import { openLayoutSource } from '../../src/transport/oci/source.js'
import { openOciArchiveSource } from '../../src/transport/archive/oci-source.js'
import { openRegistrySource } from '../../src/transport/registry/source.js'
import { dockerArchive } from '../support/archives.js'
import { writeBundle } from '../support/bundles.js'
import {
  flipped,
  layeredImage,
  makeImage,
  makeLayer,
  multiPlatformImage,
  noise,
  writeLayout,
} from '../support/images.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'
import { sourceContract } from './source-suite.js'

const name = 'docker.io/team/shop:2.3'
for (const [kind, image] of [
  ['one platform', await layeredImage(3)],
  ['several platforms', await multiPlatformImage()],
] as const) {
  const damageFile =
    (root: string) =>
    async ({ digest }: Descriptor) => {
      const path = join(root, blobPath(digest))
      await writeFile(path, flipped(await readFile(path)))
    }

  t.test(`layout, ${kind}`, async t => {
    const directory = join(t.testdir(), 'layout')
    await writeLayout(directory, { [name]: image })
    sourceContract(t, {
      open: async () => await openLayoutSource(directory),
      damage: damageFile(directory),
      image,
      name,
    })
  })

  t.test(`bundle directory, ${kind}`, async t => {
    const directory = join(t.testdir(), 'bundle')
    await writeBundle(directory, { [name]: image })
    sourceContract(t, {
      open: async () => await openBundleReader(directory),
      damage: damageFile(directory),
      image,
      name,
    })
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

  /** One bit of the blob turned over where it stands in the tar. */
  const damageTar =
    (tar: string) =>
    async ({ digest }: Descriptor) => {
      const whole = await readFile(tar)
      const at = whole.indexOf(image.blobs.get(digest)) + 10
      whole[at] = (whole[at] ?? 0) ^ 1
      await writeFile(tar, whole)
    }

  for (const [form, command] of [
    ['', undefined],
    ['gzip', ['gzip', '-1']],
    ['zstd', ['zstd', '-q', '--rm']],
  ] as const) {
    t.test(`OCI archive ${form}, ${kind}`, async t => {
      const directory = t.testdir({ spool: {} })
      const tar = join(directory, 'layout.tar')
      await writeLayout(join(directory, 'layout'), { [name]: image })
      execFileSync('tar', ['-cf', tar, '-C', join(directory, 'layout'), '.'])
      if (command) execFileSync(command[0], [...command.slice(1), tar])
      const file = readdirSync(directory).find(each => each.startsWith('layout.tar')) ?? tar
      const spool = join(directory, 'spool')
      const open = async () =>
        await openOciArchiveSource(join(directory, file), { spool: async () => new BlobDirectory(spool) })
      sourceContract(t, { open, damage: command ? damageFile(spool) : damageTar(tar), image, name })
    })

    t.test(`docker archive that is a layout ${form}, ${kind}`, async t => {
      const directory = t.testdir({ spool: {} })
      const tar = join(directory, 'bundle.tar')
      await writeBundle(tar, { [name]: image }) // which docker reads as well
      if (command) execFileSync(command[0], [...command.slice(1), tar])
      const file = readdirSync(directory).find(each => each.startsWith('bundle.tar')) ?? tar
      const spool = join(directory, 'spool')
      const open = async () =>
        await openDockerArchiveSource(join(directory, file), {
          ref: 'team/shop:2.3',
          spool: async () => new BlobDirectory(spool),
        })
      sourceContract(t, { open, damage: command ? damageFile(spool) : damageTar(tar), image, name })
    })
  }

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

/** An image whose manifest is the one that is written around an archive without one. */
const plain = makeImage([
  await makeLayer({ one: noise(50_000, 'one') }, 'none'),
  await makeLayer({ two: noise(70_000, 'two') }, 'none'),
])
const packed = makeImage([
  await makeLayer({ one: noise(50_000, 'one') }),
  await makeLayer({ two: noise(70_000, 'two') }),
])
for (const [kind, image] of [
  ['plain layers', plain],
  ['gzip layers', packed],
] as const) {
  t.test(`docker archive without a layout, ${kind}`, async t => {
    const tar = join(t.testdir(), 'saved.tar')
    await writeFile(tar, await dockerArchive([{ image, tags: ['team/shop:2.3'] }]))
    const damage = async ({ digest }: Descriptor) => {
      const whole = await readFile(tar)
      const at = whole.indexOf(image.blobs.get(digest)) + 10
      whole[at] = (whole[at] ?? 0) ^ 1
      await writeFile(tar, whole)
    }
    sourceContract(t, { open: async () => await openDockerArchiveSource(tar, { spool: noSpool }), damage, image, name })
  })
}

t.test("skopeo's directory", async t => {
  for (const [kind, image] of [
    ['one platform', await layeredImage(3)],
    ['several platforms', await multiPlatformImage()],
  ] as const) {
    t.test(kind, async t => {
      const directory = t.testdir()
      await writeLayout(join(directory, 'layout'), { [name]: image })
      const path = join(directory, 'dir')
      execFileSync('skopeo', [
        'copy',
        '-q',
        '--all',
        '--preserve-digests',
        `oci:${join(directory, 'layout')}:2.3`,
        `dir:${path}`,
      ])
      const damage = async ({ digest }: Descriptor) => {
        const file = join(path, digest.slice(7))
        await writeFile(file, flipped(await readFile(file)))
      }
      const stage = new BlobDirectory(directory)
      sourceContract(t, {
        open: async () => await openDirectorySource(path, { stage, name: parseReference(name) }),
        damage,
        image,
        name,
      })
    })
  }
})

async function noSpool(): Promise<never> {
  throw new TypeError('a plain tar is read in its place')
}
