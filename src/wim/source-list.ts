/** The list of a capture's sources: files and directories, and where in the image each goes. */
import { StowageError } from '../errors.js'
import type { CaptureSource } from './options.js'
import { linesOf } from './text-file.js'

/**
 * The sources that `text` lists, as `wimlib-imagex capture --source-list` reads them: `SOURCE [TARGET]` on each line, where
 * TARGET is SOURCE when it is left out. A target has no `.` and `..` among its components: libwim would leave such files out
 * with a warning, so `.` is taken off here, and `..` throws. Later sources lie over earlier ones. Comments, quotes:
 * {@link linesOf}. Throws INVALID_ARGUMENT naming `file` and the line.
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
