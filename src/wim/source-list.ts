/** Parses the list of sources for a capture: files and directories, with their paths in the image. */
import { StowageError } from '../errors.js'
import type { CaptureSource } from './options.js'
import { linesOf } from './text-file.js'

/**
 * Parses a list as `wimlib-imagex capture --source-list` does: `SOURCE [TARGET]` on each line; TARGET defaults to
 * SOURCE. libwim would exclude files with `.` or `..` in their targets with a warning, so `.` is removed here, and `..`
 * throws. Later sources replace earlier ones. For comments and quotes, see {@link linesOf}. Throws INVALID_ARGUMENT
 * naming `file` and the line.
 */
export function parseSourceList(text: string, file = 'the source list'): CaptureSource[] {
  return linesOf(text, file).map(({ number, words }) => {
    const place = `${file}, line ${number}`
    const [source = '', target = source, ...more] = words.map(word => word.text)
    if (more.length > 0) {
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${place}: expected SOURCE and TARGET but found ${words.length} words`,
        {
          hint: 'Quote a path that contains spaces.',
        },
      )
    }
    if (source === '') throw new StowageError('INVALID_ARGUMENT', `${place}: the source is empty`)
    return { source, target: targetOf(target, place) }
  })
}

function targetOf(path: string, place: string): string {
  const components = path.split('/').filter(component => component !== '' && component !== '.')
  if (components.includes('..')) {
    throw new StowageError('INVALID_ARGUMENT', `${place}: ${JSON.stringify(path)} is not a path in an image`, {
      hint: 'Name the target after the source: a path from the root of the image, without "..".',
    })
  }
  return `/${components.join('/')}`
}
