/** What `stowage wim mount` and `mountrw` share. */
import { mountImage } from '../../wim/mount.js'
import type { Session } from '../session.js'
import { chooseOneImage, openWimArchive } from './archive.js'
import { flag, value } from '../command.js'
import type { WimValues } from './command.js'
import { asked, REF, UNIX_DATA } from './options.js'
import { parseWord } from './values.js'

export const MOUNT_OPTIONS = {
  ...REF,
  ...UNIX_DATA,
  check: flag('Check the WIM against its integrity table first, if it has one'),
  'allow-other': flag('Let other users access the mount too'),
  'streams-interface': value('How named data streams appear: none, xattr or windows (FILE:STREAM) (default xattr)'),
  'staging-dir': value('Directory for staged changes (default: beside the WIM)'),
  debug: flag('Stay in the foreground and log to stderr'),
} as const

export async function mounting(
  readWrite: boolean,
  values: WimValues<typeof MOUNT_OPTIONS>,
  [path = '', ...rest]: readonly string[],
  session: Session,
): Promise<void> {
  const [directory = '', word] = [rest.at(-1), rest.length > 1 ? rest[0] : undefined]
  const streamsInterface = parseWord(values['streams-interface'], ['none', 'xattr', 'windows'], 'streams-interface')
  const image = await imageOf(path, word, session)
  await mountImage(path, image, directory, {
    readWrite: asked(readWrite),
    debug: asked(values.debug),
    streamsInterface,
    unixData: asked(values['unix-data']),
    allowOther: asked(values['allow-other']),
    stagingDirectory: values['staging-dir'],
    references: values.ref,
    checkIntegrity: asked(values.check),
    signal: session.signal,
  })
  session.report(
    { schema: 'stowage.wim-mount/v1', path, image, directory, readWrite },
    `${path}: image ${image} mounted on ${directory}\n`,
  )
}

/** Found here, and not by the child that mounts: what is wrong is said before anything begins. */
async function imageOf(path: string, word: string | undefined, session: Session): Promise<number> {
  await using wim = await openWimArchive(path, {}, session)
  return await chooseOneImage(wim, word)
}
