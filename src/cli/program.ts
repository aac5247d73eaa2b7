/** The commands of `stowage` that yargs parses: all but `wim`, which is to start faster than yargs loads. */
import yargs, { type CommandModule } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { type GlobalOptions, globalOptions } from './session.js'

const EXIT_CODES = `Exit codes: 0 ok, 1 failed, 2 misused, 3 not found, 4 integrity, 5 not let in, 6 not reached, 7 no space,
8 engine refused or load not proved, 129, 130 and 143 interrupted.`

const wim: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'wim',
  describe: 'WIM files: capture, apply, export, mount and more, as wimlib-imagex',
  handler: () => undefined, // main() has a parser of its own for it
}

/** In the order in which they are shown. Each is loaded when it is named, for loading all of them takes longer than most of them do. */
const COMMANDS: Readonly<Record<string, () => Promise<unknown>>> = {
  pack: async () => (await import('./pack.js')).pack,
  verify: async () => (await import('./verify.js')).verify,
  load: async () => (await import('./load.js')).load,
  copy: async () => (await import('./copy.js')).copy,
  serve: async () => (await import('./serve.js')).serve,
  login: async () => (await import('./login.js')).login,
  logout: async () => (await import('./logout.js')).logout,
  inspect: async () => (await import('./inspect.js')).inspect,
  tags: async () => (await import('./tags.js')).tags,
  repositories: async () => (await import('./repositories.js')).repositories,
  schema: async () => (await import('./schema.js')).schema,
  search: async () => (await import('./search.js')).search,
  pull: async () => (await import('./pull.js')).pull,
  push: async () => (await import('./push.js')).push,
  find: async () => (await import('./find.js')).find,
  save: async () => (await import('./find.js')).save,
  source: async () => (await import('./source.js')).source,
  layer: async () => (await import('./layer.js')).layer,
  wim: async () => wim,
}

/** The command that `argv` names, or all where it is not clear that it names one. */
async function commandsFor(argv: readonly string[]): Promise<readonly CommandModule[]> {
  const named = argv.find((word, n) => !word.startsWith('-') && argv[n - 1] !== '--progress') ?? ''
  const loads = Object.hasOwn(COMMANDS, named) ? [COMMANDS[named]] : Object.values(COMMANDS)
  return (await Promise.all(loads.map(async load => await load?.()))) as CommandModule[] // what each of its files exports
}

/** Parses `argv` (without node and script) and runs the command it names. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  const modules = await commandsFor(argv)
  const parser = globalOptions(yargs(argv.map(word => (word === '-' ? LONE_DASH : word))))
    .scriptName('stowage')
    .usage('$0 <command>\n\nCarry container images to machines that have no network: pack, verify, load.')
    .command([...modules])
    .middleware(restoreDashes)
    .demandCommand(1, 'Name a command.')
    .example('$0 pack docker-daemon:shop:2.3 -o site-a.tar', 'Pack an image of the engine')
    .example('$0 verify site-a.tar', 'Check the bundle')
    .example('$0 load site-a.tar', 'Load it, on a host without a network')
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
  await parser.parseAsync()
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
  const command = argv.find(word => word !== 'wim' && Object.hasOwn(COMMANDS, word))
  return new StowageError('INVALID_ARGUMENT', message.replace(/\s*\n\s*/g, ' '), {
    hint: `Run "stowage ${command ? `${command} ` : ''}--help" to see how it is used.`,
  })
}
