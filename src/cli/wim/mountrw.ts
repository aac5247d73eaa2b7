/** `stowage wim mountrw`: mounts an image for writing. */
import { runMount, MOUNT_OPTIONS } from './mounting.js'
import { wimCommand } from './command.js'

export const mountrw = wimCommand({
  name: 'mountrw',
  operands: 'WIMFILE [IMAGE] DIRECTORY',
  options: MOUNT_OPTIONS,
  run: async (values, operands, session) => runMount(values, operands, session, { readWrite: true }),
})
