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
      describe: `Compression of new layers: ${COMPRESSION_NAMES.map(describeLevels).join('; ')}; or none`,
    })
    .option('threads', {
      type: 'number',
      requiresArg: true,
      describe: 'Threads for compression and decompression (default: one per processor)',
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
      describe: 'Skip what a layer cannot hold, instead of failing',
    })
    .option('order', {
      choices: ['blob', 'tree'] as const,
      default: 'blob' as const,
      requiresArg: true,
      describe:
        'Order of files in a layer made from a WIM: blob order is fastest; tree order gives the same layer for any WIM of the same files',
    })
    .option('lossless', {
      type: 'boolean',
      default: false,
      describe: 'Keep what a Windows layer cannot express in PAX records that Windows ignores; changes the digest',
    })
    .option('ref', {
      type: 'string',
      array: true,
      nargs: 1,
      requiresArg: true,
      describe: 'Other WIM files with blobs of a delta WIM: a path, or a quoted pattern; may be repeated',
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
