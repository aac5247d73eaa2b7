/** `stowage layer from-dir`: a plain layer from a directory. */
import type { Argv, CommandModule } from 'yargs'
import { type DirectoryLayer, writeLayerFromDirectory } from '../../layer/from-directory.js'
import { type CompressionOptions, compressionOptions, parseCompression } from '../layer-options.js'
import { count, formatSize, printable, table } from '../render.js'
import { type GlobalOptions, once, withSession } from '../session.js'

interface Options extends GlobalOptions, CompressionOptions {
  readonly directory: string
  readonly output: string
  readonly force: boolean
  readonly 'keep-owner': boolean
  readonly 'skip-unsupported': boolean
}

export const fromDir: CommandModule<GlobalOptions, Options> = {
  command: 'from-dir <directory>',
  describe: 'Make a plain Linux layer from a directory, the same bytes every time',
  builder: yargs =>
    compressionOptions(yargs)
      .positional('directory', { type: 'string', demandOption: true, describe: 'What becomes the root of the layer' })
      .option('output', {
        alias: 'o',
        type: 'string',
        demandOption: true,
        requiresArg: true,
        coerce: once('output'),
        describe: 'The layer, a tar: layer.tar.gz',
      })
      .option('keep-owner', { type: 'boolean', default: false, describe: 'Keep owners and groups, by number; else all belong to 0' })
      .option('skip-unsupported', { type: 'boolean', default: false, describe: 'Leave out sockets, instead of failing' })
      .option('force', { type: 'boolean', default: false, describe: 'Replace an output that exists' })
      .example('$0 layer from-dir rootfs -o layer.tar.gz', 'With SOURCE_DATE_EPOCH set, no time is later than that') as unknown as Argv<Options>, // yargs does not type coerce
  handler: async ({ directory, output, force, compression, threads, 'keep-owner': keepOwner, 'skip-unsupported': skipUnsupported, ...options }) => {
    await withSession(options, async ({ signal, onProgress, report }) => {
      const layer = await writeLayerFromDirectory(directory, output, {
        compression: parseCompression(compression), threads, keepOwner, skipUnsupported, force, signal, onProgress,
      })
      report({ schema: 'stowage.layer/v1', path: output, ...layer }, text(output, directory, layer))
    })
  },
}

function text(path: string, directory: string, { counts, skipped, ...made }: DirectoryLayer): string {
  const entries = [
    count(counts.directories, 'directory').replace(/directorys$/, 'directories'), count(counts.files, 'file'),
    count(counts.hardLinks, 'hard link'), count(counts.symlinks, 'symbolic link'), count(counts.devices, 'device'),
  ].filter(words => !words.startsWith('0 '))
  const rows = [
    ['/', directory],
    ['entries', entries.join(', ')],
    ['diffID', made.diffId],
    ['digest', made.digest],
    ['size', `${formatSize(made.size)} (${made.size} bytes)`],
    ['uncompressed', `${formatSize(made.uncompressedSize)} (${made.uncompressedSize} bytes)`],
  ]
  const left = skipped.map(path_ => `left out: ${path_}\n`).join('')
  return printable(`${table(['LAYER', path], rows)}${left}`)
}
