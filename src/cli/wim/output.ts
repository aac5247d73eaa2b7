/** Where commands write a new WIM, a file or stdout, and what they say of it. */
import { fstatSync } from 'node:fs'
import { StowageError } from '../../errors.js'
import type { WriteOptions, WriteTarget } from '../../wim/options.js'
import type { WimImage } from '../../wim/image.js'
import type { WimFile } from '../../wim/wim-file.js'
import { printable } from '../render.js'
import type { Session } from '../session.js'
import { watch } from './progress.js'

const STDOUT = 1

/** Writes `wim` to the file `path`, or as a pipable WIM to stdout where that is `-`. */
export async function writeNewWim(wim: WimFile, path: string, options: WriteOptions, session: Session): Promise<void> {
  if (path !== '-') return wim.write(path, { ...options, ...watch(session, path) })
  if (options.pipable === false) {
    throw new StowageError('INVALID_ARGUMENT', '--not-pipable and a WIM to stdout cannot be used together')
  }
  if (process.stdout.isTTY) {
    throw new StowageError('INVALID_ARGUMENT', 'will not write a WIM to a terminal', {
      hint: 'Redirect it to a file or a pipe, or name a file.',
    })
  }
  await wim.write(stdout(), { ...options, pipable: true, ...watch(session, 'stdout') })
}

/** Node.js makes a pipe that is its stdout one that does not wait, which libwim takes for an error. */
function stdout(): WriteTarget {
  return fstatSync(STDOUT).isFile() ? { fd: STDOUT } : process.stdout
}

/** Prints what is in the WIM now; nothing if stdout holds the WIM itself. */
export function reportWritten(
  wim: WimFile,
  schema: string,
  path: string,
  images: readonly number[],
  { report }: Session,
): void {
  if (path === '-') return
  const made = images.map(image => wim.image(image))
  const text = made.map(image => `${path}: image ${image.index}${nameOf(image)}\n`).join('')
  report({ schema, path, images: made.map(({ index, name }) => ({ index, name })) }, printable(text))
}

function nameOf({ name }: WimImage): string {
  return name === '' ? ', without a name' : ` ${JSON.stringify(name)}`
}
