/** What all commands share: the AbortController, progress on stderr, and the result on stdout. */
import { once as event } from 'node:events'
import { abortError, StowageError } from '../errors.js'
import type { RecordedFacts } from '../custody/entry.js'
import type { LogHead } from '../custody/log-file.js'
import type { OnProgress } from '../progress.js'
import { openProgress, type ProgressMode } from './progress.js'
import { jsonText, printable } from './render.js'

/** Options of every command. */
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
  /** Prints a piece of a result that is too long for {@link Session.report}, and waits while stdout is full. */
  print(piece: string | Uint8Array): Promise<void>
  /** Leaves stdout to data that the command writes itself: the result goes to stderr. */
  claimStdout(): void
  /** Prints a line for the user on stderr, unless --quiet is given. */
  note(line: string): void
  /** Whether somebody is there to answer: stdin and stderr are a terminal. */
  readonly canAsk: boolean
  /** Asks a question on the terminal, and returns the answer. Throws ABORTED. */
  ask(question: string): Promise<string>
  /** Says what the entry in the log is about, if there is a log; a later call adds to it. */
  record(facts: RecordedFacts): void
  /** How far the logs went before. */
  readonly logHeads: readonly LogHead[]
  /** Prints a notice of the library like {@link Session.note}, but each only once. */
  notice(sentence: string): void
}

const controller = new AbortController()
let interruptedWith: number | undefined
let printed = false
let claimed = false

/** The exit code for the signal that interrupted the command, 128 plus its number; undefined if none did. */
export function interruption(): number | undefined {
  return interruptedWith
}

/** Whether part of the result was printed, so that no JSON document can follow it. */
export function resultBegun(): boolean {
  return printed
}

/** Whether the command writes data to stdout, and reports itself if its reader has gone. */
export function stdoutClaimed(): boolean {
  return claimed
}

/** On the first SIGINT, SIGTERM or SIGHUP, aborts the work; on a second one, exits at once without cleanup. */
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

/** Runs one command. Errors pass through to main(), which prints them. */
export async function withSession(options: GlobalOptions, work: (session: Session) => Promise<void>): Promise<void> {
  const progress = openProgress(options.quiet ? 'none' : options.progress, process.stderr)
  const told = new Set<string>()
  const note = (line: string): void => {
    if (options.quiet) return
    progress.clear()
    const text = options.progress === 'json' ? jsonText({ type: 'note', text: line }) : printable(line)
    process.stderr.write(`${text}\n`)
  }
  try {
    await work({
      signal: controller.signal,
      // On a terminal, a display would be drawn into the result
      onProgress: event => {
        if (!printed || !process.stdout.isTTY || options.progress === 'json') progress.onProgress(event)
      },
      report(document, text) {
        progress.end()
        const result = options.json ? `${jsonText(document, 2)}\n` : text
        if (!claimed) process.stdout.write(result)
        else if (options.json || !options.quiet) process.stderr.write(result)
      },
      claimStdout() {
        claimed = true
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
      note,
      canAsk: process.stdin.isTTY && process.stderr.isTTY,
      async ask(question) {
        progress.end() // it goes on with the next event
        const { askShown } = await import('./question.js')
        return await askShown(question, controller.signal)
      },
      record: () => undefined,
      logHeads: [],
      notice(sentence) {
        if (!told.has(sentence)) note(sentence)
        told.add(sentence)
      },
    })
  } finally {
    progress.end()
  }
}
