/** `stowage layer to-wim`: makes a WIM from layers. */
import { command, flag, number, oneOrMore, value, type Values } from '../command.js'
import { readFile } from 'node:fs/promises'
import { fileError, StowageError } from '../../errors.js'
import { parseRfc3339 } from '../../windows/filetime.js'
import {
  type WimCompression,
  type WimFromLayers,
  type WimFromLayersOptions,
  writeWimFromLayers,
} from '../../layer/to-wim/wim-from-layers.js'
import type { HiveMerge } from '../../layer/to-wim/delta-hives.js'
import { COMPRESSION_NAMES } from '../../oci/compression.js'
import { type ImageConfig, parseConfig } from '../../oci/config.js'
import { sourceDateEpoch } from '../../tar/source-date-epoch.js'
import { count, lostText, printable, table } from '../render.js'
import { exactSize } from '../../size-text.js'
import { parseCompression } from '../wim/values.js'
import { claimIfStandard, outputOptions } from './output.js'

const OPTIONS = {
  ...outputOptions('The WIM; - is standard output'),
  compress: value('lzx, xpress or none, with an optional level: lzx:50 (20 fast, 50 normal, 100 slow)', {
    default: 'lzx',
    takes: ['lzx', 'xpress', 'none'],
  }),
  threads: number('Threads for compression (default: one per processor)'),
  check: flag('Write an integrity table'),
  'image-name': value('Name of the image (default: the name of the file)'),
  'image-description': value('Description of the image'),
  'unix-data': flag('For Linux layers: keep owner, mode, devices and extended attributes'),
  'without-hive-changes': flag('Leave out changes to the registry (Hives/*_Delta), instead of merging them'),
  config: value('OCI config of the image, which gives the WIM its architecture, version and time', {
    takes: 'path',
  }),
  arch: value('Architecture of the image: amd64, arm64, 386, arm', { takes: ['amd64', 'arm64', '386', 'arm'] }),
  'os-version': value('Windows version, such as 10.0.20348.169'),
} as const

export const toWim = command({
  operands: {
    layer: oneOrMore(
      `Layers, base first: tar, ${COMPRESSION_NAMES.join(' or ')}; - is standard input, if there is only one`,
      'path',
    ),
  },
  options: OPTIONS,
  examples: [
    ['layer to-wim base.tar.gz update.tar.gz -o NanoServer.wim', 'Files/ becomes image 1, UtilityVM/Files/ image 2'],
    ['layer to-wim - -o root.wim --unix-data < layer.tar.zst', 'A Linux layer, with owners and modes'],
  ],
  run: async ({ layer, output, force, ...options }, session) => {
    const { signal, onProgress, report } = session
    claimIfStandard(output, session)
    const wim = await writeWimFromLayers(layer.map(String), output, {
      ...(await readOptions(options)),
      force,
      signal,
      onProgress,
    })
    report({ schema: 'stowage.layer-to-wim/v1', path: output, ...wim }, text(output, wim))
  },
})

async function readOptions(options: Omit<Values<typeof OPTIONS>, 'output' | 'force'>): Promise<WimFromLayersOptions> {
  const config = options.config === undefined ? undefined : await readConfig(options.config)
  const platform = config?.platform.os === 'windows' ? config.platform : undefined
  return {
    compression: compressionOf(options.compress),
    threads: options.threads,
    integrityTable: options.check,
    imageName: options['image-name'],
    imageDescription: options['image-description'],
    unixData: options['unix-data'],
    withoutHiveChanges: options['without-hive-changes'],
    architecture: options.arch ?? platform?.architecture,
    osVersion: options['os-version'] ?? platform?.['os.version'],
    created: config?.created === undefined ? undefined : parseRfc3339(config.created)?.time,
    epoch: sourceDateEpoch(),
  }
}

async function readConfig(path: string): Promise<ImageConfig> {
  try {
    return parseConfig(await readFile(path), path)
  } catch (error) {
    throw fileError(error, path)
  }
}

function compressionOf(option: string): WimCompression {
  const { compression, level } = parseCompression(option, 'compress')
  if (compression !== 'lzms') return { type: compression, level }
  throw new StowageError('INVALID_ARGUMENT', '--compress: a WIM made from layers can be LZX, XPRESS or uncompressed', {
    hint: 'For LZMS, export it afterwards: stowage wim export FILE 1 SMALL.esd --solid.',
  })
}

function text(path: string, { size, images, layers, hives, lost }: WimFromLayers): string {
  const rows = [
    ...images.map(({ index, name, directories, files }) => [
      `image ${index}`,
      `${name}: ${count(directories, 'directory', 'directories')}, ${count(files, 'file')}`,
    ]),
    ...layers.map(({ digest }, n) => [layers.length === 1 ? 'layer' : `layer ${n + 1}`, digest]),
    ...hives.map(merge => ['registry', registryText(merge)]),
    ['size', exactSize(size)],
  ]
  return printable(`${table(['WIM', path], rows)}${lostText(lost)}`)
}

function registryText({ hive, changes }: HiveMerge): string {
  const words = [
    count(changes.keysAdded, 'key'),
    count(changes.keysDeleted, 'key'),
    count(changes.keysChanged, 'key'),
    count(changes.valuesSet, 'value'),
    count(changes.valuesDeleted, 'value'),
  ].map((word, n) => `${word} ${['added', 'deleted', 'changed', 'set', 'deleted'][n]}`)
  const changed = words.filter(word => !word.startsWith('0 '))
  return `${hive}: ${changed.length === 0 ? 'no change' : changed.join(', ')}`
}
