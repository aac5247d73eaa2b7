/**
 * Parses the command line of `stowage wim` as getopt does for wimlib-imagex. yargs would parse it differently: it takes
 * a value that begins with a dash for an option and `--no-acls` for `acls` set to false, removes quotes from names, and
 * makes a list of an option that is given twice, where only the last one counts here.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { flag, GLOBAL_OPTIONS, isList, namesOf, type Option, type OptionTable } from '../command.js'
import { extraOperand, missingOperand, unknownOption, usageError, wrongChoice } from '../usage/mistakes.js'
import type { AnyWimCommand, WimValues } from './command.js'

/** Options of every command of `stowage wim`. */
export const WIM_OPTIONS = {
  ...GLOBAL_OPTIONS,
  quiet: flag('Show no progress and no notes', { alias: 'q' }),
  'ignore-case': flag('Ignore case in image paths (WIMLIB_IMAGEX_IGNORE_CASE=1)'),
  'no-ignore-case': flag('Match case in image paths, whatever the variable says'),
  help: flag('Show this help', { alias: 'h' }),
  version: flag('Show the version', { alias: 'v' }),
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
export function parseWords(words: readonly string[], command: AnyWimCommand): ParsedWords {
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
    if (!option || name === undefined) throw unknown(token.rawName, options, command)
    values[name] = valueOf(option, token, values[name], command)
  }
  return { values: values as ParsedWords['values'], operands } // built from the same options as WimValues
}

/** All options of a command, its own first. */
export function optionsOf(command: AnyWimCommand): OptionTable {
  return { ...command.options, ...WIM_OPTIONS }
}

function valueOf(
  option: Option<unknown>,
  { rawName, value }: { readonly rawName: string; readonly value?: string | undefined },
  before: unknown,
  command: AnyWimCommand,
): unknown {
  const { kind, choices } = option
  if (kind === 'flag') {
    if (value !== undefined) throw usageError(`${rawName} takes no value`, pathOf(command))
    return true
  }
  if (value === undefined) throw usageError(`${rawName} requires a value`, pathOf(command))
  if (choices && !choices.includes(value)) throw wrongChoice(rawName, value, choices, pathOf(command))
  if (!isList(option)) return value
  return [...(Array.isArray(before) ? (before as unknown[]) : []), value]
}

function unknown(rawName: string, options: OptionTable, command: AnyWimCommand): Error {
  const names = Object.entries(options).flatMap(([name, option]) => namesOf(name, option))
  return unknownOption(
    rawName,
    pathOf(command),
    names.map(name => (name.length === 1 ? `-${name}` : `--${name}`)),
  )
}

/** Throws INVALID_ARGUMENT if there are too few or too many operands. */
export function checkOperands(operands: readonly string[], command: AnyWimCommand): void {
  const synopsis = `stowage wim ${command.name} ${command.operands}`
  const required = namesIn(command.operands.replace(/\[.*\]/, ''))
  const missing = required[operands.length]
  if (missing !== undefined) throw missingOperand(missing, synopsis, pathOf(command))
  const most = command.operands.includes('...') ? Number.POSITIVE_INFINITY : namesIn(command.operands).length
  const extra = operands[most]
  if (extra !== undefined) throw extraOperand(extra, synopsis, pathOf(command))
}

function namesIn(synopsis: string): readonly string[] {
  return synopsis.match(/[A-Z_0-9]+/g) ?? []
}

function pathOf({ name }: AnyWimCommand): readonly string[] {
  return ['wim', name]
}
