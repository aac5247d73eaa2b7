/** The errors for a command line that is wrong. Each names what is wrong as it was written, and the command to ask. */
import { StowageError } from '../../errors.js'
import { nearest } from './nearest.js'
import { aliasesOf, resolveCommand } from './resolve.js'
import { COMMANDS } from '../commands.js'
import { WIM_COMMANDS } from '../wim/commands.js'

/** `path` is the command that was named, `instead` what was probably meant. */
export function usageError(message: string, path: readonly string[], instead?: string): StowageError {
  const help = `"${['stowage', ...path].join(' ')} --help"`
  const { found } = resolveCommand(path)
  return new StowageError('INVALID_ARGUMENT', message, {
    hint:
      instead !== undefined
        ? `Did you mean ${instead}? ${help} lists ${found.type === 'group' ? 'the commands' : 'the options'}.`
        : `Run ${help} for its usage.`,
  })
}

export function unknownCommand(word: string, path: readonly string[]): StowageError {
  const { found } = resolveCommand(path)
  const here = found.type === 'group' ? found.commands : {}
  const names = Object.entries(here).flatMap(([name, entry]) => [name, ...aliasesOf(entry)])
  const elsewhere = [
    ...Object.keys(COMMANDS).map(name => [name]),
    ...Object.entries(COMMANDS).flatMap(([group, entry]) =>
      'commands' in entry ? Object.keys(entry.commands).map(name => [group, name]) : [],
    ),
    ...Object.keys(WIM_COMMANDS).map(name => ['wim', name]),
  ].find(each => each.at(-1) === word)
  const near = nearest(word, names)
  const instead = elsewhere ?? (near === undefined ? undefined : [...path, near])
  const group = ['stowage', ...path].join(' ')
  return usageError(
    `${JSON.stringify(word)} is not a command of ${group}`,
    path,
    instead && `"stowage ${instead.join(' ')}"`,
  )
}

/** `written` has its dashes, as do `names`. */
export function unknownOption(written: string, path: readonly string[], names: readonly string[]): StowageError {
  const letters = written.replace(/^-+/, '')
  const near = nearest(
    letters,
    names.map(name => name.replace(/^-+/, '')),
  )
  const instead = names.find(name => name.replace(/^-+/, '') === near)
  return usageError(`${written} is not an option of ${['stowage', ...path].join(' ')}`, path, instead)
}

export function wrongChoice(
  option: string,
  value: string,
  choices: readonly string[],
  path: readonly string[],
): StowageError {
  const near = nearest(value, choices)
  return usageError(`${option}: expected one of ${choices.join(', ')} but found ${JSON.stringify(value)}`, path, near)
}

/** `synopsis` is that of the whole command. */
export function missingOperand(operand: string, synopsis: string, path: readonly string[]): StowageError {
  return usageError(`${operand} is missing: expected ${synopsis}`, path)
}

export function extraOperand(written: string, synopsis: string, path: readonly string[]): StowageError {
  return usageError(`expected ${synopsis} but also found ${JSON.stringify(written)}`, path)
}
