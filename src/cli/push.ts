/** `stowage push`: images of the engine, a store or a bundle to their registries. */
import type { Argv, CommandModule } from 'yargs'
import { familiarReference, formatReference, parseReference } from '../oci/reference.js'
import { type PushedImage, pushImages } from '../verbs/push.js'
import { type ImageOptions, imageOptions, readImageOptions } from './image-options.js'
import { isFallback } from '../transport/usual-store.js'
import { errorDocument, tellFailures } from './print-error.js'
import { printable } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface Options extends GlobalOptions, ImageOptions {
  readonly name: readonly string[]
  readonly from: string | undefined
  readonly 'all-tags': boolean
}

export const push: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    imageOptions(yargs)
      .positional('name', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'NAME[:TAG], including the registry',
      })
      .option('from', {
        type: 'string',
        requiresArg: true,
        coerce: once('from'),
        describe: 'docker-daemon:, oci:DIR, bundle:PATH, or oci: for the default store (used if no engine answers)',
      })
      .option('all-tags', {
        alias: 'a',
        type: 'boolean',
        default: false,
        describe: 'Every local tag of the named repositories',
      })
      .example('$0 push registry.example/team/shop:2.3', 'Like docker push')
      .example(
        '$0 push -a registry.example/team/shop --from bundle:site-a',
        'Every tag of the repository in a bundle',
      ) as unknown as Argv<Options>, // yargs does not type coerce
  handler: async ({ name, from, 'all-tags': allTags, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report, note }) => {
      const settings = { ...readImageOptions(options), onNotice: note, signal, onProgress }
      const result = await pushImages(name, { ...settings, from, allTags })
      if (isFallback(from, result.from)) note(`no Docker Engine answers: using ${result.from}`)
      const images = result.images.map(({ error, ...image }) => ({ ...image, ...errorDocument(error) }))
      report({ schema: 'stowage.push/v1', from: result.from, images }, printable(text(result.images, options.quiet)))
      tellFailures(result.images, ({ name: failed }) => familiarReference(parseReference(failed)))
    })
  },
}

/** As docker says it: a repository once, then its tags. */
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
