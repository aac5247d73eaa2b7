/** Options of the commands that make layers. */
import { choice, flag, number, value, type Values, values } from './command.js'
import { COMPRESSION_NAMES, COMPRESSIONS, type Compression, DEFAULT_COMPRESSION } from '../oci/compression.js'
import { parseLayerCompression } from '../layer/compression.js'
import type { WimLayerOptions } from '../transport/wim/source.js'

/** For every command that makes layers. */
export const COMPRESSION_OPTIONS = {
  compression: value(`Compression of new layers: ${COMPRESSION_NAMES.map(describeLevels).join('; ')}; or none`, {
    default: DEFAULT_COMPRESSION,
    takes: [...COMPRESSION_NAMES, 'none'],
  }),
  threads: number('Threads for compression and decompression (default: one per processor)'),
} as const

function describeLevels(name: Compression): string {
  return `${name}[:LEVEL], ${COMPRESSIONS[name].levels.help}`
}

export const LAYER_OPTIONS = {
  ...COMPRESSION_OPTIONS,
  'skip-unsupported': flag('Skip what a layer cannot hold, instead of failing'),
  order: choice(
    'Order of files in a layer made from a WIM: blob is fastest; tree gives the same layer for any WIM of the same files',
    ['blob', 'tree'],
    'blob',
  ),
  lossless: flag('Keep what a Windows layer cannot express in PAX records that Windows ignores; changes the digest'),
  ref: values('Other WIM files with blobs of a delta WIM: a path, or a quoted pattern; may be repeated', {
    takes: 'path',
  }),
} as const

/** Throws INVALID_ARGUMENT. */
export function readLayerOptions({
  compression,
  threads,
  'skip-unsupported': skipUnsupported,
  order,
  lossless,
  ref: references,
}: Values<typeof LAYER_OPTIONS>): Omit<WimLayerOptions, 'onSkipped' | 'onWarning'> {
  return { compression: parseLayerCompression(compression), threads, skipUnsupported, order, lossless, references }
}
