/**
 * Command lines in their plain form, read without yargs: loading it takes longer than to find the images that a command is about.
 * What yargs takes in a way of its own is left to it, and so is everything that is wrong.
 */
import type { Argv, Options, PositionalOptions } from 'yargs'
import { type AnyCommand, type ChosenCommand, COMMANDS, type ListedCommand } from './commands.js'
import { globalOptions, namesOf } from './session.js'

/** Values that yargs changes or asks about: it takes quotes away, and a word after a switch for what the switch is set to. */
const OF_YARGS = /^(?:|-.*|["'].*|true|false)$/s
/** As the last of the other words yargs takes it for --help. */
const HELP = 'help'

/** What `argv` (without node and script) asks for, as yargs would say it; undefined if yargs is to be asked. */
export async function parsePlainly(argv: readonly string[]): Promise<ChosenCommand | undefined> {
  const [first = '', ...rest] = argv
  const listed = Object.entries(COMMANDS).find(([name, { aliases = [] }]) => [name, ...aliases].includes(first))?.[1]
  if (!listed) return undefined
  const command = await listed.load()
  const declared = declarationsOf(command)
  const words = declared && readWords(rest, declared.options)
  const operands = words && readOperands(words.operands, listed, declared.operands)
  if (!operands) return undefined
  const values: Record<string, unknown> = {}
  for (const [name, option] of declared.options) {
    const value: unknown = words.values.get(name) ?? option.default
    if (value === undefined && option.demandOption) return undefined
    if (value !== undefined) for (const each of namesOf(name, option)) values[each] = value
  }
  Object.assign(values, operands)
  return {
    values,
    run: async () => {
      await (command.handler as (given: typeof values) => unknown)(values)
    },
  } // they are of the form that its builder asks for
}

interface Declared {
  readonly options: ReadonlyMap<string, Options>
  readonly operands: ReadonlyMap<string, PositionalOptions>
}

/** What a command declares to yargs, beside the options of all; undefined if it has commands below it. */
function declarationsOf({ builder }: AnyCommand): Declared | undefined {
  const options = new Map<string, Options>()
  const operands = new Map<string, PositionalOptions>()
  let plain = true
  const declarations = {
    option: (name: string, option: Options) => (options.set(name, { ...options.get(name), ...option }), declarations),
    positional: (name: string, operand: PositionalOptions) => (operands.set(name, operand), declarations),
    example: () => declarations,
    version: () => declarations,
    command: () => ((plain = false), declarations),
    demandCommand: () => declarations,
    strict: () => declarations,
  }
  const asYargs = declarations as unknown as Argv // the part of it that builders use, as test/cli/plain-words.test.ts finds out
  globalOptions(asYargs)
  if (typeof builder === 'function') (builder as (yargs: Argv) => unknown)(asYargs)
  return plain ? { options, operands } : undefined
}

/** Options by their names as they were declared, and the other words; undefined if one is not plain. */
function readWords(
  words: readonly string[],
  options: Declared['options'],
): { readonly values: ReadonlyMap<string, unknown>; readonly operands: readonly string[] } | undefined {
  const known = new Map(
    [...options].flatMap(([name, option]) =>
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
    const [, shown = '', given] = /^(--[^=]+|-[^-])(?:=([^]*))?$/.exec(word) ?? []
    const found = known.get(shown)
    if (!found) return undefined
    const { name, option } = found
    const value = option.type === 'boolean' ? switchedOn(given, words[n + 1]) : valueOf(option, given ?? words[++n])
    const before = values.get(name)
    if (value === undefined || (before !== undefined && !option.array)) return undefined
    values.set(name, option.array ? [...(Array.isArray(before) ? (before as unknown[]) : []), value] : value)
  }
  return operands.at(-1) === HELP ? undefined : { values, operands }
}

const switchedOn = (given: string | undefined, next: string | undefined): true | undefined =>
  given === undefined && next !== 'true' && next !== 'false' ? true : undefined

function valueOf({ type, choices, nargs, coerce }: Options, word: string | undefined): unknown {
  if (word === undefined || OF_YARGS.test(word) || (nargs ?? 1) !== 1) return undefined
  if (choices && !choices.includes(word)) return undefined
  if (type === 'number') return /^\d{1,15}$/.test(word) ? Number(word) : undefined
  if (type !== 'string' && !choices) return undefined
  return coerce ? (coerce(word) as unknown) : word
}

/** By the names in `command`: `<needed>`, `[allowed]`, and `..` for any number of words. */
function readOperands(
  words: readonly string[],
  { command }: ListedCommand,
  operands: Declared['operands'],
): Record<string, unknown> | undefined {
  const values: Record<string, unknown> = {}
  let left = words
  for (const [, needed, name = '', many] of command.matchAll(/([<[])([\w-]+)(\.\.)?[>\]]/g)) {
    const operand = operands.get(name)
    const taken = many === undefined ? left.slice(0, 1) : left
    left = left.slice(taken.length)
    if (operand?.type !== 'string' || operand.choices || operand.coerce || operand.default !== undefined)
      return undefined
    if (taken.length === 0 && needed === '<') return undefined
    if (taken.length > 0 || many !== undefined) values[name] = many === undefined ? taken[0] : taken
  }
  return left.length === 0 ? values : undefined
}
