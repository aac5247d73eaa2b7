/** Finds what is wrong with a command line that yargs has refused, so that its words need not be shown. */
import type { StowageError } from '../../errors.js'
import { type AnyCommand, GLOBAL_OPTIONS, isList, namesOf, type Option, type OptionTable } from '../command.js'
import { extraOperand, missingOperand, unknownCommand, unknownOption, usageError, wrongChoice } from './mistakes.js'
import { dashed, operandName, optionTitle } from './page.js'
import { resolveCommand } from './resolve.js'

interface Known {
  readonly name: string
  readonly option: Option<unknown>
}

/** The first mistake in `argv`, the words after `stowage`: in its command, then its options, then its operands. */
export async function mistakeIn(argv: readonly string[]): Promise<StowageError> {
  const { path, found, rest, unknown } = resolveCommand(argv)
  if (unknown !== undefined) return unknownCommand(unknown, path)
  const command: AnyCommand | undefined =
    found.type === 'command' && 'load' in found.listed ? await found.listed.load() : undefined
  const options: OptionTable = { ...GLOBAL_OPTIONS, ...command?.options }
  const read = readWords(rest, options, path)
  if ('mistake' in read) return read.mistake
  if (!command) return usageError('the command is missing: expected stowage COMMAND', path)
  return (
    mistakeInOperands(read.operands, command, path) ??
    missingOption(read.given, command.options ?? {}, path) ??
    usageError(`the command line cannot be read: ${['stowage', ...argv].join(' ')}`, path)
  )
}

/** The operands and the names of the options, or what is wrong with an option. */
function readWords(
  words: readonly string[],
  options: OptionTable,
  path: readonly string[],
): { readonly operands: readonly string[]; readonly given: ReadonlySet<string> } | { readonly mistake: StowageError } {
  const known = new Map(
    Object.entries(options).flatMap(([name, option]) =>
      namesOf(name, option).map((each): [string, Known] => [dashed(each), { name, option }]),
    ),
  )
  const shown = [...known].filter(([, { option }]) => option.hidden !== true).map(([name]) => name)
  const given = new Set<string>()
  const operands: string[] = []
  for (let n = 0; n < words.length; n++) {
    const word = words[n] ?? ''
    if (word === '--') return { operands: [...operands, ...words.slice(n + 1)], given }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word)
      continue
    }
    for (const { written, value } of optionsIn(word, known)) {
      const plain = known.get(written) ?? known.get(written.replace(/^--no-/, '--'))
      if (!plain) return { mistake: unknownOption(written, path, shown) }
      const { name, option } = plain
      const again = given.has(name) && !isList(option)
      given.add(name)
      if (option.kind === 'flag') continue
      if (again) return { mistake: usageError(`${dashed(name)} was given more than once`, path) }
      const next = words[n + 1]
      const own = value ?? (next === undefined || (/^-./.test(next) && !/^-\d/.test(next)) ? undefined : words[++n])
      if (own === undefined) return { mistake: usageError(`${optionTitle(name, option)} requires a value`, path) }
      if (option.kind === 'number' && (own.trim() === '' || Number.isNaN(Number(own))))
        return {
          mistake: usageError(`${optionTitle(name, option)}: expected a number but found ${JSON.stringify(own)}`, path),
        }
      if (option.choices && !option.choices.includes(own))
        return { mistake: wrongChoice(optionTitle(name, option), own, option.choices, path) }
    }
  }
  return { operands, given }
}

/** The options in one word: `--name=value`, or the letters of `-qo`, of which the last may have the rest as value. */
function optionsIn(
  word: string,
  known: ReadonlyMap<string, Known>,
): readonly { readonly written: string; readonly value?: string }[] {
  const [, long, assigned] = /^(--[^=]+)(?:=(.*))?$/s.exec(word) ?? []
  if (long !== undefined) return [{ written: long, ...(assigned === undefined ? {} : { value: assigned }) }]
  const letters: { written: string; value?: string }[] = []
  for (let n = 1; n < word.length; n++) {
    const written = `-${word[n] ?? ''}`
    const option = known.get(written)?.option
    if (!option && n === 1) return [{ written: word.replace(/=.*$/s, '') }]
    if (!option || option.kind === 'flag') {
      letters.push({ written })
      continue
    }
    const value = word.slice(n + 1).replace(/^=/, '')
    return [...letters, { written, ...(value === '' ? {} : { value }) }]
  }
  return letters
}

function mistakeInOperands(
  given: readonly string[],
  { operands = {} }: AnyCommand,
  path: readonly string[],
): StowageError | undefined {
  const list = Object.entries(operands)
  const words = list.map(([name, { required, many }]) => {
    const word = `${operandName(name)}${many ? '...' : ''}`
    return required ? word : `[${word}]`
  })
  const synopsis = ['stowage', ...path, ...words].join(' ')
  const missing = list.filter(([, { required }]) => required)[given.length]?.[0]
  if (missing !== undefined) return missingOperand(operandName(missing), synopsis, path)
  const extra = list.some(([, { many }]) => many) ? undefined : given[list.length]
  return extra === undefined ? undefined : extraOperand(extra, synopsis, path)
}

function missingOption(
  given: ReadonlySet<string>,
  options: OptionTable,
  path: readonly string[],
): StowageError | undefined {
  const [name, option] = Object.entries(options).find(([each, { required }]) => required && !given.has(each)) ?? []
  return name === undefined || !option ? undefined : usageError(`${optionTitle(name, option)} is missing`, path)
}
