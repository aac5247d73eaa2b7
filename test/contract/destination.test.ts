import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { openBundleReader } from '../../src/bundle/reader.js'
import { type BundleWriter, openBundleWriter } from '../../src/bundle/writer.js'
import { openDockerArchiveDestination } from '../../src/transport/archive/docker-destination.js'
import type { ImageDestination } from '../../src/image/image-destination.js'
import { openLayoutDestination } from '../../src/transport/oci/destination.js'
import { openOciArchiveDestination } from '../../src/transport/archive/oci-destination.js'
import { openRegistryDestination } from '../../src/transport/registry/destination.js'
import { systemCode } from '../../src/errors.js'
import { digestOf } from '../../src/oci/digest.js'
import { formatReference } from '../../src/oci/reference.js'
import { startRegistry } from '../support/registry.js'
import { destinationContract } from './destination-suite.js'

t.test('layout', async t => {
  destinationContract(t, async directory => {
    const layout = join(directory, 'layout')
    return {
      open: async () => await openLayoutDestination(layout),
      async images() {
        try {
          const { manifests } = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'))
          return new Map(manifests.map((entry: any) => [entry.annotations['io.containerd.image.name'], entry.digest]))
        } catch (error) {
          if (systemCode(error) === 'ENOENT') return new Map()
          throw error
        }
      },
    }
  })
})

for (const name of ['bundle', 'bundle.tar']) {
  t.test(name, async t => {
    destinationContract(t, async directory => {
      let writer: BundleWriter | undefined
      return {
        open: async () => (writer = await openBundleWriter(join(directory, name))),
        async images() {
          // a bundle has its images when it is sealed; one with no image cannot be
          try {
            await writer?.seal()
          } catch {
            return new Map()
          }
          await using reader = await openBundleReader(join(directory, name))
          return new Map(
            (await reader.images()).flatMap(({ root, names }) =>
              names.map(each => [formatReference(each), root.digest]),
            ),
          )
        },
      }
    })
  })
}

for (const [type, open] of [
  ['oci-archive', openOciArchiveDestination],
  ['docker-archive', openDockerArchiveDestination],
] as const) {
  t.test(type, async t => {
    destinationContract(t, async directory => {
      const file = join(directory, 'images.tar')
      let destination: ImageDestination | undefined
      return {
        open: async () => (destination = await open(file)),
        async images() {
          // an archive is there when it is finished; one with no image cannot be
          try {
            await destination?.finish?.()
          } catch {
            await destination?.[Symbol.asyncDispose]()
            const whole = readdirSync(directory).filter(name => !name.endsWith('.partial'))
            t.same(whole, [], 'and nothing looks whole')
            return new Map()
          }
          const index = JSON.parse(execFileSync('tar', ['-xOf', file, 'index.json'], { encoding: 'utf8' }))
          return new Map(
            index.manifests.map((entry: any) => [entry.annotations['io.containerd.image.name'], entry.digest]),
          )
        },
        ...(type === 'oci-archive'
          ? {}
          : {
              rootOf: async ({ blobs, root }) => (await readImage(blobs, root)).platforms[0]?.descriptor.digest ?? '',
            }),
      }
    })
  })
}

t.test('registry', async t => {
  destinationContract(t, async () => {
    // The suite's names are of Docker Hub: they go to a registry of the test's own
    const { domain } = await startRegistry(t)
    return {
      async open() {
        const destination = openRegistryDestination({ backoff: 1, env: {} })
        return {
          write: async (image, blobs, names, options) =>
            await destination.write(
              image,
              blobs,
              names.map(name => ({ ...name, domain })),
              options,
            ),
          [Symbol.asyncDispose]: async () => await destination[Symbol.asyncDispose](),
        }
      },
      async images() {
        const skopeo = (...words: string[]) =>
          execFileSync('skopeo', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        const url = `http://${domain}/v2/_catalog`
        const { repositories } = (await (await fetch(url)).json()) as { repositories: string[] }
        const found = new Map<string, string>()
        for (const repository of repositories) {
          const listed = (await (await fetch(`http://${domain}/v2/${repository}/tags/list`)).json()) as {
            tags?: string[] | null
          }
          for (const tag of listed.tags ?? []) {
            const raw = skopeo('inspect', '--raw', '--tls-verify=false', `docker://${domain}/${repository}:${tag}`)
            found.set(`docker.io/${repository}:${tag}`, digestOf(Buffer.from(raw)))
          }
        }
        return found
      },
    }
  })
})
