/** `stowage wim split`: splits a WIM into parts. */
import { openWimArchive, refuseSameFile } from './archive.js'
import { count } from '../render.js'
import { wimCommand } from './command.js'
import { INTEGRITY, integrityTable } from './options.js'
import { watch } from './progress.js'
import { parsePartSize } from './values.js'

export const split = wimCommand({
  name: 'split',
  operands: 'WIMFILE SPLIT_WIM_PART_1 PART_SIZE',
  options: INTEGRITY,
  examples: [
    ['split install.wim /media/stick/install.swm 4000', 'install.swm, install2.swm …, small enough for FAT32'],
  ],
  run: async (values, [path = '', first = '', size = ''], session) => {
    const partSize = parsePartSize(size)
    const wim = await openWimArchive(path, values, session)
    await refuseSameFile(first, wim.parts, 'the WIM')
    const parts: string[] = []
    const job = watch(session, path)
    await wim.split(first, partSize, {
      integrityTable: integrityTable(values),
      signal: job.signal,
      onProgress(event) {
        if (event.type === 'split-begin-part') parts[event.partNumber - 1] = event.partName
        job.onProgress?.(event)
      },
    })
    session.report(
      { schema: 'stowage.wim-split/v1', path, parts },
      `${path}: split into ${count(parts.length, 'part')}\n`,
    )
  },
})
