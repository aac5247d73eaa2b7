/** A machine of a page's reader: a home, a directory to work in, and `stowage` among the commands. */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { commandFile } from './command.js'
import type { Ran, Step } from './page.js'
import { type Scratch, scratch } from './scratch.js'

/** How long a step may take, in milliseconds. */
const LIMIT = 120_000

/** Settings of whoever runs the tests that are none of the reader's. */
const FOREIGN =
  /^(STOWAGE_|DOCKER_|XDG_|GNUPGHOME$|FORCE_COLOR$|NODE_OPTIONS$|SOURCE_DATE_EPOCH$|REGISTRY_AUTH_FILE$|SSL_CERT_FILE$|https?_proxy$)/i

export interface DeskOptions {
  /** What a name of the page is in the test: `{ '/media/stick': stick }`. Each is put back where a command prints it. */
  readonly places?: Readonly<Record<string, string>>
  /** Settings of the reader. No engine answers, unless one is named here. */
  readonly env?: Readonly<Record<string, string>>
  /** A command that runs the shell: `unshare --net`. */
  readonly within?: readonly string[]
  /** Where the reader works, and the home above it; else new directories. */
  readonly home?: string
  readonly work?: string
}

export interface Desk {
  readonly home: string
  readonly work: string
  /** Adds a command `name` that is `words`. */
  addCommand(name: string, ...words: readonly string[]): void
  /** Runs what has to be there before the page begins. Throws if a command fails. */
  prepare(...commands: readonly string[]): Promise<void>
  /** Runs a step to its end, in the directory where the step before it ended. */
  readonly run: (step: Pick<Step, 'command'>) => Promise<Ran>
  /** Runs a step on a terminal, where `answer` is typed whenever it asks something that ends so. */
  answer(step: Pick<Step, 'command'>, question: string, answer: string): Promise<Ran>
  /** Starts a step that runs until the test ends, and waits until it has printed `until`. */
  start(step: Pick<Step, 'command'>, until: RegExp): Promise<Ran>
}

export function openDesk(t: Scratch, options: DeskOptions = {}): Desk {
  const root = scratch(t)
  const { home = join(root, 'home'), places = {}, within = [] } = options
  const work = options.work ?? join(home, 'work')
  const bin = join(root, 'bin')
  for (const directory of [bin, home, work]) mkdirSync(directory, { recursive: true })
  const inherited = Object.entries(process.env).filter(([name]) => !FOREIGN.test(name))
  const env = {
    ...Object.fromEntries(inherited),
    DOCKER_HOST: 'unix:///nonexistent',
    ...options.env,
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    COLUMNS: '200',
    LC_ALL: 'C.UTF-8',
    SHELL: '/bin/sh',
    TERM: 'dumb',
    TZ: 'UTC',
  }
  const there = replacing(Object.entries(places))
  const here = replacing(Object.entries(places).map(([name, place]) => [place, name]))
  let directory = work

  const launch = (command: string, stdin: 'ignore' | 'pipe' = 'ignore'): ChildProcess => {
    // A pipeline fails with any of its commands, but not with one that `head` stopped; descriptor 3 tells where the step ends
    const ending = 'code=$?; pwd >&3; [ $code -ne 141 ] || exit 0'
    const script = `exec 2>&1; trap '${ending}' EXIT\n${there(command)}\n`
    const [file, ...words] = [...within, 'bash', '-o', 'pipefail', '-c', script]
    return spawn(file, words, { cwd: directory, env, stdio: [stdin, 'pipe', 'ignore', 'pipe'], timeout: LIMIT })
  }
  const addCommand = (name: string, ...words: readonly string[]): void => {
    const file = join(bin, name)
    writeFileSync(file, `#!/bin/sh\nexec ${words.map(word => `'${word}'`).join(' ')} "$@"\n`)
    chmodSync(file, 0o755)
  }
  addCommand('stowage', 'env', '-u', 'NODE_OPTIONS', process.execPath, commandFile())
  const run: Desk['run'] = async ({ command }) => {
    const child = launch(command)
    const [output, ended, code] = await Promise.all([textOf(child, 1), textOf(child, 3), codeOf(child)])
    directory = ended.trimEnd() || directory
    return { output: here(output), code }
  }
  return {
    home,
    work,
    addCommand,
    run,
    prepare: async (...commands) => {
      for (const command of commands) {
        const { code, output } = await run({ command })
        if (code !== 0) throw new Error(`${command}: exit code ${code}\n${output}`)
      }
    },
    answer: async ({ command }, question, answer) => {
      const quoted = `'${command.replaceAll("'", `'\\''`)}'`
      const child = launch(`script --quiet --return --command ${quoted} /dev/null`, 'pipe')
      let shown = ''
      child.stdout?.on('data', (piece: Buffer) => {
        shown += piece.toString()
        if (shown.endsWith(question)) child.stdin?.write(`${answer}\r`)
      })
      return { code: await codeOf(child), output: here(shown.replaceAll('\r\n', '\n')) }
    },
    start: async ({ command }, until) => {
      const child = launch(`exec ${command}`)
      let output = ''
      child.stdout?.on('data', (piece: Buffer) => (output += piece.toString()))
      const ended = codeOf(child)
      t.teardown(async () => {
        child.kill('SIGINT')
        await ended
      })
      for (const deadline = Date.now() + LIMIT; !until.test(output); await sleep(50))
        if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${command} printed ${output}`)
      return { output: here(output), code: undefined }
    },
  }
}

/** Replaces the first of each pair by the second; longer ones first, which may contain others. */
function replacing(pairs: readonly (readonly [string, string])[]): (text: string) => string {
  const sorted = pairs.toSorted(([a], [b]) => b.length - a.length)
  return text => sorted.reduce((all, [one, other]) => all.replaceAll(one, other), text)
}

async function textOf(child: ChildProcess, descriptor: number): Promise<string> {
  const pieces: Buffer[] = []
  const stream = child.stdio[descriptor]
  if (!stream || !('read' in stream)) throw new TypeError(`no pipe at descriptor ${descriptor}`)
  for await (const piece of stream as AsyncIterable<Buffer>) pieces.push(piece) // no encoding was set
  return Buffer.concat(pieces).toString()
}

async function codeOf(child: ChildProcess): Promise<number> {
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', status => resolve(status ?? -1))
  })
}
