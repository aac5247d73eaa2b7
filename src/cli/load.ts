/** `stowage load`: the images of a bundle into an engine or a layout. */
import type { Argv, CommandModule } from 'yargs'
import { type LoadedImage, loadBundle, type LoadResult } from '../verbs/load.js'
import { parseLocation, transportOf } from '../transport/location.js'
import { familiarNames, shortDigest } from './image-names.js'
import { type ImageOptions, imageOptions, readImageOptions } from './image-options.js'
import { errorDocument, tellFailures } from './print-error.js'
import { count, formatSize, lostText, printable, table } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface Options extends GlobalOptions, ImageOptions {
  readonly bundle: string
  readonly image: readonly string[] | undefined
  readonly to: string | undefined
}

export const load: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    imageOptions(yargs)
      .positional('bundle', { type: 'string', demandOption: true, describe: 'A bundle: a directory or a .tar' })
      .positional('image', {
        type: 'string',
        array: true,
        describe: 'Only these: names, tags or digests of its images',
      })
      .option('to', {
        type: 'string',
        requiresArg: true,
        coerce: once('to'),
        default: 'docker-daemon:',
        describe:
          'docker-daemon:, docker://HOST[/PREFIX], oci:DIR, oci: for the default store, or a new file: oci-archive:FILE, docker-archive:FILE, wim:FILE',
      })
      .option('platform', {
        describe: 'Only images that have this os[/arch[/variant]][:os.version]; may be repeated',
      })
      .option('referrers', {
        describe: 'With IMAGEs: also load what refers to them, such as signatures and SBOMs',
      })
      .example('$0 load /media/stick/site-a', 'Everything into the Docker Engine')
      .example(
        '$0 load /media/stick/site-a --to docker://registry.example:5000/mirror',
        'Everything into the registry of the site',
      )
      .example('$0 load site-a.tar shop:2.3', 'One image of the bundle')
      .example(
        '$0 load site-a --to oci:./layout',
        'Into an OCI layout on disk, without an engine',
      ) as unknown as Argv<Options>, // yargs does not type coerce
  handler: async ({ bundle, image, to, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report, note }) => {
      const settings = { ...readImageOptions(options), onNotice: note, signal, onProgress }
      const result = await loadBundle(bundle, { ...settings, to, names: image })
      report(document(result), text(result))
      tellFailures(result.images, ({ names }) => familiarNames(names))
    })
  },
}

function document({ path, to, images }: LoadResult): Readonly<Record<string, unknown>> {
  return {
    schema: 'stowage.load/v1',
    path,
    to,
    images: images.map(({ error, ...image }) => ({
      ...image,
      ...errorDocument(error),
    })),
  }
}

function text({ to, images }: LoadResult): string {
  const tried = images.filter(({ leftOut }) => leftOut === undefined)
  const loaded = tried.filter(({ error }) => !error).length
  const rows = images.map(image => [
    familiarNames(image.names),
    image.platforms.join(', ') || '-',
    formatSize(image.size),
    ...outcome(image),
  ])
  const place = titleOf(to)
  const summary = `Loaded ${loaded === tried.length ? '' : `${loaded} of `}${count(tried.length, 'image')} into ${place}`
  return `${table(['NAME', 'PLATFORM', 'SIZE', 'ID', 'SENT', 'RESULT'], rows)}${printable(lostText(images.flatMap(image => image.lost ?? [])))}${summary}\n`
}

function outcome({ id, sent, skipped, leftOut, error }: LoadedImage): readonly string[] {
  if (leftOut !== undefined) return ['-', '-', `left out: ${leftOut}`]
  if (id === undefined || error) return ['-', '-', error?.code ?? '-']
  return [
    shortDigest(id),
    formatSize(sent),
    skipped === 0 ? 'loaded' : `loaded, ${formatSize(skipped)} already present`,
  ]
}

/** The place as a sentence calls it. */
function titleOf(to: string): string {
  return transportOf(parseLocation(to)).title ?? to
}
