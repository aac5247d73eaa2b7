/**
 * Parses the command line of `stowage` with yargs: everything that plain-words.ts does not parse. Its help and its
 * messages are not used: usage/ has ours.
 */
import yargs, { type Argv, type CommandModule, type Options } from 'yargs'
import { StowageError } from '../errors.js'
import { type AnyCommand, defaultsOf, GLOBAL_OPTIONS, isList, type Option } from './command.js'
import { type ChosenCommand, COMMANDS, type CommandTable, nameOfCommand } from './commands.js'
import { mistakeIn } from './usage/diagnose.js'

/** The commands of `table` for yargs; only those in `argv` get their options. */
async function commandsFor(table: CommandTable, argv: readonly string[]): Promise<CommandModule[]> {
  return await Promise.all(
    Object.entries(table).map(async ([name, listed]): Promise<CommandModule> => {
      const { command, aliases = [] } = listed
      const plain = { command, aliases, handler: () => undefined }
      if (!argv.some(word => word === name || aliases.includes(word))) return plain
      if ('commands' in listed) {
        const commands = await commandsFor(listed.commands, argv)
        return { ...plain, builder: parser => parser.command(commands).demandCommand(1).strict() }
      }
      const loaded = await listed.load()
      return {
        ...plain,
        builder: parser => declare(parser, loaded),
        handler: values => {
          throw new Chosen({ ...defaultsOf(loaded), ...given(values) }, loaded, nameOfCommand(listed))
        },
      }
    }),
  )
}

/** Declares the operands and options of a command to yargs. */
function declare(parser: Argv, { operands = {}, options = {} }: AnyCommand): Argv {
  for (const [name, { required: demandOption, many: array }] of Object.entries(operands)) {
    parser.positional(name, { type: 'string', demandOption, array })
  }
  for (const [name, option] of Object.entries(options)) parser.option(name, yargsOption(name, option))
  return parser
}

function yargsOption(name: string, option: Option<unknown>): Options {
  const { kind, alias, choices, default: preset, required: demandOption } = option
  const shared: Options = { alias, demandOption, choices }
  if (kind === 'flag') return { ...shared, type: 'boolean', default: preset }
  const type = kind === 'number' ? 'number' : 'string'
  if (isList(option)) return { ...shared, type, array: true, nargs: 1, requiresArg: true }
  return { ...shared, type, default: preset, requiresArg: true, coerce: once(name) }
}

/** Rejects an option that is given more than once, which yargs would make a list, and a number that is none. */
function once(name: string): (value: unknown) => unknown {
  return value => {
    if (Array.isArray(value)) throw new StowageError('INVALID_ARGUMENT', `--${name} was given more than once`)
    if (Number.isNaN(value)) throw new Refused()
    return value
  }
}

const given = (values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

/** The command that `argv` (without node and script) names. Throws INVALID_ARGUMENT. */
export async function parseProgram(argv: readonly string[]): Promise<ChosenCommand> {
  const globals = Object.entries(GLOBAL_OPTIONS).map(([name, option]) => [name, yargsOption(name, option)] as const)
  const parser = yargs(argv.map(word => (word === '-' ? LONE_DASH : word)))
    .options(Object.fromEntries(globals))
    .command(await commandsFor(COMMANDS, argv))
    .middleware(restoreDashes)
    .demandCommand(1)
    .parserConfiguration({ 'greedy-arrays': false, 'camel-case-expansion': false })
    .strict()
    .version(false)
    .help(false)
    .detectLocale(false)
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((_message: string | null, error: Error | undefined) => {
      // An error of another name comes from coerce(); yargs names its own errors YError
      throw error && error.name !== 'YError' ? error : new Refused()
    })
  try {
    await parser.parseAsync()
  } catch (error) {
    if (error instanceof Chosen) return error
    if (!(error instanceof Refused)) throw error
  }
  throw await mistakeIn(argv)
}

/** yargs does not accept the command line. */
class Refused extends Error {}

/**
 * The chosen command. It is thrown through yargs, because yargs would otherwise lay out the help text after every
 * command, which takes longer than many commands.
 */
class Chosen extends Error implements ChosenCommand {
  readonly values: Readonly<Record<string, unknown>>
  readonly command: AnyCommand
  override readonly name: string

  constructor(values: Readonly<Record<string, unknown>>, command: AnyCommand, name: string) {
    super('a command was chosen')
    this.values = values
    this.command = command
    this.name = name
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
