/** `stowage layer`: layers and the WIM files they come from. */
import type { Argv, CommandModule } from 'yargs'
import { writeLayerFromWim, type WindowsLayer } from '../layer/from-wim.js'
import { openWim } from '../wim/wim-file.js'
import { check } from './layer/check.js'
import { diff } from './layer/diff.js'
import { inspect } from './layer/inspect.js'
import { type LayerOptions, layerOptions, readLayerOptions } from './layer-options.js'
import { toWim } from './layer/to-wim.js'
import { count, formatSize, printable, table } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface FromWimOptions extends GlobalOptions, LayerOptions {
  readonly file: string
  readonly output: string
  readonly image: string | undefined
  readonly force: boolean
}

const fromWim: CommandModule<GlobalOptions, FromWimOptions> = {
  command: 'from-wim <file>',
  describe: 'Make a Windows layer from a WIM, in one pass, extracting nothing to disk',
  builder: yargs =>
    layerOptions(yargs)
      .positional('file', { type: 'string', demandOption: true, describe: 'The WIM, or any part of a split one' })
      .option('output', {
        alias: 'o',
        type: 'string',
        demandOption: true,
        requiresArg: true,
        coerce: once('output'),
        describe: 'The layer, a tar: layer.tar.gz',
      })
      .option('image', {
        type: 'string',
        requiresArg: true,
        coerce: once('image'),
        describe: 'Number (from 1) or name of the image that becomes Files/; needed where there are several',
      })
      .option('force', { type: 'boolean', default: false, describe: 'Replace an output that exists' })
      .example('$0 layer from-wim NanoServer.wim -o layer.tar.gz', 'Files/ from the image, UtilityVM/Files/ from the image of that name')
      .example('$0 layer from-wim install.wim --image 2 --compression gzip:9 -o layer.tar.gz', 'Image 2, small rather than fast') as unknown as Argv<FromWimOptions>, // yargs does not type coerce
  handler: async ({ file, output, image, force, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report }) => {
      await using wim = await openWim(file)
      const layer = await writeLayerFromWim(wim, output, {
        ...readLayerOptions(options), image, force, signal, onProgress,
      })
      report(document(output, layer), text(output, layer))
    })
  },
}

/** `stowage layer`, which is nothing without one of its own commands. */
export const layer: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'layer <command>',
  describe: 'Layers: from and to WIM files, checked, inspected, compared',
  builder: yargs =>
    yargs
      .command(fromWim)
      .command(toWim)
      .command(check)
      .command(inspect)
      .command(diff)
      .demandCommand(1, 'Name a command of "stowage layer".')
      .strict(),
  handler: () => undefined,
}

function document(path: string, made: WindowsLayer): Readonly<Record<string, unknown>> {
  const { mediaType, digest, size, diffId, uncompressedSize, counts, skipped, image, utilityVm } = made
  const images = [image, ...(utilityVm ? [utilityVm] : [])].map(({ index, name }) => ({ index, name }))
  return { schema: 'stowage.layer/v1', path, mediaType, digest, size, diffId, uncompressedSize, counts, skipped, images }
}

function text(path: string, made: WindowsLayer): string {
  const { counts, image, utilityVm } = made
  const entries = [
    count(counts.directories, 'directory').replace(/directorys$/, 'directories'), count(counts.files, 'file'),
    count(counts.hardLinks, 'hard link'), count(counts.symlinks, 'symbolic link'), count(counts.streams, 'alternate stream'),
  ].filter(words => !words.startsWith('0 '))
  const rows = [
    ['Files', `image ${image.index}, ${image.name}`],
    ...(utilityVm ? [['UtilityVM/Files', `image ${utilityVm.index}, ${utilityVm.name}`]] : []),
    ['entries', entries.join(', ')],
    ['diffID', made.diffId],
    ['digest', made.digest],
    ['size', `${formatSize(made.size)} (${made.size} bytes)`],
    ['uncompressed', `${formatSize(made.uncompressedSize)} (${made.uncompressedSize} bytes)`],
  ]
  const left = made.skipped.map(path_ => `left out: ${path_}\n`).join('')
  return printable(`${table(['LAYER', path], rows)}${left}`)
}
