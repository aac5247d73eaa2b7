/** `wim:`: a Windows base OS image in a WIM as a one-layer image, or a new WIM made from an image. */
import { requiredPart } from '../grammar.js'
import type { Transport } from '../transport.js'

const FORM = 'wim:FILE[#IMAGE]'

export const wim: Transport = {
  scheme: 'wim',
  onDisk: true,
  parse(rest, text) {
    const hash = rest.lastIndexOf('#')
    const path = requiredPart(hash < 0 ? rest : rest.slice(0, hash), text, FORM)
    return { scheme: 'wim', path, ref: hash < 0 ? undefined : requiredPart(rest.slice(hash + 1), text, FORM) }
  },
  format: ({ path, ref }) => `wim:${path}${ref === undefined ? '' : `#${ref}`}`,
  source: {
    form: FORM,
    manifests: 'unread',
    layerOptions: true,
    makesLayer: async () => true,
    open: async ({ path, ref }, { layer, name, platforms, stage, signal, onProgress }) =>
      await (
        await import('./source.js')
      ).openWimSource(path, { ...layer, image: ref, name, platforms, stage, signal, onProgress }),
  },
  destination: {
    form: 'wim:FILE',
    imageForm: 'wim:FILE[#NAME]',
    naming: 'names',
    takesRef: true,
    artifacts: false,
    additive: false,
    extension: '.wim',
    streams: true,
    disk: ({ path }) => path,
    open: async ({ path, ref }, options) =>
      await (await import('./destination.js')).openWimDestination(path, { ...options.wim, imageName: ref }),
    survey: async ({ path }) => await (await import('./destination.js')).surveyWim(path),
  },
  inspect: async ({ path, ref }, { selectors }) =>
    await (await import('./inspect.js')).inspectWim(path, ref, selectors),
}
