/** `stowage wim join`: joins the parts of a split WIM. */
import { joinWims } from '../../wim/join.js'
import { count } from '../render.js'
import { refuseSameFile } from './archive.js'
import { wimCommand } from './command.js'
import { INTEGRITY, integrityTable } from './options.js'
import { watch } from './progress.js'

export const join = wimCommand({
  name: 'join',
  operands: 'OUT_WIMFILE SPLIT_WIM_PART...',
  options: INTEGRITY,
  examples: [['join install.wim install*.swm', 'The parts in any order']],
  run: async (values, [path = '', ...parts], session) => {
    await refuseSameFile(path, parts, 'one of the parts')
    const checkIntegrity = values.check ? true : undefined
    await joinWims(parts, path, { checkIntegrity, integrityTable: integrityTable(values), ...watch(session, path) })
    session.report(
      { schema: 'stowage.wim-join/v1', path, parts },
      `${path}: joined from ${count(parts.length, 'part')}\n`,
    )
  },
})
