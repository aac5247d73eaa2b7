import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { openRegistryDestination } from '../../src/transport/registry/destination.js'
import { parseReference } from '../../src/oci/reference.js'
import { openRegistry } from '../../src/registry/client.js'
import { stowage } from '../support/command.js'
import { makeImage, makeLayer, MemoryBlobs, noise } from '../support/images.js'
import { startFaultyProxy, startRegistry } from '../support/registry.js'

const COUNT = 200

t.test(
  '200 images that share layers are packed with each blob asked for once, and loaded into another registry',
  async t => {
    const cwd = t.testdir()
    const registry = await startRegistry(t)
    const blobs = new MemoryBlobs()
    const shared = await Promise.all(
      Array.from(
        { length: 20 },
        async (_, n) => await makeLayer({ [`shared-${n}`]: noise(20_000 + n, `shared ${n}`) }),
      ),
    )
    const names: string[] = []
    {
      await using destination = openRegistryDestination({ env: {} })
      for (let n = 0; n < COUNT; n += 1) {
        const own = await makeLayer({ [`own-${n}`]: noise(3_000, `own ${n}`) })
        const image = makeImage([...shared.slice(n % 10, (n % 10) + 10), own], { blobs })
        const name = `${registry.domain}/team-${n % 7}/app-${n}:1.${n}`
        names.push(name)
        await destination.write(await readImage(blobs, image.root), blobs, [parseReference(name)])
      }
    }
    const proxy = await startFaultyProxy(t, registry, () => undefined)
    const through = names.map(name => name.replace(registry.domain, proxy.domain))
    const packed = await stowage(['pack', ...through, '-o', 'site.tar', '--json'], { cwd })
    t.equal(packed.code, 0, packed.stderr)
    const asked = proxy.requests
      .filter(({ line }) => line.startsWith('GET') && line.includes('/blobs/'))
      .map(({ line }) => line.split('/').at(-1))
    t.equal(new Set(asked).size, asked.length, 'no blob twice, whatever images have it')
    t.equal(asked.length, 20 - 1 + COUNT + COUNT, 'layers, and a config of each image')
    t.equal((await stowage(['verify', 'site.tar'], { cwd })).code, 0)

    const site = await startRegistry(t)
    const loaded = await stowage(['load', 'site.tar', '--to', `docker://${site.domain}`, '--jobs', '4'], { cwd })
    t.equal(loaded.code, 0, loaded.stderr)
    execFileSync('skopeo', [
      'copy',
      '--quiet',
      '--src-tls-verify=false',
      `docker://${site.domain}/team-3/app-199:1.199`.replace('team-3', `team-${199 % 7}`),
      `oci:${join(cwd, 'one')}:1`,
    ])
    t.equal(readdirSync(join(cwd, 'one', 'blobs', 'sha256')).length, 11 + 2)
  },
)

t.test('10,000 tags are listed, as many as a registry gives at a time', async t => {
  const registry = await startRegistry(t)
  const image = makeImage([await makeLayer({ a: 'b' })])
  {
    await using destination = openRegistryDestination({ env: {} })
    const name = parseReference(`${registry.domain}/team/shop:1.0`)
    await destination.write(await readImage(image.blobs, image.root), image.blobs, [name])
  }
  // As the registry keeps them: putting each by a request of its own would take minutes
  const tags = join(registry.blobFile(image.root.digest), '../../../../../repositories/team/shop/_manifests/tags')
  for (let n = 1; n < 10_000; n += 1) cpSync(join(tags, '1.0'), join(tags, `1.${n}`), { recursive: true })
  await using client = await openRegistry(registry.domain, { env: {} })
  const found: string[] = []
  for await (const tag of client.tags('team/shop')) found.push(tag)
  t.equal(new Set(found).size, 10_000)
})
