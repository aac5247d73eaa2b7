import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { BlobDirectory } from '../../src/blob/directory.js'
import { readVerified } from '../../src/blob/verified.js'
import { openDockerArchiveDestination } from '../../src/transport/archive/docker-destination.js'
import { formatReference, parseReference } from '../../src/oci/reference.js'
import { openDockerArchiveSource } from '../../src/transport/archive/docker-source.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { startEngine, type TestEngine } from '../support/engine.js'
import { GREETING, layeredImage, makeImage, makeLayer, runnableImage, type TestImage } from '../support/images.js'

const twice = await makeLayer({ same: 'the same layer, which older engines save as a link' })
const IMAGES: Readonly<Record<string, TestImage>> = {
  'lab/run:1': await runnableImage(),
  'lab/layers:3': await layeredImage(3),
  'lab/twice:1': makeImage([twice, twice, await makeLayer({ plain: 'plain' }, 'none')]),
}

/** Writes {@link IMAGES} into one archive. */
async function write(file: string): Promise<void> {
  await using destination = await openDockerArchiveDestination(file)
  for (const [name, { blobs, root }] of Object.entries(IMAGES)) {
    await destination.write(await readImage(blobs, root), blobs, [parseReference(name)])
  }
  await destination.finish?.()
}

for (const [kind, start] of [
  ['graphdriver', startEngine],
  ['containerd', async () => await startDebianEngine('trixie', 'containerd')],
] as const) {
  t.test(`an engine with ${kind} loads our archives, and we read what it saves`, async t => {
    const engine = await start()
    t.teardown(() => engine.stop())
    await loadsAndSaves(t, engine)
  })
}

async function loadsAndSaves(t: Test, engine: TestEngine): Promise<void> {
  const directory = t.testdir({ spool: {} })
  const file = join(directory, 'ours.tar')
  await write(file)
  const loaded = await engine.docker('load', '-i', file)
  t.equal(loaded.code, 0, loaded.stderr)
  for (const [name, { diffIds }] of Object.entries(IMAGES)) {
    const { stdout } = await engine.docker('inspect', '--format', '{{json .RootFS.Layers}}', name)
    t.same(JSON.parse(stdout), diffIds, name)
  }
  t.match((await engine.docker('run', '--rm', '--network=none', 'lab/run:1')).stdout, GREETING)

  const saved = join(directory, 'saved.tar')
  const { code, stderr } = await engine.docker('save', '-o', saved, ...Object.keys(IMAGES))
  t.equal(code, 0, stderr)
  execFileSync('gzip', ['-k', '-1', saved])
  for (const path of [saved, `${saved}.gz`]) {
    for (const [name, { config, diffIds }] of Object.entries(IMAGES)) {
      await using source = await openDockerArchiveSource(path, {
        ref: name,
        spool: async () => new BlobDirectory(join(directory, 'spool')),
      })
      const [image] = await source.images()
      t.same(image?.names.map(formatReference), [`docker.io/${name}`])
      const content = await readImage(source, image!.root)
      t.equal(content.configs[0]?.descriptor.digest, config.digest, 'the config is what it was when it was loaded')
      t.same(content.platforms[0]?.config.diffIds, diffIds)
      for (const layer of content.layers) await readVerified(layer, source.fetch(layer), layer.size)
    }
  }
}
