#!/usr/bin/env node
/** The `stowage` command: parses, calls the library, prints what went wrong, and sets the exit code. */
import { setFlagsFromString } from 'node:v8'
import { StowageError } from '../errors.js'
import { EXIT_FAILED, exitCodeOf } from './exit-code.js'
import { errorDocument, printError } from './print-error.js'
import { jsonText } from './render.js'
import { type GlobalOptions, interruption, listenToSignals, resultBegun, withSession } from './session.js'

/** Runs the command that `argv` (without node and script) names, and loads no other. */
async function main(argv: readonly string[]): Promise<void> {
  const at = argv.findIndex((word, n) => !word.startsWith('-') && argv[n - 1] !== '--progress')
  if (argv[at] === 'wim') {
    const { runWim } = await import('./wim.js')
    await runWim(argv.toSpliced(at, 1))
  } else {
    const { parsePlainly } = await import('./plain-words.js')
    const chosen = (await parsePlainly(argv)) ?? (await (await import('./program.js')).parseProgram(argv))
    if (!chosen) return
    const values = chosen.values as typeof chosen.values & GlobalOptions // every command has them
    await withSession(values, async session => {
      await chosen.command.run(values, session)
    })
  }
}

function fail(error: unknown, json: boolean): void {
  if (json && error instanceof StowageError && !resultBegun()) {
    process.stdout.write(`${jsonText({ schema: 'stowage.error/v1', ...errorDocument(error) }, 2)}\n`)
  }
  printError(error)
  if (!(error instanceof StowageError)) process.exitCode = EXIT_FAILED
  else process.exitCode = (error.code === 'ABORTED' ? interruption() : undefined) ?? exitCodeOf(error.code)
}

// A reader that closed its end, as `stowage … | head` does, is not a failure of ours
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  printError(new StowageError('IO_ERROR', `the result cannot be written to stdout: ${error.message}`, { cause: error }))
  process.exit(process.exitCode || EXIT_FAILED)
})
// Progress that nobody reads any more must not end the work, nor an error the clearing up: the exit code tells
process.stderr.on('error', () => {})

// undici parses with WebAssembly, and V8 would spend more on making that fast than a command has to parse
setFlagsFromString('--liftoff-only')
listenToSignals()
const argv = process.argv.slice(2)
try {
  await main(argv)
} catch (error) {
  fail(
    error,
    argv.some(word => word === '--json' || word === '--json=true'),
  )
}
// What is left is to free memory, which the system does at once; but only when all is written
process.stdout.write('', error => {
  if (!error) process.exit()
})
