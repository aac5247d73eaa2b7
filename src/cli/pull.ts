/** `stowage pull`: pulls images from registries into the engine or a store. */
import { refuseLocations, storeForms, USED_WITHOUT_ENGINE } from './locations.js'
import { command, flag, oneOrMore, value } from './command.js'
import { familiarReference, parseReference } from '../oci/reference.js'
import { planPull, type PulledImage, pullImages } from '../verbs/pull.js'
import { IMAGE_OPTIONS, readImageOptions } from './image-options.js'
import { reportPlan } from './plan-text.js'
import { noteStore } from './store-options.js'
import { errorDocument, reportFailures } from './print-error.js'
import { printable } from './render.js'

export const pull = command({
  operands: {
    name: oneOrMore('NAME[:TAG|@DIGEST]', 'image'),
  },
  options: {
    ...IMAGE_OPTIONS,
    to: value(`${storeForms({ change: true })}; ${USED_WITHOUT_ENGINE}`, { takes: 'store' }),
    'all-tags': flag('Every tag of the named repositories', { alias: 'a' }),
  },
  examples: [
    ['pull nginx:1.27', 'Like docker pull, with every byte checked'],
    ['pull nginx:1.27 --to oci: --platform linux/arm64', 'Into the default store'],
  ],
  run: async ({ name, to, 'all-tags': allTags, ...options }, session) => {
    await refuseLocations(
      name,
      (place, ref) =>
        `pull takes names in registries. Copy it: stowage copy ${place}${ref === undefined ? '' : `:${ref}`} TO`,
    )
    const { signal, onProgress, report, notice } = session
    const settings = { ...readImageOptions(options), to, allTags, onNotice: notice, signal, onProgress }
    if (options['dry-run']) {
      reportPlan(await planPull(name, settings), session)
      return
    }
    const result = await pullImages(name, settings)
    noteStore(to, result.to, session)
    const images = result.images.map(({ error, ...image }) => ({ ...image, ...errorDocument(error) }))
    report(
      { schema: 'stowage.pull/v1', to: result.to, images },
      printable(result.images.map(image => text(image, options.quiet)).join('')),
    )
    reportFailures(result.images, ({ name: failed }) => familiarReference(parseReference(failed)))
  },
})

/** The lines that `docker pull` prints. */
function text({ name, digest, sent, error }: PulledImage, quiet: boolean): string {
  if (error) return ''
  if (quiet) return `${name}\n`
  const { tag, digest: requested, domain: _domain, path } = parseReference(name)
  const status = sent > 0 ? 'Downloaded newer image' : 'Image is up to date'
  return `${tag ?? requested ?? 'latest'}: Pulling from ${path}\nDigest: ${digest}\nStatus: ${status} for ${familiarReference(parseReference(name))}\n${name}\n`
}
