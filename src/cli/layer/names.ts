/** What the commands for layers say and ask about the layers that are named. */
import { StowageError } from '../../errors.js'
import { COMPRESSION_NAMES } from '../../oci/compression.js'

/** How a layer that is read may be compressed, for help: `gzip, zstd or plain`. */
export const READABLE = `${COMPRESSION_NAMES.join(', ')} or plain`

/** As they were named. Throws INVALID_ARGUMENT for standard input more than once, which has one layer. */
export function layerNames(names: readonly string[]): readonly string[] {
  if (names.filter(name => name === '-').length < 2) return names
  throw new StowageError('INVALID_ARGUMENT', 'standard input (-) can be read once', {
    hint: 'Write one of the layers to a file.',
  })
}
