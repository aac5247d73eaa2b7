/** The layers that a command line names. */
import { StowageError } from '../../errors.js'

/** As they were named. Throws INVALID_ARGUMENT for standard input more than once, which has one layer. */
export function layerNames(names: readonly string[]): readonly string[] {
  if (names.filter(name => name === '-').length < 2) return names
  throw new StowageError('INVALID_ARGUMENT', 'standard input (-) can be read once', {
    hint: 'Write one of the layers to a file.',
  })
}
