/** A command of `stowage wim`: the operands and options of wimlib-imagex, and the function that runs it. */
import type { OptionTable, Values } from '../command.js'
import type { GlobalOptions, Session } from '../session.js'

/** A command with the options `Known`. {@link AnyWimCommand} is a command with any options. */
export interface WimCommand<Known extends OptionTable> {
  readonly name: string
  /** Names in capitals. Operands in brackets are optional, and one before `...` can be repeated. */
  readonly operands: string
  readonly options: Known
  /** Command lines, each with an explanation. */
  readonly examples?: readonly (readonly [line: string, meaning: string])[]
  run(values: WimValues<Known>, operands: readonly string[], session: Session): Promise<void>
}

export type WimValues<Known extends OptionTable> = Values<Known> &
  GlobalOptions & {
    /** Whether case is ignored in image paths, as the options or WIMLIB_IMAGEX_IGNORE_CASE say. */
    readonly ignoreCase: boolean
  }

export type AnyWimCommand = WimCommand<OptionTable>

/** Derives the type of the values that `run` receives from the options beside it. */
export function wimCommand<const Known extends OptionTable>(command: WimCommand<Known>): AnyWimCommand {
  return command // the parser produces values for exactly these options
}
