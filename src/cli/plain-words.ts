/**
 * Parses simple command lines from the same tables as yargs, but without yargs, which takes long to load. Everything that yargs treats specially, and every mistake, is left to yargs.
 */
import {
  type AnyCommand,
  defaultsOf,
  GLOBAL_OPTIONS,
  isList,
  namesOf,
  type Option,
  type OperandTable,
} from './command.js'
import { type ChosenCommand, type CommandTable, COMMANDS, commandNamed, nameOfCommand } from './commands.js'

/**
 * Values that yargs treats specially: it removes quotes, and takes `true` or `false` after a flag as the flag's value.
 */
const OF_YARGS = /^(?:|-.*|["'].*|true|false)$/s
/** As the only word after a command, it asks for its help. */
const HELP = 'help'

/**
 * The command and values of `argv` (without node and script), as yargs would give them; undefined to leave it to yargs.
 */
export async function parsePlainly(
  [first = '', ...rest]: readonly string[],
  table: CommandTable = COMMANDS,
): Promise<ChosenCommand | undefined> {
  const listed = commandNamed(table, first)
  if (!listed) return undefined
  if ('commands' in listed) return await parsePlainly(rest, listed.commands)
  const command = await listed.load()
  const words = readWords(rest, command)
  const operands = words && readOperands(words.operands, command.operands ?? {})
  return (
    operands && {
      values: { ...defaultsOf(command), ...words.values, ...operands },
      command,
      name: nameOfCommand(listed),
    }
  )
}

/**
 * Options under all their names, and operands; undefined if an argument is not simple or a required option is missing.
 */
function readWords(
  words: readonly string[],
  command: AnyCommand,
): { readonly values: Readonly<Record<string, unknown>>; readonly operands: readonly string[] } | undefined {
  const options = Object.entries<Option<unknown>>({ ...GLOBAL_OPTIONS, ...command.options })
  const known = new Map(
    options.flatMap(([name, option]) =>
      namesOf(name, option).map(each => [each.length > 1 ? `--${each}` : `-${each}`, { name, option }]),
    ),
  )
  const values = new Map<string, unknown>()
  const operands: string[] = []
  for (let n = 0; n < words.length; n++) {
    const word = words[n] ?? ''
    if (!word.startsWith('-')) {
      if (OF_YARGS.test(word)) return undefined
      operands.push(word)
      continue
    }
    const [, optionName = '', assigned] = /^(--[^=]+|-[^-])(?:=([^]*))?$/.exec(word) ?? []
    const found = known.get(optionName)
    if (!found) return undefined
    const { name, option } = found
    const value = option.kind === 'flag' ? flagValue(assigned, words[n + 1]) : valueOf(option, assigned ?? words[++n])
    const before = values.get(name)
    if (value === undefined || (before !== undefined && !isList(option))) return undefined
    values.set(name, isList(option) ? [...(Array.isArray(before) ? (before as unknown[]) : []), value] : value)
  }
  const missing = options.some(([name, option]) => option.required === true && !values.has(name))
  if (missing || (words.length === 1 && words[0] === HELP)) return undefined
  const named = options.flatMap(([name, option]) =>
    values.has(name) ? namesOf(name, option).map(each => [each, values.get(name)] as const) : [],
  )
  return { values: Object.fromEntries(named), operands }
}

const flagValue = (assigned: string | undefined, next: string | undefined): true | undefined =>
  assigned === undefined && next !== 'true' && next !== 'false' ? true : undefined

function valueOf({ kind, choices }: Option<unknown>, word: string | undefined): unknown {
  if (word === undefined || OF_YARGS.test(word)) return undefined
  if (choices && !choices.includes(word)) return undefined
  if (kind === 'number') return /^\d{1,15}$/.test(word) ? Number(word) : undefined
  return word
}

/** Operands by name; undefined if there are too few or too many. */
function readOperands(words: readonly string[], table: OperandTable): Record<string, unknown> | undefined {
  const values: Record<string, unknown> = {}
  let left = words
  for (const [name, { required, many }] of Object.entries(table)) {
    const taken = many ? left : left.slice(0, 1)
    left = left.slice(taken.length)
    if (taken.length === 0 && required) return undefined
    if (taken.length > 0 || many) values[name] = many ? taken : taken[0]
  }
  return left.length === 0 ? values : undefined
}
