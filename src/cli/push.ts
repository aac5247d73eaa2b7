/** `stowage push`: pushes images of the engine, a store or a bundle to their registries. */
import { refuseLocations, storeForms, USED_WITHOUT_ENGINE } from './locations.js'
import { command, flag, oneOrMore, value } from './command.js'
import { familiarReference, formatReference, parseReference } from '../oci/reference.js'
import { planPush, type PushedImage, pushImages } from '../verbs/push.js'
import { IMAGE_OPTIONS, readImageOptions } from './image-options.js'
import { reportPlan } from './plan-text.js'
import { noteStore } from './store-options.js'
import { errorDocument, reportFailures } from './print-error.js'
import { deliveredText } from './arrival-text.js'
import { LOG_OPTIONS, triedFacts } from './log-options.js'
import { printable } from './render.js'
import { policyTrust } from './trust-options.js'

export const push = command({
  operands: {
    name: oneOrMore('NAME[:TAG], including the registry', 'image'),
  },
  options: {
    ...LOG_OPTIONS,
    ...IMAGE_OPTIONS,
    from: value(`${storeForms()}; ${USED_WITHOUT_ENGINE}`, { takes: 'store' }),
    'all-tags': flag('Every local tag of the named repositories', { alias: 'a' }),
  },
  examples: [
    ['push registry.example/team/shop:2.3', 'Like docker push'],
    ['push -a registry.example/team/shop --from bundle:site-a', 'Every tag of the repository in a bundle'],
  ],
  run: async ({ name, from, 'all-tags': allTags, ...options }, session) => {
    await refuseLocations(
      name,
      place => `push takes names in registries. Write: stowage push REGISTRY/NAME --from ${place}`,
    )
    const { signal, onProgress, report, note, notice } = session
    const settings = {
      ...readImageOptions(options),
      from,
      allTags,
      trust: await policyTrust(),
      onNotice: notice,
      signal,
      onProgress,
    }
    if (options['dry-run']) {
      reportPlan(await planPush(name, settings), session)
      return
    }
    const result = await pushImages(name, settings)
    noteStore(from, result.from, session)
    const tried = result.images.map(({ name: pushed, digest, error }) => ({ names: [pushed], id: digest, error }))
    session.record({ from: result.from, ...triedFacts(tried) })
    for (const { name: pushed, digest, ...image } of result.images)
      for (const line of deliveredText(familiarReference(parseReference(pushed)), { ...image, id: digest ?? '' }))
        note(`note: ${line}`)
    const images = result.images.map(({ error, ...image }) => ({ ...image, ...errorDocument(error) }))
    report({ schema: 'stowage.push/v1', from: result.from, images }, printable(text(result.images, options.quiet)))
    reportFailures(result.images, ({ name: failed }) => familiarReference(parseReference(failed)))
  },
})

/** The lines that `docker push` prints: each repository, then its tags. */
function text(images: readonly PushedImage[], quiet: boolean): string {
  let last = ''
  return images
    .filter(({ error }) => !error)
    .map(({ name, digest, size }) => {
      if (quiet) return `${name}\n`
      const { domain, path, tag } = parseReference(name)
      const repository = formatReference({ domain, path })
      const heading = repository === last ? '' : `The push refers to repository [${repository}]\n`
      last = repository
      return `${heading}${tag}: digest: ${digest} size: ${size}\n`
    })
    .join('')
}
