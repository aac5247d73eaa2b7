/**
 * A command of `stowage`: its operands and options with their types, its examples, and the function that runs it.
 * All three parsers read these tables (yargs in program.ts, plain-words.ts and the parser of `stowage wim`), and so do
 * the help, the man page and the completion.
 */
import type { GlobalOptions, Session } from './session.js'
import { PROGRESS_MODES } from './progress.js'

/**
 * What the value of an option or an operand is, for the completion: a path, a location by what it is used for, the name
 * of an image or a source on this machine, or one of these words (a word that ends in `=` or `:` is to be continued).
 */
export type Takes =
  | 'path'
  | 'directory'
  | LocationUse
  | 'container'
  | 'image'
  | 'image of the bundle'
  | 'image of the WIM'
  | 'image of the WIM or path'
  | 'registered source'
  | readonly string[]

/** What a location is used for. Not every destination can be loaded into. */
export type LocationUse = 'source' | 'destination' | 'load destination' | 'store'

/** An option whose value is a `T`. */
export interface Option<T> {
  /** `value`, `number` and `choice` can be given once, `values` and `choices` any number of times. */
  readonly kind: 'flag' | 'value' | 'number' | 'choice' | 'values' | 'choices'
  readonly describe: string
  readonly alias?: readonly string[]
  readonly choices?: readonly string[]
  readonly default?: T
  readonly required?: boolean
  /** The option without which this one is required. */
  readonly requiredUnless?: string
  readonly takes?: Takes
  /** What the help calls the value, if its name and what it takes do not say it. */
  readonly valueName?: string
  readonly hidden?: boolean
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>

/** An operand whose value is a `T`. */
export interface Operand<T> {
  readonly describe: string
  readonly required: boolean
  /** Takes all remaining operands. */
  readonly many: boolean
  readonly takes?: Takes
  /** Never set: it only carries the type of the value. */
  readonly default?: T
}

export type OperandTable = Readonly<Record<string, Operand<unknown>>>

/** The parsed values of a table of options or operands. */
export type Values<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends { readonly default?: infer T } ? T : never
}

export interface Command<Options extends OptionTable, Operands extends OperandTable> {
  /** In command-line order, with the names that the synopsis of the command uses. */
  readonly operands?: Operands
  readonly options?: Options
  /** Command lines without the leading `stowage`, each with an explanation. */
  readonly examples?: readonly (readonly [line: string, meaning: string])[]
  run(values: Values<Options> & Values<Operands> & GlobalOptions, session: Session): Promise<void> | void
}

export type AnyCommand = Command<OptionTable, OperandTable>

/** Derives the type of the values that `run` receives from the tables beside it. */
export function command<Options extends OptionTable, Operands extends OperandTable>(
  definition: Command<Options, Operands>,
): AnyCommand {
  return definition // the parsers produce values for exactly these tables
}

interface OptionSettings {
  /** Another name, or several. */
  readonly alias?: string | readonly string[]
  readonly hidden?: boolean
  readonly takes?: Takes
  readonly requiredUnless?: string
  readonly valueName?: string
}

/** A boolean option. If its default is true, `--no-NAME` or `--NAME=false` switches it off. */
export function flag(
  describe: string,
  settings: OptionSettings & { readonly default?: boolean } = {},
): Option<boolean> {
  return { ...baseOption('flag', describe, settings), default: settings.default ?? false }
}

/** A boolean option that is undefined unless `--NAME` or `--no-NAME` is given. */
export function toggle(describe: string, settings: OptionSettings = {}): Option<boolean | undefined> {
  return baseOption('flag', describe, settings)
}

/** An option with a value. */
export function value(
  describe: string,
  settings: OptionSettings & ({ readonly default: string } | { readonly required: true }),
): Option<string>
export function value(describe: string, settings?: OptionSettings): Option<string | undefined>
export function value(
  describe: string,
  {
    default: preset,
    required = false,
    ...settings
  }: OptionSettings & { readonly default?: string; readonly required?: boolean } = {},
): Option<string | undefined> {
  return { ...baseOption('value', describe, settings), required, ...(preset === undefined ? {} : { default: preset }) }
}

/** An option with a value that may be repeated. */
export function values(describe: string, settings: OptionSettings = {}): Option<readonly string[]> {
  return { ...baseOption('values', describe, settings), default: [] }
}

/** An option with a number. */
export function number(describe: string, settings: OptionSettings & { readonly default: number }): Option<number>
export function number(describe: string, settings?: OptionSettings): Option<number | undefined>
export function number(
  describe: string,
  { default: preset, ...settings }: OptionSettings & { readonly default?: number } = {},
): Option<number | undefined> {
  return { ...baseOption('number', describe, settings), ...(preset === undefined ? {} : { default: preset }) }
}

/** An option whose value is one of `choices`. */
export function choice<const Choice extends string>(
  describe: string,
  choices: readonly Choice[],
  preset: NoInfer<Choice>,
): Option<Choice> {
  return { ...baseOption('choice', describe, {}), choices, default: preset }
}

export function choices<const Choice extends string>(
  describe: string,
  of: readonly Choice[],
): Option<readonly Choice[]> {
  return { ...baseOption('choices', describe, {}), choices: of, default: [] }
}

function baseOption(
  kind: Option<unknown>['kind'],
  describe: string,
  { alias = [], hidden = false, ...settings }: OptionSettings,
) {
  return { kind, describe, alias: typeof alias === 'string' ? [alias] : alias, hidden, ...settings }
}

export function required(describe: string, takes: Takes = []): Operand<string> {
  return { describe, required: true, many: false, takes }
}

export function optional(describe: string, takes: Takes = []): Operand<string | undefined> {
  return { describe, required: false, many: false, takes }
}

export function oneOrMore(describe: string, takes: Takes = []): Operand<readonly string[]> {
  return { describe, required: true, many: true, takes }
}

export function anyNumber(describe: string, takes: Takes = []): Operand<readonly string[]> {
  return { describe, required: false, many: true, takes }
}

/** Options of every command. */
export const GLOBAL_OPTIONS = {
  json: flag('Print the result as one JSON document'),
  progress: choice('How to show progress on stderr', PROGRESS_MODES, 'auto'),
  quiet: flag('Show no progress', { alias: 'q' }),
  'no-color': flag('Use no color, as with NO_COLOR=1; only a terminal gets color'),
} as const

/** Whether there is a `--no-NAME` too: for a flag that is not simply off. */
export function isNegatable({ kind, default: preset }: Option<unknown>): boolean {
  return kind === 'flag' && preset !== false
}

/** Whether the option may be repeated and has a list as its value. */
export function isList({ kind }: Option<unknown>): boolean {
  return kind === 'values' || kind === 'choices'
}

/** The name of an option, and its aliases. */
export function namesOf(name: string, { alias = [] }: Option<unknown>): readonly string[] {
  return [name, ...alias]
}

/** The default values of the options, under all their names, and an empty list for operands that may be many. */
export function defaultsOf({ operands = {}, options = {} }: AnyCommand): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {}
  for (const [name, option] of Object.entries<Option<unknown>>({ ...GLOBAL_OPTIONS, ...options })) {
    if (option.default !== undefined) for (const each of namesOf(name, option)) values[each] = option.default
  }
  for (const [name, { many }] of Object.entries(operands)) if (many) values[name] = []
  return values
}
