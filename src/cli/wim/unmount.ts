/** `stowage wim unmount`: unmounts an image, and keeps or discards its changes. */
import { StowageError } from '../../errors.js'
import { unmountImage } from '../../wim/mount.js'
import { flag } from '../command.js'
import { wimCommand } from './command.js'
import { ifSet, REBUILD } from './options.js'
import { watch } from './progress.js'

export const unmount = wimCommand({
  name: 'unmount',
  operands: 'DIRECTORY',
  options: {
    commit: flag('Write the changes to the WIM'),
    check: flag('Write an integrity table too'),
    ...REBUILD,
    force: flag('Commit even if files are still open'),
    'new-image': flag('Write the changes as a new image'),
    lazy: flag('No effect: every unmount waits for the mount daemon'),
  },
  run: async (values, [directory = ''], session) => {
    if (values['new-image'] && !values.commit) {
      throw new StowageError('INVALID_ARGUMENT', '--new-image requires --commit')
    }
    await unmountImage(directory, {
      commit: ifSet(values.commit),
      integrityTable: ifSet(values.check),
      rebuild: ifSet(values.rebuild),
      force: ifSet(values.force),
      newImage: ifSet(values['new-image']),
      ...watch(session, directory),
    })
    session.report(
      { schema: 'stowage.wim-unmount/v1', directory, committed: values.commit },
      `${directory}: unmounted\n`,
    )
  },
})
