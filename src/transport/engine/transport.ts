/** `docker-daemon:`: the image store of a Docker Engine. */
import { StowageError } from '../../errors.js'
import { nameToGive } from '../../oci/reference.js'
import type { Transport } from '../transport.js'

const SCHEME = 'docker-daemon'
const FORM = 'docker-daemon:NAME[:TAG]'

export const engine: Transport = {
  scheme: SCHEME,
  title: 'the Docker Engine',
  onDisk: false,
  parse: rest => ({ scheme: SCHEME, path: '', ref: rest === '' ? undefined : rest }),
  format: ({ ref }) => `${SCHEME}:${ref ?? ''}`,
  source: {
    form: FORM,
    manifests: 'unread',
    async open({ ref }, { host, spool, signal, onProgress }) {
      const name = required(ref)
      return await (
        await import('./source.js')
      ).openEngineSource(name, {
        host,
        spool: await spool(),
        signal,
        onProgress,
      })
    },
  },
  destination: {
    form: 'docker-daemon:',
    imageForm: 'docker-daemon:[NAME[:TAG]]',
    naming: 'names',
    takesRef: false,
    artifacts: false,
    additive: true,
    holds: true,
    named: ({ ref }) => ({
      location: { scheme: SCHEME, path: '' },
      name: ref === undefined ? undefined : nameToGive(ref),
    }),
    open: async (_location, options) => await (await import('./destination.js')).openEngineDestination(options),
    survey: async (_location, options) => await (await import('./destination.js')).openEngineDestination(options),
    async engine({ host, signal, onProgress }) {
      using client = await (await import('../../engine/client.js')).engineAt(host, onProgress)
      return await (await import('../../engine/store.js')).readStore(client, { signal })
    },
  },
  store: {
    form: 'docker-daemon:',
    sealed: false,
    open: async (_location, { host, signal, onProgress }) =>
      await (await import('./store.js')).openEngineStore({ host, signal, onProgress }),
  },
  inventory: {
    form: 'docker-daemon:',
    read: async (_location, { host, signal, onProgress }) =>
      await (await import('./inventory.js')).engineInventory(`${SCHEME}:`, { host, signal, onProgress }),
  },
  inspect: async ({ ref }, { selectors, host, signal, onProgress }) => [
    await (
      await import('./inspect.js')
    ).inspectEngineImage(required(ref), selectors, {
      host,
      signal,
      onProgress,
    }),
  ],
  // An engine's own report of its images is trusted
  isWhole: async () => true,
}

function required(ref: string | undefined): string {
  if (ref !== undefined) return ref
  throw new StowageError('INVALID_ARGUMENT', `${SCHEME}: names no image`, { hint: `Write ${FORM}.` })
}
