/** `bundle:`: a bundle as a source, as a destination, and as a sealed store. */
import { STANDARD_STREAM } from '../../archive/standard-stream.js'
import { sourceDateEpoch } from '../../tar/source-date-epoch.js'
import { pathAndRef } from '../grammar.js'
import type { Transport } from '../transport.js'

const FORM = 'bundle:PATH[:REF]'

export const bundle: Transport = {
  scheme: 'bundle',
  ...pathAndRef('bundle', FORM),
  source: {
    form: FORM,
    manifests: 'kept',
    pin: 'ref',
    open: async ({ path, ref }, { layers, beside, trust, onNotice, signal, onProgress }) =>
      await (
        await import('../../bundle/reader.js')
      ).openBundleReader(path, { ref, layers, beside, trust, onNotice, signal, onProgress }),
  },
  destination: {
    form: 'bundle:PATH',
    naming: 'names',
    takesRef: false,
    artifacts: true,
    additive: true,
    disk: ({ path }) => (path === STANDARD_STREAM ? undefined : path),
    spools: true,
    seals: true,
    verifies: true,
    streams: true,
    open: async ({ path }, { signal, onProgress, sparse, verify }) =>
      await (
        await import('../../bundle/writer.js')
      ).openBundleWriter(path, { signal, onProgress, epoch: sourceDateEpoch(), sparse, verify }),
    survey: async ({ path }, { sparse }) => await (await import('./survey.js')).surveyBundle(path, sparse),
  },
  store: {
    form: 'bundle:PATH',
    sealed: true,
    open: async ({ path }, { signal }) => await (await import('./store.js')).openBundleStore(path, { signal }),
  },
  inventory: {
    form: 'bundle:PATH',
    async read({ path }, { signal, onNotice, onProgress }) {
      const options = { layers: false, signal, onNotice, onProgress }
      await using reader = await (await import('../../bundle/reader.js')).openBundleReader(path, options)
      const { images, assumes } = reader.manifest
      return (await import('../../bundle/inventory.js')).bundleInventory(`bundle:${path}`, images, assumes?.images)
    },
  },
  serve: async ({ path, ref }, options) => await (await import('./shelf.js')).openBundleShelf(path, ref, options),
}
