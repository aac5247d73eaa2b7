/** `stowage layer from-dir`: makes a plain layer from a directory. */
import { command, flag, required } from '../command.js'
import { type DirectoryLayer, writeLayerFromDirectory } from '../../layer/make/from-directory.js'
import { parseLayerCompression } from '../../layer/compression.js'
import { COMPRESSION_OPTIONS } from '../layer-options.js'
import { count } from '../render.js'
import { claimIfStandard, LAYER_OUTPUT, layerText, outputOptions } from './output.js'

export const fromDir = command({
  operands: {
    directory: required('Directory that becomes the root of the layer', 'directory'),
  },
  options: {
    ...COMPRESSION_OPTIONS,
    ...outputOptions(LAYER_OUTPUT),
    'keep-owner': flag('Keep numeric owners and groups (default: everything belongs to 0)'),
    'skip-unsupported': flag('Skip sockets instead of failing'),
  },
  examples: [['layer from-dir rootfs -o layer.tar.gz', 'With SOURCE_DATE_EPOCH set, later times are set to it']],
  run: async (
    { directory, output, force, compression, threads, 'keep-owner': keepOwner, 'skip-unsupported': skipUnsupported },
    session,
  ) => {
    const { signal, onProgress, report } = session
    claimIfStandard(output, session)
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
  },
})

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
