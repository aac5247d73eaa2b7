/** What registries have of an image, without writing to them. Source: OCI distribution-spec, "Pull". */
import pMap from 'p-map'
import { blobsOf } from '../../blob/closure.js'
import type { DestinationSurvey } from '../../image/destination-survey.js'
import type { Descriptor } from '../../oci/descriptor.js'
import type { Registries } from '../../registry/registries.js'
import { nameless } from './destination.js'

/** Questions to ask at a time. */
const AT_ONCE = 10

/** Asks the registries in the names of the images for each blob and manifest. The caller disposes of `registries`. */
export function surveyRegistry(registries: Registries): DestinationSurvey {
  /** Registries and digests of the blobs that are there, or would be: they are mounted. */
  const known = new Set<string>()
  return {
    async measure(image, names, { signal } = {}) {
      if (names.length === 0) throw nameless(image.root.digest)
      const places = new Map(names.map(({ domain, path }) => [`${domain}/${path}`, { domain, path }]))
      const manifests = new Set(image.manifests.map(({ descriptor }) => descriptor.digest))
      let [send, present] = [0, 0]
      for (const { domain, path } of places.values()) {
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
    async [Symbol.asyncDispose]() {},
  }
}
