/** `stowage wim delete`: deletes images from a WIM. */
import { chooseWimImage, openWimArchive } from './archive.js'
import { flag } from '../command.js'
import { wimCommand } from './command.js'
import { ifSet, INTEGRITY, UNSAFE_COMPACT, writeOptions } from './options.js'
import { watch } from './progress.js'

export const remove = wimCommand({
  name: 'delete',
  operands: 'WIMFILE IMAGE',
  options: {
    ...INTEGRITY,
    ...UNSAFE_COMPACT,
    soft: flag('Only remove the image from the list: fast, but the file does not shrink'),
  },
  run: async (values, [path = '', selector = ''], session) => {
    await using wim = await openWimArchive(path, { check: values.check, writeAccess: true }, session)
    const image = await chooseWimImage(wim, selector)
    const { index, name } = image === 'all' ? { index: 'all', name: undefined } : wim.image(image)
    await wim.deleteImage(image)
    await wim.overwrite({ ...writeOptions(values), softDelete: ifSet(values.soft), ...watch(session, path) })
    const text =
      index === 'all' ? `${path}: all images deleted\n` : `${path}: image ${index} ${JSON.stringify(name)} deleted\n`
    session.report({ schema: 'stowage.wim-delete/v1', path, image: index, name }, text)
  },
})
