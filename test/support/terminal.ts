/** A command in a terminal of its own, by script(1). */
import { spawn } from 'node:child_process'
import { commandFile } from './command.js'

export interface TerminalRun {
  /** All that was written to the terminal: stdout and stderr. */
  readonly text: string
  /** What had been written so many milliseconds after the start. */
  at(milliseconds: number): string
  /** Milliseconds until it ended. */
  readonly took: number
  readonly code: number
}

export interface TerminalOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** In columns. */
  readonly width?: number
  /** Interrupts it (Ctrl-C) when this says so of the text so far; else it runs to its end. */
  readonly until?: (text: string) => boolean
  /** What to type, if this says so of the text so far. */
  readonly answer?: (text: string) => string | undefined
}

/** Milliseconds after which a command that neither ends nor shows what is waited for is killed. */
const PATIENCE = 60_000

/** Runs `stowage` with `words` (without quotes in them) there. */
export async function inTerminal(
  words: readonly string[],
  { cwd, env, width = 80, until, answer }: TerminalOptions = {},
): Promise<TerminalRun> {
  const command = [process.execPath, commandFile(), ...words].map(word => `'${word}'`).join(' ')
  const began = Date.now()
  const child = spawn('script', ['-qec', `stty cols ${width} rows 24; exec ${command}`, '/dev/null'], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', TERM: 'xterm', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const pieces: { readonly time: number; readonly text: string }[] = []
  const textAt = (end: number): string => pieces.flatMap(({ time, text }) => (time <= end ? [text] : [])).join('')
  let interrupted = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    pieces.push({ time: Date.now() - began, text })
    const typed = answer?.(textAt(Infinity))
    if (typed !== undefined) child.stdin.write(typed)
    if (interrupted || !until?.(textAt(Infinity))) return
    interrupted = true
    child.stdin.write('\u0003')
  })
  const code = await new Promise<number>((resolve, reject) => {
    const patience = setTimeout(() => {
      child.kill('SIGKILL') // its terminal goes, and the command with it
      reject(new Error(`${words.join(' ')} did not end: ${JSON.stringify(textAt(Infinity))}`))
    }, PATIENCE)
    child.once('error', reject)
    child.once('close', status => {
      clearTimeout(patience)
      resolve(status ?? -1)
    })
  })
  return { text: textAt(Infinity), at: textAt, took: Date.now() - began, code }
}

/** The lines that were drawn over one another, without the codes that clear them and the echo of Ctrl-C. */
export function drawnLines(text: string): readonly string[] {
  return text.split(/\r\u001b\[K|\r?\n|\^C/).filter(line => line !== '')
}
