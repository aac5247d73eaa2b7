/** `stowage layer from-wim`: makes a layer from an image in a WIM. */
import { command, flag, required, value } from '../command.js'
import { type WindowsLayer, writeLayerFromWim } from '../../layer/make/from-wim.js'
import type { LayerLosses, LayerMends } from '../../layer/make/lossless.js'
import { openReferencingWim } from '../../transport/wim/source.js'
import { LAYER_OPTIONS, readLayerOptions } from '../layer-options.js'
import { count } from '../render.js'
import { LAYER_OUTPUT, layerText, outputOptions } from './output.js'

export const fromWim = command({
  operands: {
    file: required('The WIM, or any part of a split one'),
  },
  options: {
    ...LAYER_OPTIONS,
    ...outputOptions(LAYER_OUTPUT),
    image: value('Number (from 1) or name of the image that becomes Files/; required if there are several'),
    'unix-data': flag(
      'Make a plain Linux layer from an image captured with --unix-data: owners, modes, devices, extended attributes',
    ),
  },
  examples: [
    [
      'layer from-wim NanoServer.wim -o layer.tar.gz',
      'Files/ from the image, UtilityVM/Files/ from the image named UtilityVM',
    ],
    ['layer from-wim install.wim --image 2 --compression zstd:9 -o layer.tar.zst', 'Image 2, small rather than fast'],
    ["layer from-wim update.wim --ref 'base*.wim' -o layer.tar.gz", 'A delta WIM and the WIM files it is based on'],
  ],
  run: async (
    { file, output, image, force, 'unix-data': unixData, ...options },
    { signal, onProgress, report, note },
  ) => {
    const { references, ...making } = readLayerOptions(options)
    await using wim = await openReferencingWim(file, references, signal)
    const layer = await writeLayerFromWim(wim, output, {
      ...making,
      image,
      force,
      unixData,
      signal,
      onProgress,
      onWarning: warning => note(`warning: ${warning}`),
    })
    report(document(output, layer), text(output, layer, unixData))
  },
})

function document(path: string, layer: WindowsLayer): Readonly<Record<string, unknown>> {
  const { mediaType, digest, size, diffId, uncompressedSize, counts, skipped, lost, mended, warnings } = layer
  const images = [layer.image, ...(layer.utilityVm ? [layer.utilityVm] : [])].map(({ index, name }) => ({
    index,
    name,
  }))
  return {
    schema: 'stowage.layer/v1',
    path,
    mediaType,
    digest,
    size,
    diffId,
    uncompressedSize,
    counts,
    skipped,
    lost,
    mended,
    warnings,
    images,
  }
}

function text(path: string, layer: WindowsLayer, unixData: boolean): string {
  const { counts, image, utilityVm } = layer
  const [lost, mended] = [losses(layer.lost), mends(layer.mended)]
  const rows = [
    [unixData ? '/' : 'Files', `image ${image.index}, ${image.name}`],
    ...(utilityVm ? [['UtilityVM/Files', `image ${utilityVm.index}, ${utilityVm.name}`]] : []),
    ['entries', entries(counts)],
    ...(lost === '' ? [] : [['not kept', lost]]),
    ...(mended === '' ? [] : [['mended', mended]]),
  ]
  return layerText(path, rows, layer)
}

function entries(counts: WindowsLayer['counts']): string {
  return withoutZeros([
    count(counts.directories, 'directory', 'directories'),
    count(counts.files, 'file'),
    count(counts.hardLinks, 'hard link'),
    count(counts.symlinks, 'symbolic link'),
    count(counts.streams, 'alternate stream'),
  ])
}

function losses(lost: LayerLosses): string {
  return withoutZeros([
    count(lost.shortNames, 'short name'),
    count(lost.objectIds, 'object id'),
    `reparse data of ${count(lost.reparseData, 'link')}`,
    `flags of ${count(lost.reparseFlags, 'reparse point')}`,
    `flags of extended attributes of ${count(lost.extendedAttributeFlags, 'entry', 'entries')}`,
    `Unix data of ${count(lost.unixData, 'entry', 'entries')}`,
    `times of ${count(lost.times, 'entry', 'entries')}`,
  ])
}

function mends(mended: LayerMends): string {
  return withoutZeros([
    `drive of ${count(mended.linkDrives, 'link')}`,
    `attributes of ${count(mended.attributes, 'entry', 'entries')}`,
    `${count(mended.hardLinks, 'hard link')} made a file`,
    `security of ${count(mended.securityDescriptors, 'entry', 'entries')} left out`,
    `extended attributes of ${count(mended.extendedAttributes, 'entry', 'entries')} left out`,
  ])
}

/** Joins the counts that are not 0. */
function withoutZeros(words: readonly string[]): string {
  return words.filter(word => !/(^|of )0 /.test(word)).join(', ')
}
