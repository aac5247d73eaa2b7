/** One readable error on stderr: message, hint, and no stack unless it is asked for. */
import { StowageError } from '../errors.js'
import { exitCodeOf } from './exit-code.js'
import { printable } from './render.js'

/** `subject`, when given, says what of several the error is about. `STOWAGE_DEBUG=1` adds the stacks, causes included. */
export function printError(error: unknown, subject?: string): void {
  const message = error instanceof Error ? error.message : String(error)
  const hint =
    error instanceof StowageError
      ? error.hint
      : 'This is a fault in Stowage itself. STOWAGE_DEBUG=1 shows where; please report it.'
  const about = subject === undefined || message.startsWith(subject) ? '' : `${subject}: `
  process.stderr.write(`stowage: ${about}${printable(message)}\n`)
  if (hint) process.stderr.write(`hint: ${printable(hint)}\n`)
  if (process.env['STOWAGE_DEBUG']) {
    for (let each = error; each instanceof Error; each = each.cause) process.stderr.write(`${each.stack}\n`)
  }
}

/** For a document: an error in place of its stack. */
export function errorDocument(error: StowageError | undefined): { readonly error?: Readonly<Record<string, unknown>> } {
  return error ? { error: { code: error.code, message: error.message, hint: error.hint } } : {}
}

/** Of several things that were tried, prints what failed, and makes the first error the command's exit code. `subjectOf` as {@link printError} has it. */
export function tellFailures<T extends { readonly error?: StowageError | undefined }>(
  tried: readonly T[],
  subjectOf?: (each: T, error: StowageError) => string | undefined,
): void {
  for (const each of tried) if (each.error) printError(each.error, subjectOf?.(each, each.error))
  const first = tried.find(({ error }) => error)?.error
  if (first) process.exitCode = exitCodeOf(first.code)
}
