/** The whole command line of `stowage` for yargs: help, mistakes, and every form of words that plain-words.ts leaves to it. */
import yargs, { type Argv, type CommandModule, type Options } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { type AnyCommand, defaultsOf, GLOBAL_OPTIONS, isList, type Option } from './command.js'
import { EXIT_MEANINGS } from './exit-code.js'
import { type ChosenCommand, COMMANDS, type CommandTable } from './commands.js'

const EXIT_CODES = `Exit codes: ${Object.entries(EXIT_MEANINGS)
  .map(([code, meaning]) => `${code} ${meaning}`)
  .join(', ')}.`

/** The commands of `table` for yargs, those that `argv` names with their options. `under` is the line they stand behind. */
async function commandsFor(table: CommandTable, under: string, argv: readonly string[]): Promise<CommandModule[]> {
  return await Promise.all(
    Object.entries(table).map(async ([name, listed]): Promise<CommandModule> => {
      const { command, describe, aliases = [] } = listed
      const plain = { command, aliases, describe, handler: () => undefined }
      if (!argv.some(word => word === name || aliases.includes(word))) return plain
      if ('commands' in listed) {
        const commands = await commandsFor(listed.commands, `${under} ${name}`, argv)
        const missing = `Name a command of "${under} ${name}".`
        return { ...plain, builder: parser => parser.command(commands).demandCommand(1, missing).strict() }
      }
      const loaded = await listed.load()
      return {
        ...plain,
        builder: parser => declare(parser, loaded),
        handler: values => {
          throw new Chosen({ ...defaultsOf(loaded), ...given(values) }, loaded)
        },
      }
    }),
  )
}

/** The tables of `command` as yargs has them. */
function declare(parser: Argv, { operands = {}, options = {}, examples = [] }: AnyCommand): Argv {
  if ('version' in options) parser.version(false) // the version of an image then, not of Stowage
  for (const [name, { describe, required: demandOption, many: array }] of Object.entries(operands)) {
    parser.positional(name, { type: 'string', describe, demandOption, array })
  }
  for (const [name, option] of Object.entries(options)) parser.option(name, yargsOption(name, option))
  for (const [line, meaning] of examples) parser.example(`$0 ${line}`, meaning)
  return parser
}

function yargsOption(name: string, option: Option<unknown>): Options {
  const { kind, describe, alias, choices, default: preset, required: demandOption, hidden } = option
  const shared: Options = { describe, alias, demandOption, hidden, choices }
  if (kind === 'flag') return { ...shared, type: 'boolean', default: preset }
  const type = kind === 'number' ? 'number' : 'string'
  if (isList(option)) return { ...shared, type, array: true, nargs: 1, requiresArg: true }
  return { ...shared, type, default: preset, requiresArg: true, coerce: once(name) }
}

/** yargs makes a list of an option that is given again. */
function once(name: string): (value: unknown) => unknown {
  return value => {
    if (!Array.isArray(value)) return value
    throw new StowageError('INVALID_ARGUMENT', `--${name} was given more than once`)
  }
}

const given = (values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

const wim: CommandModule = {
  command: 'wim',
  describe: 'Work with WIM files: capture, apply, export, mount and more, like wimlib-imagex',
  handler: () => undefined, // main() has a parser of its own for it
}

/**
 * The command that `argv` (without node and script) names; undefined if help or a version was all that was asked for. Throws
 * INVALID_ARGUMENT.
 */
export async function parseProgram(argv: readonly string[]): Promise<ChosenCommand | undefined> {
  const globals = Object.entries(GLOBAL_OPTIONS).map(([name, option]) => [name, yargsOption(name, option)] as const)
  const parser = yargs(argv.map(word => (word === '-' ? LONE_DASH : word)))
    .options(Object.fromEntries(globals))
    .scriptName('stowage')
    .usage('$0 <command>\n\nCarry container images to machines that have no network: pack, verify, load.')
    .command(await commandsFor(COMMANDS, 'stowage', argv))
    .command(wim)
    .middleware(restoreDashes)
    .demandCommand(1, 'Name a command.')
    .example('$0 pack docker-daemon:shop:2.3 -o site-a.tar', 'Pack an image from the engine')
    .example('$0 verify site-a.tar', 'Check the bundle')
    .example('$0 load site-a.tar', 'Load it on a host without a network')
    .epilogue(EXIT_CODES)
    .parserConfiguration({ 'greedy-arrays': false, 'camel-case-expansion': false })
    .strict()
    .version(thisGenerator().version)
    .help()
    .alias('h', 'help')
    .detectLocale(false)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message: string | null, error: Error | undefined) => {
      // yargs names its own errors so: what coerce() threw, and what it found wrong itself
      if (error && error.name !== 'YError') throw error
      throw usageError(message ?? error?.message ?? 'the command line is wrong', argv)
    })
  try {
    await parser.parseAsync()
    return undefined
  } catch (error) {
    if (error instanceof Chosen) return error
    throw error
  }
}

/**
 * What the command line asks for. It leaves yargs as an error does, for behind every command yargs lays out the help text that
 * nobody asked for, which takes longer than many a command.
 */
class Chosen extends Error implements ChosenCommand {
  readonly values: Readonly<Record<string, unknown>>
  readonly command: AnyCommand

  constructor(values: Readonly<Record<string, unknown>>, command: AnyCommand) {
    super('a command was chosen')
    this.values = values
    this.command = command
  }
}

/** For `-`, standard input, which yargs takes for an option without a name and drops. No argument has a NUL in it. */
const LONE_DASH = '\0-'

function restoreDashes(values: Record<string, unknown>): void {
  const restored = (value: unknown): unknown => (value === LONE_DASH ? '-' : value)
  for (const [name, value] of Object.entries(values)) {
    values[name] = Array.isArray(value) ? value.map(restored) : restored(value)
  }
}

function usageError(message: string, argv: readonly string[]): StowageError {
  const command = argv.find(word => Object.hasOwn(COMMANDS, word))
  return new StowageError('INVALID_ARGUMENT', message.replace(/\s*\n\s*/g, ' '), {
    hint: `Run "stowage ${command ? `${command} ` : ''}--help" for its usage.`,
  })
}
