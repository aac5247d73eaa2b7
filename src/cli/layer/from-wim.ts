/** `stowage layer from-wim`: makes a layer from an image in a WIM. */
import { choices, command, flag, required, value, values } from '../command.js'
import { StowageError } from '../../errors.js'
import { IGNORED_DIFFERENCES } from '../../layer/difference/compare-trees.js'
import { type LayerDifference, writeLayerDifference } from '../../layer/difference/layer-difference.js'
import { openBase } from '../../layer/difference/open-base.js'
import { type WindowsLayer, writeLayerFromWim } from '../../layer/make/from-wim.js'
import type { LayerLosses, LayerMends } from '../../layer/make/lossless.js'
import { openReferencingWim } from '../../transport/wim/source.js'
import { LAYER_OPTIONS, readLayerOptions } from '../layer-options.js'
import { count } from '../render.js'
import { claimIfStandard, LAYER_OUTPUT, layerText, outputOptions } from './output.js'

export const fromWim = command({
  operands: {
    file: required('The WIM, or any part of a split one', 'path'),
  },
  options: {
    ...outputOptions(LAYER_OUTPUT),
    image: value('Number (from 1) or name of the image that becomes Files/; required if there are several'),
    base: values(
      'Make a layer of only what differs from this base: its layers, lowest first (repeat the option), or a WIM',
      { takes: 'path' },
    ),
    'base-image': value('Number (from 1) or name of the image, if the base is a WIM with several'),
    ignore: choices(
      'With --base: leave out files that differ only in their access time (atime), or in any time (times)',
      IGNORED_DIFFERENCES,
    ),
    'unix-data': flag(
      'Make a plain Linux layer from an image captured with --unix-data: owners, modes, devices, extended attributes',
    ),
    ...LAYER_OPTIONS,
  },
  examples: [
    [
      'layer from-wim NanoServer.wim -o layer.tar.gz',
      'Files/ from the image, UtilityVM/Files/ from the image named UtilityVM',
    ],
    ['layer from-wim install.wim --image 2 --compression zstd:9 -o layer.tar.zst', 'Image 2, small rather than fast'],
    [
      'layer from-wim 2026-09.wim --base 2026-08.wim -o 2026-09.tar.gz',
      'A layer on top of that of the other WIM: only what differs, for layer to-wim BASE 2026-09.tar.gz',
    ],
    ["layer from-wim update.wim --ref 'base*.wim' -o layer.tar.gz", 'A delta WIM and the WIM files it is based on'],
  ],
  run: async (
    { file, output, image, force, base, 'base-image': baseImage, ignore, 'unix-data': unixData, ...options },
    session,
  ) => {
    const { signal, onProgress, report, note } = session
    claimIfStandard(output, session)
    checkOptions({ based: base.length > 0, baseImage, ignore, unixData })
    const { references, ...reading } = readLayerOptions(options)
    const onWarning = (warning: string): void => note(`warning: ${warning}`)
    const making = { ...reading, image, force, signal, onProgress, onWarning }
    await using wim = await openReferencingWim(file, references, signal)
    if (base.length === 0) {
      const layer = await writeLayerFromWim(wim, output, { ...making, unixData })
      report(document(output, layer), text(output, layer, unixData))
      return
    }
    await using opened = await openBase(base, baseImage)
    const layer = await writeLayerDifference(wim, output, { ...making, base: opened.base, ignore })
    report(
      { ...document(output, layer), difference: describeDifference(layer, base) },
      text(output, layer, false, differenceRows(layer, base)),
    )
  },
})

function checkOptions({
  based,
  baseImage,
  ignore,
  unixData,
}: {
  readonly based: boolean
  readonly baseImage: string | undefined
  readonly ignore: readonly string[]
  readonly unixData: boolean
}): void {
  if (based && unixData)
    throw new StowageError('INVALID_ARGUMENT', '--base is for Windows layers, and --unix-data makes a Linux layer')
  if (!based && (baseImage !== undefined || ignore.length > 0)) {
    throw new StowageError('INVALID_ARGUMENT', `${ignore.length > 0 ? '--ignore' : '--base-image'} needs --base`)
  }
}

/** `base` has the path of each layer, with its digests, or that of the WIM. */
function describeDifference({ difference }: LayerDifference, base: readonly string[]) {
  return { ...difference, base: base.map((path, n) => ({ path, ...difference.base[n] })) }
}

function differenceRows({ difference }: LayerDifference, base: readonly string[]): (readonly string[])[] {
  const { added, changed, deleted, hives } = difference
  return [
    ...base.map((path, n) => [base.length === 1 ? 'base' : `base ${n + 1}`, path]),
    ['difference', `${added} added, ${changed} changed, ${deleted} deleted`],
    ...(hives.length === 0 ? [] : [['whole hives', hives.join(', ')]]),
  ]
}

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

function text(path: string, layer: WindowsLayer, unixData: boolean, more: readonly (readonly string[])[] = []): string {
  const { counts, image, utilityVm } = layer
  const [lost, mended] = [losses(layer.lost), mends(layer.mended)]
  const rows = [
    [unixData ? '/' : 'Files', `image ${image.index}, ${image.name}`],
    ...(utilityVm ? [['UtilityVM/Files', `image ${utilityVm.index}, ${utilityVm.name}`]] : []),
    ...more,
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
