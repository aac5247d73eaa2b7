/** The layer operands of the `stowage layer` commands. */
import { StowageError } from '../../errors.js'
import { COMPRESSION_NAMES } from '../../oci/compression.js'

/** The compressions that can be read, for help texts: `gzip, zstd or plain`. */
export const READABLE = `${COMPRESSION_NAMES.join(', ')} or plain`

/** Returns `names`. Throws INVALID_ARGUMENT if `-` (stdin) is among them more than once. */
export function layerNames(names: readonly string[]): readonly string[] {
  if (names.filter(name => name === '-').length < 2) return names
  throw new StowageError('INVALID_ARGUMENT', 'standard input (-) can be read only once', {
    hint: 'Write one of the layers to a file.',
  })
}
