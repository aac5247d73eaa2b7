/** Prints errors on stderr: the message, the hint and, only on request, the stack. */
import { StowageError } from '../errors.js'
import { exitCodeOf } from './exit-code.js'
import { printable } from './render.js'
import { painter } from './usage/paint.js'

/**
 * `subject` says which of several things the error is about. `STOWAGE_DEBUG=1` adds the stacks of the error and its
 * causes.
 */
export function printError(error: unknown, subject?: string): void {
  const message = error instanceof Error ? error.message : String(error)
  const hint =
    error instanceof StowageError
      ? error.hint
      : 'This is a bug in Stowage. STOWAGE_DEBUG=1 shows where it happened; please report it.'
  const about = subject === undefined || message.startsWith(subject) ? '' : `${subject}: `
  const paint = painter(process.stderr)
  process.stderr.write(`${paint('red', 'stowage:')} ${about}${printable(message)}\n`)
  if (hint) process.stderr.write(`${paint('bold', 'hint:')} ${printable(hint)}\n`)
  if (process.env['STOWAGE_DEBUG']) {
    for (let each = error; each instanceof Error; each = each.cause) process.stderr.write(`${each.stack}\n`)
  }
}

/** An error for JSON output: code, message and hint. */
export function errorDocument(error: StowageError | undefined): { readonly error?: Readonly<Record<string, unknown>> } {
  return error ? { error: { code: error.code, message: error.message, hint: error.hint } } : {}
}

/**
 * Prints the errors among `tried`, and sets the exit code to that of the first. `subjectOf`: see {@link printError}.
 */
export function reportFailures<T extends { readonly error?: StowageError | undefined }>(
  tried: readonly T[],
  subjectOf?: (each: T, error: StowageError) => string | undefined,
): void {
  for (const each of tried) if (each.error) printError(each.error, subjectOf?.(each, each.error))
  const first = tried.find(({ error }) => error)?.error
  if (first) process.exitCode = exitCodeOf(first.code)
}
