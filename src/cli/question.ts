/** Asks questions on the terminal, and reads secrets from stdin. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { abortError, StowageError } from '../errors.js'

/** Maximum length of a secret in bytes. Tokens of some registries have a few thousand. */
const LIMIT = 1 << 20

/** The answer to `question`, echoed as it is typed. Throws INVALID_ARGUMENT if there is no terminal, ABORTED. */
export async function askShown(question: string, signal: AbortSignal): Promise<string> {
  return await ask(question, process.stderr, signal)
}

/** Like {@link askShown}, but without echo. */
export async function askHidden(question: string, signal: AbortSignal): Promise<string> {
  expectTerminal()
  const nowhere = new Writable({ write: (_piece, _encoding, done) => done() })
  try {
    // Ask only after the echo is off, because a quick or pasted answer arrives at once
    return await ask('', nowhere, signal, () => void process.stderr.write(question))
  } finally {
    process.stderr.write('\n')
  }
}

/** All of stdin, without the line feed that echo or an editor appends. */
export async function readSecret(signal: AbortSignal): Promise<string> {
  const pieces: Buffer[] = []
  let size = 0
  const stop = (): void => void process.stdin.destroy()
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const piece of process.stdin as AsyncIterable<Buffer>) {
      pieces.push(piece)
      size += piece.length
      if (size > LIMIT)
        throw new StowageError('INVALID_ARGUMENT', `stdin holds over ${LIMIT} bytes, which is not a password`)
    }
    signal.throwIfAborted()
  } catch (error) {
    throw abortError(error, signal)
  } finally {
    signal.removeEventListener('abort', stop)
  }
  return Buffer.concat(pieces)
    .toString()
    .replace(/\r?\n$/, '')
}

async function ask(
  question: string,
  output: NodeJS.WritableStream,
  signal: AbortSignal,
  onRaw?: () => void,
): Promise<string> {
  expectTerminal()
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 })
  onRaw?.()
  try {
    return await new Promise<string>((resolve, reject) => {
      const stop = (): void => reject(abortError(undefined, signal))
      if (signal.aborted) {
        stop()
        return
      }
      signal.addEventListener('abort', stop, { once: true })
      // The terminal is in raw mode, so Ctrl-C arrives as a key
      lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'))
      lines.on('close', () => reject(new StowageError('INVALID_ARGUMENT', 'the question was not answered')))
      lines.question(question, resolve)
    })
  } finally {
    lines.close()
  }
}

function expectTerminal(): void {
  if (process.stdin.isTTY) return
  throw new StowageError(
    'INVALID_ARGUMENT',
    'user name and password are required, and there is no terminal to ask for them',
    {
      hint: 'Use --username and --password-stdin.',
    },
  )
}
