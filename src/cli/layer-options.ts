/** The options of every command that makes layers of WIM files. */
import type { Argv } from 'yargs'
import { StowageError } from '../errors.js'
import type { LayerCompression } from '../layer/compression.js'
import type { LayerFromWimOptions } from '../layer/from-wim.js'
import { once } from './session.js'

export interface LayerOptions {
  readonly compression: string
  readonly threads: number | undefined
  readonly 'skip-unsupported': boolean
}

export function layerOptions<T>(yargs: Argv<T>): Argv<T> {
  return yargs
    .option('compression', {
      type: 'string',
      default: 'gzip',
      requiresArg: true,
      coerce: once('compression'),
      describe: 'Of a layer made here: gzip[:LEVEL], 1 (fast) to 12 (small); zstd[:LEVEL], 1 to 19, for Docker 23 and later; or none',
    })
    .option('threads', {
      type: 'number',
      requiresArg: true,
      describe: 'Threads that decompress and compress; all processors when left out',
    })
    .option('skip-unsupported', {
      type: 'boolean',
      default: false,
      describe: 'Leave out of a WIM what a layer cannot hold, instead of failing',
    }) as unknown as Argv<T> // yargs does not type coerce
}

/** Throws INVALID_ARGUMENT. */
export function readLayerOptions(
  { compression, threads, 'skip-unsupported': skipUnsupported }: LayerOptions,
): Pick<LayerFromWimOptions, 'compression' | 'threads' | 'skipUnsupported'> {
  return { compression: parseCompression(compression), threads, skipUnsupported }
}

function parseCompression(words: string): LayerCompression {
  const match = /^(?:(none)|(gzip|zstd)(?::(\d+))?)$/.exec(words)
  if (!match) {
    throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(words)} is no compression of a layer`, {
      hint: 'Write gzip, zstd, gzip:LEVEL, zstd:LEVEL or none.',
    })
  }
  const type = match[2] === 'zstd' ? 'zstd' : 'gzip'
  return match[1] ? { type: 'none' } : { type, ...(match[3] ? { level: Number(match[3]) } : {}) }
}
