/** `stowage wim mount`: mounts an image read-only. */
import { runMount, MOUNT_OPTIONS } from './mounting.js'
import { wimCommand } from './command.js'

export const mount = wimCommand({
  name: 'mount',
  operands: 'WIMFILE [IMAGE] DIRECTORY',
  options: MOUNT_OPTIONS,
  examples: [['mount install.wim 1 /mnt', 'until "stowage wim unmount /mnt"']],
  run: async (values, operands, session) => runMount(values, operands, session, { readWrite: false }),
})
