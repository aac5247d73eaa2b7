import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openBundleReader } from '../../src/bundle/reader.js'
import { type BundleWriter, openBundleWriter } from '../../src/bundle/writer.js'
import { openLayoutDestination } from '../../src/destination/layout.js'
import { systemCode } from '../../src/errors.js'
import { formatReference } from '../../src/oci/reference.js'
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
            (await reader.images()).flatMap(({ root, names }) => names.map(each => [formatReference(each), root.digest])),
          )
        },
      }
    })
  })
}
