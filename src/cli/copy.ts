/** `stowage copy`: one image from one place to another. */
import type { Argv, CommandModule } from 'yargs'
import { copy as copyBetween, type CopyResult } from '../verbs/copy.js'
import { familiarReference, formatReference } from '../oci/reference.js'
import { shortDigest } from './image-names.js'
import { type ImageOptions, imageOptions, readImageOptions } from './image-options.js'
import { type LayerOptions, layerOptions, readLayerOptions } from './layer-options.js'
import { formatSize, lostText, printable, table } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface Options extends GlobalOptions, ImageOptions, LayerOptions {
  readonly source: string
  readonly destination: string
  readonly tag: string | undefined
}

export const copy: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    imageOptions(layerOptions(yargs))
      .positional('source', {
        type: 'string',
        demandOption: true,
        describe:
          'docker://NAME[:TAG|@DIGEST], docker-daemon:NAME[:TAG], oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], dir:PATH, wim:FILE[#IMAGE] or bundle:PATH[:REF]',
      })
      .positional('destination', {
        type: 'string',
        demandOption: true,
        describe:
          'docker://NAME[:TAG], docker-daemon:[NAME[:TAG]], oci:DIR, oci: for the default store, or a new file: oci-archive:FILE[:REF], docker-archive:FILE[:NAME:TAG], bundle:PATH, wim:FILE[#NAME]',
      })
      .option('tag', {
        alias: 't',
        type: 'string',
        requiresArg: true,
        coerce: once('tag'),
        describe: 'Name of the image at the destination',
      })
      .example(
        '$0 copy docker-daemon:shop:2.3 docker://registry.example/team/shop:2.3',
        'From the engine to a registry',
      )
      .example('$0 copy bundle:site-a:nanoserver:1 wim:NanoServer.wim', 'Turn the layers of an image back into a WIM')
      .example(
        '$0 copy wim:NanoServer.wim oci: --compression zstd',
        'A WIM as an image in the default store',
      ) as unknown as Argv<Options>, // yargs does not type coerce
  handler: async ({ source, destination, tag, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report, note }) => {
      const layer = { ...readLayerOptions(options), onWarning: (warning: string) => note(`warning: ${warning}`) }
      const copied = await copyBetween(source, destination, {
        ...readImageOptions(options),
        name: tag,
        layer,
        wim: { threads: layer.threads },
        onNotice: note,
        signal,
        onProgress,
      })
      report(copyDocument(copied), copyText(copied))
    })
  },
}

export function copyDocument({ names, ...copied }: CopyResult): Readonly<Record<string, unknown>> {
  return { schema: 'stowage.copy/v1', ...copied, names: names.map(formatReference) }
}

export function copyText({ from, to, names, id, sent, skipped, platforms, leftOut, lost = [] }: CopyResult): string {
  const left = leftOut.map(line => `left out: ${line}\n`).join('')
  return printable(
    table(
      ['IMAGE', names.map(familiarReference).join(', ') || '-'],
      [
        ['from', from],
        ['to', to],
        ['id', shortDigest(id)],
        ['platforms', platforms.join(', ') || '-'],
        ['sent', `${formatSize(sent)}, ${formatSize(skipped)} left out`],
      ],
    ) +
      left +
      lostText(lost),
  )
}
