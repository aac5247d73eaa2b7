/** The whole command line of `stowage` for yargs: help, mistakes, and every form of words that plain-words.ts leaves to it. */
import yargs, { type CommandModule } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { type ChosenCommand, COMMANDS } from './commands.js'
import { type GlobalOptions, globalOptions } from './session.js'

const EXIT_CODES = `Exit codes: 0 success, 1 failure, 2 usage error, 3 not found, 4 integrity check failed, 5 authentication failed,
6 unreachable, 7 no space, 8 engine refused the image or the load could not be verified, 129, 130 and 143 interrupted.`

/** All commands for yargs, those that `argv` names with their options and what they do. */
async function commandsFor(argv: readonly string[]): Promise<CommandModule<GlobalOptions, GlobalOptions>[]> {
  return await Promise.all(
    Object.entries(COMMANDS).map(async ([name, { command, aliases = [], describe, load }]) => {
      const named = argv.some(word => word === name || aliases.includes(word))
      if (!named) return { command, aliases, describe, handler: () => undefined }
      const { builder, handler } = (await load()) as CommandModule<GlobalOptions, GlobalOptions> // yargs gives it the options that it names itself
      return {
        command,
        aliases,
        describe,
        builder: builder ?? {},
        handler: values => {
          throw new Chosen(values, async () => await handler(values))
        },
      }
    }),
  )
}

const wim: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'wim',
  describe: 'Work with WIM files: capture, apply, export, mount and more, like wimlib-imagex',
  handler: () => undefined, // main() has a parser of its own for it
}

/**
 * The command that `argv` (without node and script) names; undefined if all was said by help, a version, or a command below
 * the named one, which yargs runs itself. Throws INVALID_ARGUMENT.
 */
export async function parseProgram(argv: readonly string[]): Promise<ChosenCommand | undefined> {
  const parser = globalOptions(yargs(argv.map(word => (word === '-' ? LONE_DASH : word))))
    .scriptName('stowage')
    .usage('$0 <command>\n\nCarry container images to machines that have no network: pack, verify, load.')
    .command(await commandsFor(argv))
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
  readonly run: () => Promise<void>

  constructor(values: Readonly<Record<string, unknown>>, run: () => Promise<void>) {
    super('a command was chosen')
    this.values = values
    this.run = run
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
