/** The file that a command makes of layers or into a layer: the options, and what is said of it. */
import { flag, value } from '../command.js'
import type { WrittenLayer } from '../../layer/make/job.js'
import { exactSize, skippedText, table } from '../render.js'

/** What the output of a command is that makes a layer. */
export const LAYER_OUTPUT = 'The layer, a tar: layer.tar.gz'

/** `describe` says what the output is. */
export function outputOptions(describe: string) {
  return {
    output: value(describe, { alias: 'o', required: true }),
    force: flag('Overwrite an existing output'),
  } as const
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
