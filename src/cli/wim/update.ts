/** `stowage wim update`: adds, deletes and renames files of an image. */
import { StowageError } from '../../errors.js'
import type { UpdateCommand } from '../../wim/options.js'
import { parseUpdateScript } from '../../wim/update-script.js'
import { count } from '../render.js'
import type { Session } from '../session.js'
import { chooseOneImage, openWimArchive, readTextFile } from './archive.js'
import { flag, value } from '../command.js'
import { wimCommand, type WimValues } from './command.js'
import {
  ACLS,
  acls,
  ifSet,
  INTEGRITY,
  REBUILD,
  REF,
  THREADS,
  UNIX_DATA,
  UNSAFE_COMPACT,
  VERBOSE,
  writeOptions,
} from './options.js'
import { watch } from './progress.js'

const WIMBOOT_CONFIG = '/Windows/System32/WimBootCompress.ini'

const OPTIONS = {
  ...REF,
  ...INTEGRITY,
  ...THREADS,
  ...REBUILD,
  ...UNSAFE_COMPACT,
  command: value('One command, instead of those on stdin'),
  'wimboot-config': value(`Put this file into the image as ${WIMBOOT_CONFIG}, instead of the commands on stdin`, {
    takes: 'path',
  }),
  config: value('A capture configuration file for every add', { takes: 'path' }),
  force: flag('Let every delete ignore missing files'),
  recursive: flag('Let every delete remove directories too'),
  dereference: flag('Let every add store what symbolic links point to'),
  'no-replace': flag('Let every add fail if the file already exists'),
  ...UNIX_DATA,
  ...ACLS,
  ...VERBOSE,
} as const

export const update = wimCommand({
  name: 'update',
  operands: 'WIMFILE [IMAGE]',
  options: OPTIONS,
  examples: [
    ['update boot.wim 2 --command="add startnet.cmd /Windows/System32/startnet.cmd"', 'One file'],
    ['update boot.wim 2 < changes.txt', 'A script'],
  ],
  run: async (values, [path = '', selector], session) => {
    // Open the WIM before reading the script from stdin, which someone may be typing
    await using wim = await openWimArchive(path, { check: values.check, ref: values.ref, writeAccess: true }, session)
    const image = await chooseOneImage(wim, selector)
    const commands = await commandsOf(values, session)
    if (commands.length > 0) {
      const job = watch(session, path, { verbose: values.verbose })
      await wim.update(image, commands, { sendProgress: true, ...job })
      await wim.overwrite({ ...writeOptions(values), ...watch(session, path) })
    }
    session.report(
      { schema: 'stowage.wim-update/v1', path, image, commands: commands.map(shown) },
      commands.length === 0
        ? `${path}: nothing to do\n`
        : `${path}: image ${image} changed by ${count(commands.length, 'command')}\n`,
    )
  },
})

async function commandsOf(values: WimValues<typeof OPTIONS>, { signal }: Session): Promise<UpdateCommand[]> {
  const { command, 'wimboot-config': wimbootConfig } = values
  const add = {
    verbose: ifSet(values.verbose),
    excludeVerbose: true,
    unixData: ifSet(values['unix-data']),
    acls: acls(values),
    dereference: ifSet(values.dereference),
    noReplace: ifSet(values['no-replace']),
    config: values.config,
  }
  if (wimbootConfig !== undefined) {
    if (command !== undefined)
      throw new StowageError('INVALID_ARGUMENT', '--command and --wimboot-config cannot be used together')
    return [{ type: 'add', source: wimbootConfig, target: WIMBOOT_CONFIG, ...add }]
  }
  const options = { add, delete: { force: ifSet(values.force), recursive: ifSet(values.recursive) } }
  if (command !== undefined) return parseUpdateScript(command, { file: '--command', ...options })
  return parseUpdateScript(await readTextFile('-', signal), { file: 'stdin', ...options })
}

function shown(command: UpdateCommand): Readonly<Record<string, string>> {
  const { type } = command
  return type === 'delete' ? { type, path: command.path } : { type, source: command.source, target: command.target }
}
