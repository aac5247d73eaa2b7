/**
 * Parses the command line of `stowage wim` as getopt does for wimlib-imagex. yargs would parse it differently: it takes
 * a value that begins with a dash for an option and `--no-acls` for `acls` set to false, removes quotes from names, and
 * makes a list of an option that is given twice, where only the last one counts here.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { StowageError } from '../../errors.js'
import { flag, GLOBAL_OPTIONS, isList, namesOf, type Option, type OptionTable } from '../command.js'
import type { AnyWimCommand, WimValues } from './command.js'

/** Options of every command. */
const WIM_OPTIONS = {
  ...GLOBAL_OPTIONS,
  quiet: flag('Show no progress and no notes', { alias: 'q' }),
  'ignore-case': flag('Ignore case in image paths (WIMLIB_IMAGEX_IGNORE_CASE=1)'),
  'no-ignore-case': flag('Match case in image paths, whatever the variable says'),
  help: flag('Show this help', { alias: 'h' }),
  version: flag('Show the version'),
} as const

export interface ParsedWords {
  readonly values: WimValues<AnyWimCommand['options']> & Readonly<Record<string, unknown>>
  readonly operands: readonly string[]
}

/**
 * Options may appear between operands, until `--`. A value follows `=` or is the next argument, even if that begins
 * with a dash. If an option that is not a list is repeated, the last one counts. Throws INVALID_ARGUMENT for options
 * that `command` does not have.
 */
export function parseWords(words: readonly string[], command: AnyWimCommand | undefined): ParsedWords {
  const options = optionsOf(command)
  const longNames = new Map(
    Object.entries(options).flatMap(([name, option]) => namesOf(name, option).map(each => [each, name])),
  )
  const config: NonNullable<ParseArgsConfig['options']> = {}
  for (const [each, name] of longNames) {
    const type = options[name]?.kind === 'flag' ? 'boolean' : 'string'
    if (each.length > 1) config[each] = { type }
    else config[name] = { type, short: each }
  }
  const presets = Object.entries(options).map(([name, option]) => [name, option.default] as const)
  const values: Record<string, unknown> = { ...Object.fromEntries(presets), ignoreCase: false }
  const operands: string[] = []
  for (const token of parseArgs({ args: [...words], options: config, strict: false, tokens: true }).tokens) {
    if (token.kind === 'positional') operands.push(token.value)
    if (token.kind !== 'option') continue
    const name = longNames.get(token.name)
    const option = name === undefined ? undefined : options[name]
    if (!option || name === undefined) throw misuse(`Unknown option: ${token.rawName}`, command)
    values[name] = valueOf(option, token, values[name], command)
  }
  return { values: values as ParsedWords['values'], operands } // built from the same options as WimValues
}

/** All options of a command, its own first. */
export function optionsOf(command: AnyWimCommand | undefined): OptionTable {
  return { ...command?.options, ...WIM_OPTIONS }
}

function valueOf(
  option: Option<unknown>,
  { rawName, value }: { readonly rawName: string; readonly value?: string | undefined },
  before: unknown,
  command: AnyWimCommand | undefined,
): unknown {
  const { kind, choices } = option
  if (kind === 'flag') {
    if (value !== undefined) throw misuse(`${rawName} takes no value`, command)
    return true
  }
  if (value === undefined) throw misuse(`${rawName} requires a value`, command)
  if (choices && !choices.includes(value))
    throw misuse(`${rawName}: expected one of ${choices.join(', ')} but found ${value}`, command)
  if (!isList(option)) return value
  return [...(Array.isArray(before) ? (before as unknown[]) : []), value]
}

/** Throws INVALID_ARGUMENT if there are too few or too many operands. */
export function checkOperands(operands: readonly string[], command: AnyWimCommand): void {
  const { least, most } = operandCount(command.operands)
  if (operands.length < least) {
    const found = operands.map(operand => JSON.stringify(operand)).join(' ') || 'nothing'
    throw misuse(`expected ${command.operands} but found ${found}`, command)
  }
  if (operands.length > most)
    throw misuse(`expected ${command.operands} but also found ${JSON.stringify(operands[most])}`, command)
}

/** The least and the greatest number of operands in the synopsis `words`. */
function operandCount(words: string): { readonly least: number; readonly most: number } {
  const count = (text: string): number => text.match(/[A-Z_0-9]+/g)?.length ?? 0
  return {
    least: count(words.replace(/\[.*\]/, '')),
    most: words.includes('...') ? Number.POSITIVE_INFINITY : count(words),
  }
}

export function misuse(message: string, command: AnyWimCommand | undefined): StowageError {
  return new StowageError('INVALID_ARGUMENT', message, {
    hint: `Run "stowage wim ${command ? `${command.name} ` : ''}--help" for its usage.`,
  })
}
