/** What registries have of an image, without writing to them. Source: OCI distribution-spec, "Pull". */
import pMap from 'p-map'
import { blobsOf } from '../../blob/closure.js'
import type { DestinationSurvey } from '../../image/destination-survey.js'
import type { Descriptor } from '../../oci/descriptor.js'
import type { Digest } from '../../oci/digest.js'
import type { Reference } from '../../oci/reference.js'
import type { Registries } from '../../registry/registries.js'
import { nameless } from './destination.js'

/** Questions to ask at a time. */
const AT_ONCE = 10

/** The repositories of `names`, each once. */
function placesOf(names: readonly Reference[]): Iterable<Pick<Reference, 'domain' | 'path'>> {
  return new Map(names.map(({ domain, path }) => [`${domain}/${path}`, { domain, path }])).values()
}

/** Asks the registries in the names of the images for each blob and manifest. The caller disposes of `registries`. */
export function surveyRegistry(registries: Registries): DestinationSurvey {
  /** Registries and digests of the blobs that are there, or would be: they are mounted. */
  const known = new Set<string>()
  return {
    async measure(image, names, { signal } = {}) {
      if (names.length === 0) throw nameless(image.root.digest)
      const manifests = new Set(image.manifests.map(({ descriptor }) => descriptor.digest))
      let [send, present] = [0, 0]
      for (const { domain, path } of placesOf(names)) {
        const client = await registries.get(domain)
        const has = async (blob: Descriptor): Promise<boolean> => {
          if (manifests.has(blob.digest))
            return (await client.headManifest(path, blob.digest, { signal })) !== undefined
          return known.has(`${domain} ${blob.digest}`) || (await client.hasBlob(path, blob, { signal }))
        }
        const blobs = blobsOf(image)
        const found = await pMap(blobs, async blob => ({ blob, there: await has(blob) }), { concurrency: AT_ONCE })
        for (const { blob, there } of found) {
          if (there) present += blob.size
          else send += blob.size
          if (!manifests.has(blob.digest)) known.add(`${domain} ${blob.digest}`)
        }
      }
      return { send, present }
    },
    async lacking(image, names, layers, { signal } = {}) {
      const wanted = image.layers.filter(({ digest }) => layers.has(digest))
      const lost = new Set<Digest>()
      for (const { domain, path } of placesOf(names)) {
        const client = await registries.get(domain)
        const ask = async (layer: Descriptor): Promise<void> => {
          if (!(await client.hasBlob(path, layer, { signal }))) lost.add(layer.digest)
        }
        await pMap(wanted, ask, { concurrency: AT_ONCE })
      }
      return [...lost]
    },
    async unnamed({ names, roots }, { signal } = {}) {
      const there = async ({ domain, path, tag, digest }: Reference): Promise<boolean> => {
        const found = await (await registries.get(domain)).headManifest(path, digest ?? tag ?? 'latest', { signal })
        return found !== undefined && roots.includes(found.digest)
      }
      const found = await pMap(names, async name => ({ name, there: await there(name) }), { concurrency: AT_ONCE })
      return found.flatMap(({ name, there }) => (there ? [] : [name]))
    },
    async [Symbol.asyncDispose]() {},
  }
}
