/** The output file of the `stowage layer` commands: its options and how it is reported. */
import { flag, value } from '../command.js'
import type { WrittenLayer } from '../../layer/make/job.js'
import { STANDARD_STREAM } from '../../archive/standard-stream.js'
import { skippedText, table } from '../render.js'
import { exactSize } from '../../size-text.js'
import type { Session } from '../session.js'

/** Help text for the output of a command that makes a layer. */
export const LAYER_OUTPUT = 'The layer, a tar: layer.tar.gz; - is standard output'

/** The options --output and --force; `describe` is the help text of --output. */
export function outputOptions(describe: string) {
  return {
    output: value(describe, { alias: 'o', required: true, takes: 'path' }),
    force: flag('Overwrite an existing output'),
  } as const
}

/** The report goes to stderr if the output is standard output. */
export function claimIfStandard(output: string, session: Session): void {
  if (output === STANDARD_STREAM) session.claimStdout()
}

/** The report on a layer written to `path`; `rows` say what it was made from and what it holds. */
export function layerText(
  path: string,
  rows: readonly (readonly string[])[],
  layer: WrittenLayer & { readonly skipped: readonly string[] },
): string {
  const facts = [
    ['diffID', layer.diffId],
    ['digest', layer.digest],
    ['size', exactSize(layer.size)],
    ['uncompressed', exactSize(layer.uncompressedSize)],
  ]
  return `${table(['LAYER', path], [...rows, ...facts])}${skippedText(layer.skipped)}`
}
