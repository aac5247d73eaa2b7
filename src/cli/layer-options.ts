/** The options of commands that make layers. */
import type { Argv } from 'yargs'
import { COMPRESSION_NAMES, COMPRESSIONS, type Compression, DEFAULT_COMPRESSION } from '../oci/compression.js'
import { parseLayerCompression } from '../layer/compression.js'
import type { LayerOrder } from '../layer/make/entries.js'
import type { WimLayerOptions } from '../transport/wim/source.js'
import { once } from './session.js'

/** Of every command that makes layers. */
export interface CompressionOptions {
  readonly compression: string
  readonly threads: number | undefined
}

export interface LayerOptions extends CompressionOptions {
  readonly 'skip-unsupported': boolean
  readonly order: LayerOrder
  readonly lossless: boolean
  readonly ref: readonly string[] | undefined
}

export function compressionOptions<T>(yargs: Argv<T>): Argv<T> {
  return yargs
    .option('compression', {
      type: 'string',
      default: DEFAULT_COMPRESSION,
      requiresArg: true,
      coerce: once('compression'),
      describe: `Of a layer made here: ${COMPRESSION_NAMES.map(describeLevels).join('; ')}; or none`,
    })
    .option('threads', {
      type: 'number',
      requiresArg: true,
      describe: 'Threads that decompress and compress; all processors when left out',
    }) // yargs does not type coerce
}

function describeLevels(name: Compression): string {
  return `${name}[:LEVEL], ${COMPRESSIONS[name].levels.help}`
}

export function layerOptions<T>(yargs: Argv<T>): Argv<T> {
  return compressionOptions(yargs)
    .option('skip-unsupported', {
      type: 'boolean',
      default: false,
      describe: 'Leave out of a WIM what a layer cannot hold, instead of failing',
    })
    .option('order', {
      choices: ['blob', 'tree'] as const,
      default: 'blob' as const,
      requiresArg: true,
      describe:
        'Of the files in a layer of a WIM: as their blobs stand in it, which is fastest; or the same for every WIM of the same files',
    })
    .option('lossless', {
      type: 'boolean',
      default: false,
      describe: 'Keep what a Windows layer has no form for in PAX records that Windows passes over; another digest',
    })
    .option('ref', {
      type: 'string',
      array: true,
      nargs: 1,
      requiresArg: true,
      describe: 'Other WIM files that hold blobs of a delta WIM: a path, or a pattern in quotes. May be given again',
    }) // yargs does not type coerce
}

/** Throws INVALID_ARGUMENT. */
export function readLayerOptions({
  compression,
  threads,
  'skip-unsupported': skipUnsupported,
  order,
  lossless,
  ref: references,
}: LayerOptions): Omit<WimLayerOptions, 'onSkipped' | 'onWarning'> {
  return { compression: parseLayerCompression(compression), threads, skipUnsupported, order, lossless, references }
}
