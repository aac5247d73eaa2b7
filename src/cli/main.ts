#!/usr/bin/env node
/** The `stowage` command: parses, calls the library, prints what went wrong, and sets the exit code. */
import yargs, { type CommandModule } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { EXIT_FAILED, exitCodeOf } from './exit-code.js'
import { printError } from './print-error.js'
import { type GlobalOptions, globalOptions, interruption, listenToSignals, resultBegun } from './session.js'

const EXIT_CODES = `Exit codes: 0 ok, 1 failed, 2 misused, 3 not found, 4 integrity, 6 engine not reached, 7 no space,
8 engine refused or load not proved, 129, 130 and 143 interrupted.`

const wim: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'wim',
  describe: 'WIM files: capture, apply, export, mount and more, as wimlib-imagex',
  handler: () => undefined, // main() has a parser of its own for it
}

/** Parses `argv` (without node and script) and runs the command it names, of which it loads no others that are large. */
async function main(argv: readonly string[]): Promise<void> {
  const at = argv.findIndex((word, n) => !word.startsWith('-') && argv[n - 1] !== '--progress')
  if (argv[at] === 'wim') {
    const { runWim } = await import('./wim.js')
    await runWim(argv.toSpliced(at, 1))
    return
  }
  const [{ pack }, { verify }, { load }, { layer }] = await Promise.all([
    import('./pack.js'), import('./verify.js'), import('./load.js'), import('./layer.js'),
  ])
  const parser = globalOptions(yargs([...argv]))
    .scriptName('stowage')
    .usage('$0 <command>\n\nCarry container images to machines that have no network: pack, verify, load.')
    .command(pack)
    .command(verify)
    .command(load)
    .command(layer)
    .command(wim)
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

function usageError(message: string, argv: readonly string[]): StowageError {
  const command = argv.find(word => ['pack', 'verify', 'load', 'layer'].includes(word))
  return new StowageError('INVALID_ARGUMENT', message.replace(/\s*\n\s*/g, ' '), {
    hint: `Run "stowage ${command ? `${command} ` : ''}--help" to see how it is used.`,
  })
}

function fail(error: unknown, json: boolean): void {
  if (json && error instanceof StowageError && !resultBegun()) {
    const { code, message, hint } = error
    process.stdout.write(`${JSON.stringify({ schema: 'stowage.error/v1', error: { code, message, hint } }, null, 2)}\n`)
  }
  printError(error)
  if (!(error instanceof StowageError)) process.exitCode = EXIT_FAILED
  else process.exitCode = (error.code === 'ABORTED' ? interruption() : undefined) ?? exitCodeOf(error.code)
}

// A reader that closed its end, as `stowage … | head` does, is no failure of ours
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  printError(new StowageError('IO_ERROR', `the result cannot be written to stdout: ${error.message}`, { cause: error }))
  process.exit(process.exitCode || EXIT_FAILED)
})
// Progress that nobody reads any more must not end the work, nor an error the clearing up: the exit code tells
process.stderr.on('error', () => {})

listenToSignals()
const argv = process.argv.slice(2)
try {
  await main(argv)
} catch (error) {
  fail(error, argv.some(word => word === '--json' || word === '--json=true'))
}
