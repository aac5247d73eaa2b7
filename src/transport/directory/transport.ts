/** `dir:`: a tree of files as a one-layer image, or a directory that skopeo's own `dir:` wrote. */
import { requiredPart } from '../grammar.js'
import type { Transport } from '../transport.js'

const FORM = 'dir:PATH'

export const directory: Transport = {
  scheme: 'dir',
  onDisk: true,
  parse: (rest, text) => ({ scheme: 'dir', path: requiredPart(rest, text, FORM) }),
  format: ({ path }) => `dir:${path}`,
  source: {
    form: FORM,
    manifests: 'kept',
    makesLayer: async ({ path }) => !(await (await import('./source.js')).isSkopeoDirectory(path)),
    async open({ path }, { layer, name, platforms, stage, signal, onProgress }) {
      const { compression, threads, skipUnsupported, onSkipped } = layer ?? {}
      const made = { compression, threads, skipUnsupported, onSkipped, name, platforms, stage, signal, onProgress }
      return await (await import('./source.js')).openDirectorySource(path, made)
    },
  },
  async inspect({ path }, { platforms }) {
    const tree = await (await import('./inspect.js')).inspectTree(path, platforms)
    return tree && [tree]
  },
}
