/** One readable error on stderr: message, hint, and no stack unless it is asked for. */
import { StowageError } from '../errors.js'
import { printable } from './render.js'

/** `subject`, when given, says what of several the error is about. `STOWAGE_DEBUG=1` adds the stacks, causes included. */
export function printError(error: unknown, subject?: string): void {
  const message = error instanceof Error ? error.message : String(error)
  const hint = error instanceof StowageError
    ? error.hint
    : 'This is a fault in Stowage itself. STOWAGE_DEBUG=1 shows where; please report it.'
  const about = subject === undefined || message.startsWith(subject) ? '' : `${subject}: `
  process.stderr.write(`stowage: ${about}${printable(message)}\n`)
  if (hint) process.stderr.write(`hint: ${printable(hint)}\n`)
  if (process.env['STOWAGE_DEBUG']) {
    for (let each = error; each instanceof Error; each = each.cause) process.stderr.write(`${each.stack}\n`)
  }
}
