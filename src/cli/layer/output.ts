/** The file that a command makes of layers or into a layer: the options, and what is said of it. */
import type { Argv } from 'yargs'
import type { WrittenLayer } from '../../layer/make/job.js'
import { exactSize, skippedText, table } from '../render.js'
import { once } from '../session.js'

export interface LayerOutputOptions {
  readonly output: string
  readonly force: boolean
}

/** What the output of a command is that makes a layer. */
export const LAYER_OUTPUT = 'The layer, a tar: layer.tar.gz'

/** `describe` says what the output is. */
export function outputOptions<T>(yargs: Argv<T>, describe: string): Argv<T> {
  return yargs
    .option('output', {
      alias: 'o',
      type: 'string',
      demandOption: true,
      requiresArg: true,
      coerce: once('output'),
      describe,
    })
    .option('force', {
      type: 'boolean',
      default: false,
      describe: 'Overwrite an existing output',
    }) // yargs does not type coerce
}

/** Of a layer at `path`; `rows` say what it was made of and holds. */
export function layerText(
  path: string,
  rows: readonly (readonly string[])[],
  made: WrittenLayer & { readonly skipped: readonly string[] },
): string {
  const facts = [
    ['diffID', made.diffId],
    ['digest', made.digest],
    ['size', exactSize(made.size)],
    ['uncompressed', exactSize(made.uncompressedSize)],
  ]
  return `${table(['LAYER', path], [...rows, ...facts])}${skippedText(made.skipped)}`
}
