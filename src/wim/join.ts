/** Joins the parts of a split WIM. */
import { startJob } from './job.js'
import { openFlags, writeFlags } from './flags.js'
import type { JoinOptions } from './options.js'
import { writeBeside } from './output.js'
import { expectWim } from './parts.js'

/**
 * Joins the parts of a split WIM, in any order, into the file `output`. Throws WIM_PART_MISSING, WIM_ERROR and file
 * errors.
 */
export async function joinWims(parts: readonly string[], output: string, options: JoinOptions = {}): Promise<void> {
  for (const part of parts) await expectWim(part)
  const [openOptions, args] = [
    openFlags({ checkIntegrity: options.checkIntegrity }),
    { paths: parts, flags: writeFlags(options) },
  ]
  await writeBeside(output, path => startJob('join', { ...args, path, openFlags: openOptions }, output, options).result)
}
