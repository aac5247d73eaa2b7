/** `stowage layer`: layers and where they come from. */
import type { CommandModule } from 'yargs'
import { check } from './layer/check.js'
import { diff } from './layer/diff.js'
import { fromDir } from './layer/from-dir.js'
import { fromWim } from './layer/from-wim.js'
import { inspect } from './layer/inspect.js'
import { toWim } from './layer/to-wim.js'
import type { GlobalOptions } from './session.js'

/** `stowage layer`, which is nothing without one of its own commands. */
export const layer: CommandModule<GlobalOptions, GlobalOptions> = {
  builder: yargs =>
    yargs
      .command(fromWim)
      .command(fromDir)
      .command(toWim)
      .command(check)
      .command(inspect)
      .command(diff)
      .demandCommand(1, 'Name a command of "stowage layer".')
      .strict(),
  handler: () => undefined,
}
