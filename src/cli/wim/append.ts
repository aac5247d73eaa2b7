/** `stowage wim append`: adds an image to a WIM. */
import { access } from 'node:fs/promises'
import { systemCode } from '../../errors.js'
import { appendToWim, captureNewWim } from './capturing.js'
import { CAPTURE_OPTIONS } from './capture-options.js'
import { flag } from '../command.js'
import { wimCommand } from './command.js'

export const append = wimCommand({
  name: 'append',
  operands: 'SOURCE WIMFILE [IMAGE_NAME [IMAGE_DESC]]',
  options: { ...CAPTURE_OPTIONS, create: flag('Create the WIM if it does not exist') },
  examples: [['append tree tree.wim "tree of today" --update-of=-1', 'Read only what changed since the last image']],
  run: async (values, [source = '', path = '', name, description], session) => {
    const job = { source, path, name, description }
    if (values.create && !(await exists(path))) await captureNewWim(job, values, session)
    else await appendToWim(job, values, session)
  },
})

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: unknown) => systemCode(error) !== 'ENOENT',
  )
}
