/** The code that `stowage wim mount` and `mountrw` share. */
import { mountImage } from '../../wim/mount.js'
import type { Session } from '../session.js'
import { chooseOneImage, openWimArchive } from './archive.js'
import { flag, value } from '../command.js'
import type { WimValues } from './command.js'
import { ifSet, REF, UNIX_DATA } from './options.js'
import { parseWord } from './values.js'

export const MOUNT_OPTIONS = {
  ...REF,
  ...UNIX_DATA,
  check: flag('Check the WIM against its integrity table first, if it has one'),
  'allow-other': flag('Let other users access the mount too'),
  'streams-interface': value('How named data streams appear: none, xattr or windows (FILE:STREAM) (default xattr)', {
    takes: ['none', 'xattr', 'windows'],
  }),
  'staging-dir': value('Directory for staged changes (default: beside the WIM)', { takes: 'directory' }),
  debug: flag('Stay in the foreground and log to stderr'),
} as const

export async function runMount(
  values: WimValues<typeof MOUNT_OPTIONS>,
  [path = '', ...rest]: readonly string[],
  session: Session,
  { readWrite }: { readonly readWrite: boolean },
): Promise<void> {
  const [directory = '', selector] = [rest.at(-1), rest.length > 1 ? rest[0] : undefined]
  const streamsInterface = parseWord(values['streams-interface'], ['none', 'xattr', 'windows'], 'streams-interface')
  const image = await imageOf(path, selector, session)
  await mountImage(path, image, directory, {
    readWrite: ifSet(readWrite),
    debug: ifSet(values.debug),
    streamsInterface,
    unixData: ifSet(values['unix-data']),
    allowOther: ifSet(values['allow-other']),
    stagingDirectory: values['staging-dir'],
    references: values.ref,
    checkIntegrity: ifSet(values.check),
    signal: session.signal,
  })
  session.report(
    { schema: 'stowage.wim-mount/v1', path, image, directory, readWrite },
    `${path}: image ${image} mounted on ${directory}\n`,
  )
}

/** Resolves the image here rather than in the child process that mounts it, so that errors appear before it starts. */
async function imageOf(path: string, selector: string | undefined, session: Session): Promise<number> {
  await using wim = await openWimArchive(path, {}, session)
  return await chooseOneImage(wim, selector)
}
