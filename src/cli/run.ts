/** The `stowage` command: parses the command line, runs the command, prints errors and sets the exit code. */
import { setFlagsFromString } from 'node:v8'
import { callError, StowageError, systemReason } from '../errors.js'
import { EXIT_FAILED, exitCodeOf } from './exit-code.js'
import type { LogValues } from './log-options.js'
import { errorDocument, printError } from './print-error.js'
import { jsonText } from './render.js'
import { withoutColor } from './usage/paint.js'
import {
  type GlobalOptions,
  interruption,
  listenToSignals,
  resultBegun,
  type Session,
  stdoutClaimed,
  withSession,
} from './session.js'

/** Runs the command that `argv` (without node and script) names, loading only its module. */
async function main(argv: readonly string[]): Promise<void> {
  if (argv[0] === '__complete') {
    await (await import('./completion/complete.js')).printProposals(process.argv.slice(3))
    return
  }
  const at = argv.findIndex((word, n) => !word.startsWith('-') && argv[n - 1] !== '--progress')
  if (argv[at] === 'wim') {
    const { runWim } = await import('./wim.js')
    await runWim(argv.toSpliced(at, 1))
  } else {
    const { parsePlainly } = await import('./plain-words.js')
    const plain = await parsePlainly(argv)
    if (!plain && (await (await import('./usage/request.js')).answerRequest(argv))) return
    const chosen = plain ?? (await (await import('./program.js')).parseProgram(argv))
    const values = chosen.values as typeof chosen.values & GlobalOptions // every command has them
    await withSession(values, async session => {
      const run = async (own: Session): Promise<void> => await chosen.command.run(values, own)
      if (chosen.command.options && 'log' in chosen.command.options)
        await (
          await import('./log-options.js')
        ).runLogged(chosen.name, chosen.values as unknown as LogValues, session, run)
      else await run(session)
    })
  }
}

/** What went wrong first: if what is on a medium that fails cannot be closed either, JavaScript puts that above it. */
function firstOf(error: unknown): unknown {
  return error instanceof Error && error.name === 'SuppressedError' && 'suppressed' in error
    ? firstOf(error.suppressed)
    : error
}

function fail(error: unknown, json: boolean): void {
  if (json && error instanceof StowageError && !resultBegun()) {
    const stream = stdoutClaimed() ? process.stderr : process.stdout
    stream.write(`${jsonText({ schema: 'stowage.error/v1', ...errorDocument(error) }, 2)}\n`)
  }
  printError(error)
  if (!(error instanceof StowageError)) process.exitCode = EXIT_FAILED
  else process.exitCode = (error.code === 'ABORTED' ? interruption() : undefined) ?? exitCodeOf(error.code)
}

// It is not an error if the reader closes its end of the pipe, as `stowage … | head` does
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (stdoutClaimed()) return
  if (error.code === 'EPIPE') process.exit()
  const why = systemReason(error)
  printError(new StowageError('IO_ERROR', `the result cannot be written to stdout: ${why}`, { cause: error }))
  process.exit(process.exitCode || EXIT_FAILED)
})
// If stderr is closed, the command must still finish its work or its cleanup; the exit code reports the result
process.stderr.on('error', () => {})

// undici parses with WebAssembly: optimizing that code would take V8 longer than a command takes to parse its responses
setFlagsFromString('--liftoff-only')
listenToSignals()
const argv = withoutColor(process.argv.slice(2))
try {
  await main(argv)
} catch (error) {
  fail(
    callError(firstOf(error)),
    argv.some(word => word === '--json' || word === '--json=true'),
  )
}
// Nobody may ever read the rest of an archive that was interrupted
if (stdoutClaimed() && interruption() !== undefined) process.exit()
// Exit without freeing memory, which the system does faster, but only after stdout is flushed
process.stdout.write('', error => {
  if (!error) process.exit()
})
