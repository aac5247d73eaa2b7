/** `stowage layer from-dir`: a plain layer from a directory. */
import type { Argv, CommandModule } from 'yargs'
import { type DirectoryLayer, writeLayerFromDirectory } from '../../layer/make/from-directory.js'
import { parseLayerCompression } from '../../layer/compression.js'
import { type CompressionOptions, compressionOptions } from '../layer-options.js'
import { count } from '../render.js'
import { type GlobalOptions, withSession } from '../session.js'
import { LAYER_OUTPUT, layerText, type LayerOutputOptions, outputOptions } from './output.js'

interface Options extends GlobalOptions, CompressionOptions, LayerOutputOptions {
  readonly directory: string
  readonly 'keep-owner': boolean
  readonly 'skip-unsupported': boolean
}

export const fromDir: CommandModule<GlobalOptions, Options> = {
  command: 'from-dir <directory>',
  describe: 'Make a plain Linux layer from a directory, reproducibly',
  builder: yargs =>
    outputOptions(compressionOptions(yargs), LAYER_OUTPUT)
      .positional('directory', {
        type: 'string',
        demandOption: true,
        describe: 'Directory that becomes the root of the layer',
      })
      .option('keep-owner', {
        type: 'boolean',
        default: false,
        describe: 'Keep numeric owners and groups (default: everything belongs to 0)',
      })
      .option('skip-unsupported', {
        type: 'boolean',
        default: false,
        describe: 'Skip sockets instead of failing',
      })
      .example(
        '$0 layer from-dir rootfs -o layer.tar.gz',
        'With SOURCE_DATE_EPOCH set, no time is later than that',
      ) as unknown as Argv<Options>, // yargs does not type coerce
  handler: async ({
    directory,
    output,
    force,
    compression,
    threads,
    'keep-owner': keepOwner,
    'skip-unsupported': skipUnsupported,
    ...options
  }) => {
    await withSession(options, async ({ signal, onProgress, report }) => {
      const layer = await writeLayerFromDirectory(directory, output, {
        compression: parseLayerCompression(compression),
        threads,
        keepOwner,
        skipUnsupported,
        force,
        signal,
        onProgress,
      })
      report({ schema: 'stowage.layer/v1', path: output, ...layer }, text(output, directory, layer))
    })
  },
}

function text(path: string, directory: string, layer: DirectoryLayer): string {
  const { counts } = layer
  const entries = [
    count(counts.directories, 'directory', 'directories'),
    count(counts.files, 'file'),
    count(counts.hardLinks, 'hard link'),
    count(counts.symlinks, 'symbolic link'),
    count(counts.devices, 'device'),
  ].filter(words => !words.startsWith('0 '))
  return layerText(
    path,
    [
      ['/', directory],
      ['entries', entries.join(', ')],
    ],
    layer,
  )
}
