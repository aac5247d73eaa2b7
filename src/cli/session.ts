/** What every command shares: the one AbortController, progress on stderr, the result on stdout. */
import { once as event } from 'node:events'
import type { Argv, Options } from 'yargs'
import { abortError, StowageError } from '../errors.js'
import type { OnProgress } from '../progress.js'
import { openProgress, PROGRESS_MODES, type ProgressMode } from './progress.js'
import { jsonText, printable } from './render.js'

/** Options every command takes. */
export interface GlobalOptions {
  readonly json: boolean
  readonly quiet: boolean
  readonly progress: ProgressMode
}

export interface Session {
  /** Aborted by SIGINT, SIGTERM and SIGHUP. */
  readonly signal: AbortSignal
  readonly onProgress: OnProgress
  /** Prints the result: `document` with --json, else `text`. Called once. */
  report(document: Readonly<Record<string, unknown>>, text: string): void
  /** Prints a piece of a result that is too long for {@link Session.report}, as fast as it is read. */
  print(piece: string | Uint8Array): Promise<void>
  /** A line for people on stderr, beside the progress; --quiet leaves it out. */
  note(line: string): void
}

const controller = new AbortController()
let interruptedWith: number | undefined
let printed = false

/** Exit code for the signal that ended the command, if one did: 128 and its number. */
export function interruption(): number | undefined {
  return interruptedWith
}

/** A part of the result is on stdout: no document can follow it. */
export function resultBegun(): boolean {
  return printed
}

/** First SIGINT, SIGTERM or SIGHUP: stop cleanly. A second one: exit at once, whatever is left behind. */
export function listenToSignals(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.on(signal, () => {
      if (interruptedWith !== undefined) process.exit(code)
      interruptedWith = code
      controller.abort(new StowageError('ABORTED', 'interrupted before the end'))
    })
  }
}

/** Runs one command. Errors pass through to main(), the only place that prints them. */
export async function withSession(options: GlobalOptions, work: (session: Session) => Promise<void>): Promise<void> {
  const progress = openProgress(options.quiet ? 'none' : options.progress, process.stderr)
  try {
    await work({
      signal: controller.signal,
      onProgress: progress.onProgress,
      report(document, text) {
        progress.end()
        process.stdout.write(options.json ? `${jsonText(document, 2)}\n` : text)
      },
      async print(piece) {
        if (!printed) progress.end()
        printed = true
        controller.signal.throwIfAborted()
        if (process.stdout.write(piece)) return
        await event(process.stdout, 'drain', { signal: controller.signal }).catch((error: unknown) => {
          throw abortError(error, controller.signal)
        })
      },
      note(line) {
        if (options.quiet) return
        progress.end()
        const text = options.progress === 'json' ? jsonText({ type: 'note', text: line }) : printable(line)
        process.stderr.write(`${text}\n`)
      },
    })
  } finally {
    progress.end()
  }
}

/** The options themselves, for yargs. */
export function globalOptions<T>(yargs: Argv<T>): Argv<T & GlobalOptions> {
  return yargs
    .option('json', {
      type: 'boolean',
      default: false,
      global: true,
      describe: 'Print the result as one JSON document',
    })
    .option('progress', {
      choices: PROGRESS_MODES,
      default: 'auto' as const,
      global: true,
      describe: 'How to show progress on stderr',
      requiresArg: true,
    })
    .option('quiet', {
      alias: 'q',
      type: 'boolean',
      default: false,
      global: true,
      describe: 'Show no progress',
    }) // the three options are GlobalOptions
}

/** All names of an option. */
export function namesOf(name: string, { alias = [] }: Options): readonly string[] {
  return [name, ...(typeof alias === 'string' ? [alias] : alias)]
}

/** For an option that may be given once: yargs makes a list of it when it is given again. */
export function once(name: string): (value: unknown) => string | undefined {
  return value => {
    if (value === undefined || typeof value === 'string') return value
    throw new StowageError('INVALID_ARGUMENT', `--${name} was given more than once`)
  }
}
