/**
 * Command lines in their plain form, read from the same tables without yargs: loading it and laying out its help takes 150 ms,
 * longer than many a command. What yargs takes in a way of its own is left to it, and so is everything that is wrong.
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
import { type ChosenCommand, type CommandTable, COMMANDS, commandNamed } from './commands.js'

/** Values that yargs changes or asks about: it takes quotes away, and a word after a flag for what the flag is set to. */
const OF_YARGS = /^(?:|-.*|["'].*|true|false)$/s
/** As the last of the operands yargs takes it for --help. */
const HELP = 'help'

/** What `argv` (without node and script) asks for, as yargs would say it; undefined if yargs is to be asked. */
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
  return operands && { values: { ...defaultsOf(command), ...words.values, ...operands }, command }
}

/** Options under all their names, and the other words; undefined if one is not plain, or a required one is missing. */
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
    const [, shown = '', set] = /^(--[^=]+|-[^-])(?:=([^]*))?$/.exec(word) ?? []
    const found = known.get(shown)
    if (!found) return undefined
    const { name, option } = found
    const value = option.kind === 'flag' ? switchedOn(set, words[n + 1]) : valueOf(option, set ?? words[++n])
    const before = values.get(name)
    if (value === undefined || (before !== undefined && !isList(option))) return undefined
    values.set(name, isList(option) ? [...(Array.isArray(before) ? (before as unknown[]) : []), value] : value)
  }
  const missing = options.some(([name, option]) => option.required === true && !values.has(name))
  if (missing || operands.at(-1) === HELP) return undefined
  const named = options.flatMap(([name, option]) =>
    values.has(name) ? namesOf(name, option).map(each => [each, values.get(name)] as const) : [],
  )
  return { values: Object.fromEntries(named), operands }
}

const switchedOn = (set: string | undefined, next: string | undefined): true | undefined =>
  set === undefined && next !== 'true' && next !== 'false' ? true : undefined

function valueOf({ kind, choices }: Option<unknown>, word: string | undefined): unknown {
  if (word === undefined || OF_YARGS.test(word)) return undefined
  if (choices && !choices.includes(word)) return undefined
  if (kind === 'number') return /^\d{1,15}$/.test(word) ? Number(word) : undefined
  return word
}

/** Undefined if there are too few or too many. */
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
