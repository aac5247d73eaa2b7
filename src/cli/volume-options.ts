/** Options of the commands that write or read volumes, and the questions that they ask. */
import { StowageError } from '../errors.js'
import { formatSize } from '../size-text.js'
import { LEAST_VOLUME, volumeName } from '../volumes/description.js'
import { numbersText } from '../volumes/find.js'
import type { AskForVolume } from '../volumes/volume-stream.js'
import type { AskForMedium } from '../volumes/gone.js'
import { value } from './command.js'
import type { Session } from './session.js'

export const VOLUME_SIZE = {
  describe:
    'Cut the tar into volumes of this size, x.tar.001, x.tar.002 …: fat32 for what FAT32 can hold, or a size such as 4GiB or 700MB',
  settings: { takes: ['fat32', '4GiB', '700MB'] },
} as const

export const VOLUME_SIZE_OPTION = value(VOLUME_SIZE.describe, VOLUME_SIZE.settings)

/** The largest volume for FAT32: just under 4 GiB, in whole clusters. */
const FAT32_VOLUME = 2 ** 32 - 2 ** 16
/** Powers of 1024, and of 1000 with a `B`, as split(1) has them. */
const UNITS: readonly string[] = ['', 'K', 'M', 'G', 'T']

/** The size of a volume in bytes. Throws INVALID_ARGUMENT. */
export function parseVolumeSize(text: string): number {
  if (text.toLowerCase() === 'fat32') return FAT32_VOLUME
  const [, number, letter = '', rest = ''] = /^(\d+(?:\.\d+)?) ?([KMGT]?)(B|iB)?$/i.exec(text) ?? []
  const base = rest.toLowerCase() === 'b' ? 1000 : 1024
  const size = Math.floor(Number(number) * base ** UNITS.indexOf(letter.toUpperCase()))
  if (number !== undefined && Number.isSafeInteger(size) && size >= LEAST_VOLUME) return size
  throw new StowageError('INVALID_ARGUMENT', `--volume-size: ${JSON.stringify(text)} is not the size of a volume`, {
    hint: `Write fat32, or a size of at least ${LEAST_VOLUME / 1024}KiB, such as 4GiB, 700MB or 1G.`,
  })
}

/** Asks on the terminal for the next medium to write to; undefined if there is no terminal. */
export function mediumAsker(session: Session): AskForMedium | undefined {
  if (!session.canAsk) return undefined
  return async ({ reason, directory, tar, number, size, count, written }) => {
    const next = volumeName(tar, number, count)
    if (reason === 'gone') {
      return await answered(
        session,
        `${directory} cannot be written any more. Plug the same medium in again for ${next},`,
      )
    }
    const there =
      written.length > 0 ? ` It has volume${written.length === 1 ? '' : 's'} ${numbersText(written)} of ${count}.` : ''
    return await answered(
      session,
      `${directory} has no room for ${next} (${formatSize(size)}).${there} Put another medium in its place,`,
    )
  }
}

/** Asks on the terminal for the medium that has a volume; undefined if there is no terminal. */
export function volumeAsker(session: Session): AskForVolume | undefined {
  if (!session.canAsk) return undefined
  return async ({ tar, number, count, directories, reason }) => {
    const where = directories.join(' and ')
    const why = reason === undefined ? `is not in ${where}` : `is not the right one: ${reason}`
    return await answered(session, `${volumeName(tar, number, count)} ${why}. Plug in the medium that has it,`)
  }
}

async function answered({ ask }: Session, what: string): Promise<string | undefined> {
  const answer = (await ask(`${what}\nand press Enter, or type the directory where it is (Ctrl-C stops): `)).trim()
  return answer === '' ? undefined : answer
}
