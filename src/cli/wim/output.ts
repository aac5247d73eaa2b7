/** Writes a new WIM to a file or to stdout, and reports the images in it. */
import { fstatSync } from 'node:fs'
import { StowageError } from '../../errors.js'
import type { WriteOptions, WriteTarget } from '../../wim/options.js'
import type { WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'
import { printable } from '../render.js'
import type { Session } from '../session.js'
import { watch } from './progress.js'

const STDOUT = 1

/** Writes `wim` to the file `path` or, if that is `-`, as a pipable WIM to stdout. */
export async function writeNewWim(wim: WimFile, path: string, options: WriteOptions, session: Session): Promise<void> {
  if (path !== '-') return wim.write(path, { ...options, ...watch(session, path) })
  if (options.pipable === false) {
    throw new StowageError('INVALID_ARGUMENT', '--not-pipable and a WIM to stdout cannot be used together')
  }
  if (process.stdout.isTTY) {
    throw new StowageError('INVALID_ARGUMENT', 'a WIM cannot be written to a terminal', {
      hint: 'Redirect it to a file or a pipe, or name a file.',
    })
  }
  await wim.write(stdout(), { ...options, pipable: true, ...watch(session, 'stdout') })
}

/** Node.js makes stdout non-blocking if it is a pipe, which libwim reports as an error. */
function stdout(): WriteTarget {
  return fstatSync(STDOUT).isFile() ? { fd: STDOUT } : process.stdout
}

/** Reports the written images, unless the WIM itself went to stdout. */
export function reportWritten(
  wim: WimFile,
  schema: string,
  path: string,
  images: readonly number[],
  { report }: Session,
): void {
  if (path === '-') return
  const written = images.map(image => wim.image(image))
  const text = written.map(image => `${path}: image ${image.index}${nameOf(image)}\n`).join('')
  report({ schema, path, images: written.map(({ index, name }) => ({ index, name })) }, printable(text))
}

function nameOf({ name }: WimImage): string {
  return name === '' ? ', without a name' : ` ${JSON.stringify(name)}`
}
