/** `oci:`: an OCI image layout on disk; without a path, the default store. */
import { defaultStore } from '../default-store.js'
import { pathAndRef } from '../grammar.js'
import type { Transport } from '../transport.js'

const FORM = 'oci:DIR[:REF]'

export const oci: Transport = {
  scheme: 'oci',
  ...pathAndRef('oci', FORM, defaultStore),
  source: {
    form: FORM,
    manifests: 'kept',
    pin: 'ref',
    open: async ({ path, ref }, { onNotice }) =>
      await (await import('./source.js')).openLayoutSource(path, ref, { onNotice }),
  },
  destination: {
    form: 'oci:DIR',
    naming: 'names',
    takesRef: false,
    artifacts: true,
    additive: true,
    extension: '',
    disk: ({ path }) => path,
    trace: async ({ path }) => await (await import('./trace.js')).traceLayout(path),
    open: async ({ path }) => await (await import('./destination.js')).openLayoutDestination(path),
    survey: async ({ path }) => await (await import('./survey.js')).surveyLayout(path),
  },
  store: {
    form: 'oci:DIR',
    sealed: false,
    open: async ({ path }, { onProgress }) =>
      await (await import('./store.js')).openLayoutStore(path, { mayBeMissing: path === defaultStore(), onProgress }),
  },
  inventory: {
    form: 'oci:DIR',
    read: async ({ path }, { signal, onNotice }) =>
      await (await import('./inventory.js')).layoutInventory(path, { signal, onNotice }),
  },
  serve: async ({ path, ref }, { name }) => await (await import('./shelf.js')).openLayoutShelf(name, path, ref),
}
