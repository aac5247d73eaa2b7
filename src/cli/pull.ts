/** `stowage pull`: images of registries into the engine or a store. */
import type { Argv, CommandModule } from 'yargs'
import { familiarReference, parseReference } from '../oci/reference.js'
import { type PulledImage, pullImages } from '../verbs/pull.js'
import { type ImageOptions, imageOptions, readImageOptions } from './image-options.js'
import { isFallback } from '../transport/usual-store.js'
import { errorDocument, tellFailures } from './print-error.js'
import { printable } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface Options extends GlobalOptions, ImageOptions {
  readonly name: readonly string[]
  readonly to: string | undefined
  readonly 'all-tags': boolean
}

export const pull: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    imageOptions(yargs)
      .positional('name', { type: 'string', array: true, demandOption: true, describe: 'NAME[:TAG|@DIGEST]' })
      .option('to', {
        type: 'string',
        requiresArg: true,
        coerce: once('to'),
        describe: 'docker-daemon:, oci:DIR, or oci: for the default store (used if no engine answers)',
      })
      .option('all-tags', {
        alias: 'a',
        type: 'boolean',
        default: false,
        describe: 'Every tag of the named repositories',
      })
      .example('$0 pull nginx:1.27', 'Like docker pull, with every byte checked')
      .example(
        '$0 pull nginx:1.27 --to oci: --platform linux/arm64',
        'Into the default store',
      ) as unknown as Argv<Options>, // yargs does not type coerce
  handler: async ({ name, to, 'all-tags': allTags, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report, note }) => {
      const settings = { ...readImageOptions(options), onNotice: note, signal, onProgress }
      const result = await pullImages(name, { ...settings, to, allTags })
      if (isFallback(to, result.to)) note(`no Docker Engine answers: using ${result.to}`)
      const images = result.images.map(({ error, ...image }) => ({ ...image, ...errorDocument(error) }))
      report(
        { schema: 'stowage.pull/v1', to: result.to, images },
        printable(result.images.map(image => text(image, options.quiet)).join('')),
      )
      tellFailures(result.images, ({ name: failed }) => familiarReference(parseReference(failed)))
    })
  },
}

/** As docker says it. */
function text({ name, digest, sent, error }: PulledImage, quiet: boolean): string {
  if (error) return ''
  if (quiet) return `${name}\n`
  const { tag, digest: asked, domain: _domain, path } = parseReference(name)
  const status = sent > 0 ? 'Downloaded newer image' : 'Image is up to date'
  return `${tag ?? asked ?? 'latest'}: Pulling from ${path}\nDigest: ${digest}\nStatus: ${status} for ${familiarReference(parseReference(name))}\n${name}\n`
}
