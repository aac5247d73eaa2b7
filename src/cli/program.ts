/**
 * Parses the command line of `stowage` with yargs: help, usage errors, and everything that plain-words.ts does not
 * parse.
 */
import yargs, { type Argv, type CommandModule, type Options } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { type AnyCommand, defaultsOf, GLOBAL_OPTIONS, isList, type Option } from './command.js'
import { EXIT_MEANINGS } from './exit-code.js'
import { type ChosenCommand, COMMANDS, type CommandTable } from './commands.js'

const EXIT_CODES = `Exit codes: ${Object.entries(EXIT_MEANINGS)
  .map(([code, meaning]) => `${code} ${meaning}`)
  .join(', ')}.`

/**
 * The commands of `table` for yargs; only those in `argv` get their options. `parent` is the command line before them.
 */
async function commandsFor(table: CommandTable, parent: string, argv: readonly string[]): Promise<CommandModule[]> {
  return await Promise.all(
    Object.entries(table).map(async ([name, listed]): Promise<CommandModule> => {
      const { command, describe, aliases = [] } = listed
      const plain = { command, aliases, describe, handler: () => undefined }
      if (!argv.some(word => word === name || aliases.includes(word))) return plain
      if ('commands' in listed) {
        const commands = await commandsFor(listed.commands, `${parent} ${name}`, argv)
        const missing = `Name a command of "${parent} ${name}".`
        return { ...plain, builder: parser => parser.command(commands).demandCommand(1, missing).strict() }
      }
      const loaded = await listed.load()
      return {
        ...plain,
        builder: parser => {
          nameMissingOperands(parser, `${parent} ${command}`)
          return declare(parser, loaded)
        },
        handler: values => {
          throw new Chosen({ ...defaultsOf(loaded), ...given(values) }, loaded)
        },
      }
    }),
  )
}

/** Makes the error for missing operands show the synopsis: yargs itself says only how many are missing. */
function nameMissingOperands(parser: Argv, synopsis: string): void {
  const text = `missing argument: expected ${synopsis} (got %s, need at least %s)`
  const plurals = { one: text, other: text } as unknown as string // its type does not know texts with a plural
  parser.updateStrings({ 'Not enough non-option arguments: got %s, need at least %s': plurals })
}

/** Declares the operands and options of a command to yargs. */
function declare(parser: Argv, { operands = {}, options = {}, examples = [] }: AnyCommand): Argv {
  if ('version' in options) parser.version(false) // here --version is the version of an image, not of Stowage
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

/** Rejects an option that is given more than once: yargs would make its values a list. */
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
  handler: () => undefined, // main() uses a separate parser for it
}

/**
 * The command that `argv` (without node and script) names; undefined if only help or the version was requested. Throws
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
      // An error of another name comes from coerce(); yargs names its own errors YError
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
 * The chosen command. It is thrown through yargs, because yargs would otherwise lay out the help text after every
 * command, which takes longer than many commands.
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

/** Stands for `-` (stdin), which yargs takes for an option without a name and drops. No argument can contain a NUL. */
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
