/** The commands of `stowage` that yargs parses: all but `wim`, which is to start faster than yargs loads. */
import yargs, { type CommandModule } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { copy } from './copy.js'
import { inspect } from './inspect.js'
import { find, save } from './find.js'
import { layer } from './layer.js'
import { load } from './load.js'
import { login } from './login.js'
import { logout } from './logout.js'
import { pack } from './pack.js'
import { pull } from './pull.js'
import { push } from './push.js'
import { repositories } from './repositories.js'
import { schema } from './schema.js'
import { search } from './search.js'
import { type GlobalOptions, globalOptions } from './session.js'
import { serve } from './serve.js'
import { tags } from './tags.js'
import { source } from './source.js'
import { verify } from './verify.js'

const EXIT_CODES = `Exit codes: 0 ok, 1 failed, 2 misused, 3 not found, 4 integrity, 5 not let in, 6 not reached, 7 no space,
8 engine refused or load not proved, 129, 130 and 143 interrupted.`

const wim: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'wim',
  describe: 'WIM files: capture, apply, export, mount and more, as wimlib-imagex',
  handler: () => undefined, // main() has a parser of its own for it
}

/** Parses `argv` (without node and script) and runs the command it names. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  const parser = globalOptions(yargs(argv.map(word => (word === '-' ? LONE_DASH : word))))
    .scriptName('stowage')
    .usage('$0 <command>\n\nCarry container images to machines that have no network: pack, verify, load.')
    .command(pack)
    .command(verify)
    .command(load)
    .command(copy)
    .command(serve)
    .command(login)
    .command(logout)
    .command(inspect)
    .command(tags)
    .command(repositories)
    .command(schema)
    .command(search)
    .command(pull)
    .command(push)
    .command(find)
    .command(save)
    .command(source)
    .command(layer)
    .command(wim)
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
  const command = argv.find(word => ['pack', 'verify', 'load', 'copy', 'serve', 'login', 'logout', 'layer', 'tags', 'repositories', 'inspect', 'schema', 'search', 'pull', 'push'].includes(word))
  return new StowageError('INVALID_ARGUMENT', message.replace(/\s*\n\s*/g, ' '), {
    hint: `Run "stowage ${command ? `${command} ` : ''}--help" to see how it is used.`,
  })
}
