/** What a command of `stowage wim` is: operands in the order of wimlib-imagex, options by its names, one call. */
import type { InferredOptionTypes, Options } from 'yargs'
import type { GlobalOptions, Session } from '../session.js'

/** A command with the options `Known`; {@link AnyWimCommand} is one whose options do not matter. */
export interface WimCommand<Known extends Readonly<Record<string, Options>>> {
  readonly name: string
  /** Words in capitals; those in brackets can be left out, and before `...` the last can be many. */
  readonly operands: string
  readonly describe: string
  readonly options: Known
  /** Command lines, each with what it does. */
  readonly examples?: readonly (readonly [line: string, meaning: string])[]
  run(values: WimValues<Known>, operands: readonly string[], session: Session): Promise<void>
}

export type WimValues<Known extends Readonly<Record<string, Options>>> = InferredOptionTypes<Known> &
  GlobalOptions & {
    /** What the options or the variable say. */
    readonly ignoreCase: boolean
  }

export type AnyWimCommand = WimCommand<Readonly<Record<string, Options>>>

/** Types the values that `run` takes by the options beside it. */
export function wimCommand<const Known extends Readonly<Record<string, Options>>>(
  command: WimCommand<Known>,
): AnyWimCommand {
  return command // the parser makes values of these very options, and no others
}

/** An option that is there or not. */
export function flag<const Names extends readonly string[]>(describe: string, ...alias: Names) {
  return { type: 'boolean', describe, alias } as const
}

/** An option with a value; of several the last one counts, as with wimlib-imagex. */
export function value(describe: string) {
  return { type: 'string', describe } as const
}

/** An option with a value, that may be repeated and again. */
export function values(describe: string) {
  return { type: 'string', array: true, describe } as const
}
