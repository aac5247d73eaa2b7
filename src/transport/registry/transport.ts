/** `docker://`: images in registries. */
import { isReference, nameToGive } from '../../oci/reference.js'
import { requiredPart } from '../grammar.js'
import type { Transport } from '../transport.js'

const FORM = 'docker://NAME[:TAG|@DIGEST]'

/**
 * Schemes of other tools, and ours without its slashes: text that begins with one is not a repository with that name.
 */
const OTHERS = ['docker', 'containers-storage', 'ostree', 'sif', 'atomic', 'tarball']

export const registry: Transport = {
  scheme: 'docker',
  onDisk: false,
  parse: (rest, text) =>
    rest.startsWith('//') ? { scheme: 'docker', path: requiredPart(rest.slice(2), text, FORM) } : undefined,
  parseBare: text =>
    isReference(text) && !OTHERS.some(scheme => text.startsWith(`${scheme}:`))
      ? { scheme: 'docker', path: text }
      : undefined,
  format: ({ path }) => `docker://${path}`,
  misread: rest =>
    `Write docker://${rest} for an image in a registry, docker-daemon:${rest} for one in the Docker Engine.`,
  source: {
    form: FORM,
    manifests: 'kept',
    pin: 'repository',
    open: async ({ path }, { registries }) =>
      await (await import('./source.js')).openRegistrySource(path, { registries }),
  },
  destination: {
    form: 'docker://HOST[:PORT][/PREFIX]',
    imageForm: 'docker://NAME[:TAG]',
    naming: 'prefix',
    takesRef: false,
    artifacts: true,
    additive: true,
    named: location => ({ location, name: nameToGive(location.path) }),
    open: async (_location, { registries, sparse }) =>
      (await import('./destination.js')).openRegistryDestination({ registries, sparse }),
    survey: async (_location, { registries }) => (await import('./survey.js')).surveyRegistry(registries),
  },
  inventory: {
    form: 'docker://HOST[:PORT][/PREFIX]',
    read: async ({ path }, { registries, signal, onProgress }) =>
      await (
        await import('./inventory.js')
      ).registryInventory(`docker://${path}`, path, registries, { signal, onProgress }),
  },
}
