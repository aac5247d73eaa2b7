/** `stowage wim mountrw`: an image as a directory that can be changed. */
import { mounting, MOUNT_OPTIONS } from './mounting.js'
import { wimCommand } from './command.js'

export const mountrw = wimCommand({
  name: 'mountrw',
  operands: 'WIMFILE [IMAGE] DIRECTORY',
  describe: 'Mount an image for writing (Linux); "unmount --commit" keeps the changes',
  options: MOUNT_OPTIONS,
  run: async (values, operands, session) => mounting(true, values, operands, session),
})
