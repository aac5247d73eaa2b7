/** What bench/recovery.mjs measures, in a process of its own: WHAT BASE INDEX BLOCK-SIZE PERCENT. */
import { join } from 'node:path'
import { createRecoverySet, measure } from '../dist/recovery/create-set.js'
import { readRecoverySet, recoveryFiles } from '../dist/recovery/read-set.js'
import { examineFiles, repairFiles } from '../dist/recovery/repair-set.js'

const [what, base, name, blockSize, percent] = process.argv.slice(2)
const index = join(base, name)
if (what === 'create') {
  const files = await measure(base, [name.slice(0, -'.par2'.length)])
  await createRecoverySet(base, files, Number(percent), index, { blockSize: Number(blockSize) })
} else {
  const set = await readRecoverySet(await recoveryFiles(index))
  const condition = await examineFiles(set, base)
  const damaged = what === 'repair' ? 1 : 0
  if (condition.missing.length !== damaged) throw new Error(`${condition.missing.length} blocks are damaged`)
  if (what === 'repair') {
    await repairFiles(set, base, condition)
    const { missing } = await examineFiles(set, base)
    if (missing.length > 0) throw new Error('it is not repaired')
  }
}
