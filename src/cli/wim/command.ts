/** What a command of `stowage wim` is: operands in the order of wimlib-imagex, options by its names, one call. */
import type { OptionTable, Values } from '../command.js'
import type { GlobalOptions, Session } from '../session.js'

/** A command with the options `Known`; {@link AnyWimCommand} is one whose options do not matter. */
export interface WimCommand<Known extends OptionTable> {
  readonly name: string
  /** Words in capitals; those in brackets can be left out, and before `...` the last can be many. */
  readonly operands: string
  readonly describe: string
  readonly options: Known
  /** Command lines, each with what it does. */
  readonly examples?: readonly (readonly [line: string, meaning: string])[]
  run(values: WimValues<Known>, operands: readonly string[], session: Session): Promise<void>
}

export type WimValues<Known extends OptionTable> = Values<Known> &
  GlobalOptions & {
    /** What the options or the variable say. */
    readonly ignoreCase: boolean
  }

export type AnyWimCommand = WimCommand<OptionTable>

/** Types the values that `run` takes by the options beside it. */
export function wimCommand<const Known extends OptionTable>(command: WimCommand<Known>): AnyWimCommand {
  return command // the parser makes values of these very options, and no others
}
