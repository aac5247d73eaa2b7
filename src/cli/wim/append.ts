/** `stowage wim append`: another image into a WIM. */
import { access } from 'node:fs/promises'
import { systemCode } from '../../errors.js'
import { appendToWim, captureNewWim } from './capturing.js'
import { CAPTURE_OPTIONS } from './capture-options.js'
import { flag, wimCommand } from './command.js'

export const append = wimCommand({
  name: 'append',
  operands: 'SOURCE WIMFILE [IMAGE_NAME [IMAGE_DESC]]',
  describe: 'Add an image of a directory, or of an NTFS volume, to a WIM',
  options: { ...CAPTURE_OPTIONS, create: flag('Make the WIM where it is not there yet') },
  examples: [['append tree tree.wim "tree of today" --update-of=-1', 'Read only what changed since the last image']],
  run: async (values, [source = '', path = '', name, description], session) => {
    const job = { source, path, name, description }
    if (values.create === true && !(await exists(path))) await captureNewWim(job, values, session)
    else await appendToWim(job, values, session)
  },
})

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: unknown) => systemCode(error) !== 'ENOENT',
  )
}
