/**
 * What a command of `stowage` is: its operands and options, each with the type of its value, its examples, and what it does.
 * Every parser of command lines reads these tables: yargs (program.ts), plain-words.ts, and that of `stowage wim`.
 */
import type { GlobalOptions, Session } from './session.js'
import { PROGRESS_MODES } from './progress.js'

/** An option whose value is a `T`. */
export interface Option<T> {
  /** `value` and `number` are given once, `values` and `choices` any number of times. */
  readonly kind: 'flag' | 'value' | 'number' | 'choice' | 'values' | 'choices'
  readonly describe: string
  readonly alias?: readonly string[]
  readonly choices?: readonly string[]
  readonly default?: T
  readonly required?: boolean
  readonly hidden?: boolean
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>

/** An operand whose value is a `T`. */
export interface Operand<T> {
  readonly describe: string
  readonly required: boolean
  /** Takes all operands that are left. */
  readonly many: boolean
  /** Nothing has a default: this says the type alone. */
  readonly default?: T
}

export type OperandTable = Readonly<Record<string, Operand<unknown>>>

/** The values that a table of options or operands comes to. */
export type Values<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends { readonly default?: infer T } ? T : never
}

export interface Command<Options extends OptionTable, Operands extends OperandTable> {
  /** In the order in which they are given; named as in the synopsis of the command. */
  readonly operands?: Operands
  readonly options?: Options
  /** Command lines after `stowage`, each with what it does. */
  readonly examples?: readonly (readonly [line: string, meaning: string])[]
  run(values: Values<Options> & Values<Operands> & GlobalOptions, session: Session): Promise<void> | void
}

export type AnyCommand = Command<OptionTable, OperandTable>

/** Types the values that `run` takes by the tables beside it. */
export function command<Options extends OptionTable, Operands extends OperandTable>(
  made: Command<Options, Operands>,
): AnyCommand {
  return made // the parsers make values of these very tables, and no others
}

interface More {
  /** Another name, or several. */
  readonly alias?: string | readonly string[]
  readonly hidden?: boolean
}

/** An option that is given or not. One whose default is true is switched off by `--no-NAME` or `--NAME=false`. */
export function flag(describe: string, more: More & { readonly default?: boolean } = {}): Option<boolean> {
  return { ...made('flag', describe, more), default: more.default ?? false }
}

/** An option with a value. */
export function value(
  describe: string,
  more: More & ({ readonly default: string } | { readonly required: true }),
): Option<string>
export function value(describe: string, more?: More): Option<string | undefined>
export function value(
  describe: string,
  {
    default: preset,
    required = false,
    ...more
  }: More & { readonly default?: string; readonly required?: boolean } = {},
): Option<string | undefined> {
  return { ...made('value', describe, more), required, ...(preset === undefined ? {} : { default: preset }) }
}

/** An option with a value that may be repeated. */
export function values(describe: string, more: More = {}): Option<readonly string[]> {
  return { ...made('values', describe, more), default: [] }
}

/** An option with a number. */
export function number(describe: string, more: More & { readonly default: number }): Option<number>
export function number(describe: string, more?: More): Option<number | undefined>
export function number(
  describe: string,
  { default: preset, ...more }: More & { readonly default?: number } = {},
): Option<number | undefined> {
  return { ...made('number', describe, more), ...(preset === undefined ? {} : { default: preset }) }
}

/** An option whose value is one of `choices`. */
export function choice<const Choice extends string>(
  describe: string,
  choices: readonly Choice[],
  preset: NoInfer<Choice>,
): Option<Choice> {
  return { ...made('choice', describe, {}), choices, default: preset }
}

export function choices<const Choice extends string>(
  describe: string,
  of: readonly Choice[],
): Option<readonly Choice[]> {
  return { ...made('choices', describe, {}), choices: of, default: [] }
}

function made(kind: Option<unknown>['kind'], describe: string, { alias = [], hidden = false }: More) {
  return { kind, describe, alias: typeof alias === 'string' ? [alias] : alias, hidden }
}

export function required(describe: string): Operand<string> {
  return { describe, required: true, many: false }
}

export function optional(describe: string): Operand<string | undefined> {
  return { describe, required: false, many: false }
}

export function oneOrMore(describe: string): Operand<readonly string[]> {
  return { describe, required: true, many: true }
}

export function anyNumber(describe: string): Operand<readonly string[]> {
  return { describe, required: false, many: true }
}

/** Of every command. */
export const GLOBAL_OPTIONS = {
  json: flag('Print the result as one JSON document'),
  progress: choice('How to show progress on stderr', PROGRESS_MODES, 'auto'),
  quiet: flag('Show no progress', { alias: 'q' }),
} as const

/** Whether the option may be given again, and its value is a list. */
export function isList({ kind }: Option<unknown>): boolean {
  return kind === 'values' || kind === 'choices'
}

/** All names of an option. */
export function namesOf(name: string, { alias = [] }: Option<unknown>): readonly string[] {
  return [name, ...alias]
}

/** The values of what was not given, under all names. */
export function defaultsOf({ operands = {}, options = {} }: AnyCommand): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {}
  for (const [name, option] of Object.entries<Option<unknown>>({ ...GLOBAL_OPTIONS, ...options })) {
    if (option.default !== undefined) for (const each of namesOf(name, option)) values[each] = option.default
  }
  for (const [name, { many }] of Object.entries(operands)) if (many) values[name] = []
  return values
}
