/** `stowage wim capture`: captures directories, files or an NTFS volume into a new WIM. */
import { captureNewWim } from './capturing.js'
import { CAPTURE_OPTIONS } from './capture-options.js'
import { wimCommand } from './command.js'

export const capture = wimCommand({
  name: 'capture',
  operands: 'SOURCE WIMFILE [IMAGE_NAME [IMAGE_DESC]]',
  options: CAPTURE_OPTIONS,
  examples: [
    ['capture tree tree.wim', 'One image, named after the directory; LZX'],
    [
      'capture tree - --compress=xpress | ssh host stowage wim apply - there',
      'To another machine, without an intermediate file',
    ],
    ['capture tree new.wim --update-of=old.wim:-1 --delta-from=old.wim', 'Only what is not in old.wim'],
  ],
  run: async (values, [source = '', path = '', name, description], session) => {
    await captureNewWim({ source, path, name, description }, values, session)
  },
})
