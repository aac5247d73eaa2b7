/** A Docker Engine of the test's own: Debian's dockerd on a private socket and data root, with no network. */
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long the engine may take to come up, and to end, in milliseconds. */
const UP = 60_000
const DOWN = 20_000

/** What a command said. */
export interface Output {
  readonly stdout: string
  readonly stderr: string
  /** Exit code; -1 when a signal ended it. */
  readonly code: number
}

export interface TestEngine {
  /** `unix://…`, for `--host` and `DOCKER_HOST`. */
  readonly host: string
  /** Where it keeps its images: for a test that looks for what was left behind. */
  readonly dataRoot: string
  /** The docker command, speaking to this engine. */
  docker(...words: readonly string[]): Promise<Output>
  /** Ends it with all that it started, and removes its files. */
  stop(): Promise<void>
}

/** A command that is the engine, or becomes it by `exec`: what is started is what is ended. */
export interface EngineCommand {
  readonly file: string
  readonly words: readonly string[]
  /** Relative to the directory: the engine's socket. */
  readonly socket: string
}

/**
 * Starts the engine of this machine as root: no bridge, no firewall rule, overlay2 where it can be mounted and else vfs.
 * `more` are words of its command line. Throws with a sentence on what is missing; a test that needs an engine fails without one, it is not skipped.
 */
export async function startEngine(more: readonly string[] = []): Promise<TestEngine> {
  const dockerd = findProgram('dockerd')
  if (!dockerd) throw new Error('dockerd is needed for this test: apt-get install docker.io')
  return await startEngineProcess(async directory => ({
    file: dockerd,
    words: [
      ...['--config-file', await emptyConfig(directory)],
      ...['--data-root', join(directory, 'data')],
      ...['--exec-root', join(directory, 'exec')],
      ...['--pidfile', join(directory, 'docker.pid')],
      ...['--host', `unix://${join(directory, 'docker.sock')}`],
      ...['--group', 'root'],
      ...['--storage-driver', (await canOverlay(directory)) ? 'overlay2' : 'vfs'],
      ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false'],
      '--userland-proxy=false',
      ...more,
    ],
    socket: 'docker.sock',
  }))
}

/**
 * Starts what `prepare` names for a new directory, in a mount namespace of its own, and waits until it answers.
 * The engine ends with this process, should the test not come to `stop()`.
 */
export async function startEngineProcess(prepare: (directory: string) => Promise<EngineCommand>): Promise<TestEngine> {
  if (process.getuid?.() !== 0) throw new Error('an engine of its own needs root: run this test as root')
  const docker = findProgram('docker')
  if (!docker) throw new Error('the docker command is needed for this test: apt-get install docker.io')
  const directory = await mkdtemp(join(tmpdir(), 'stowage-engine-'))
  const { file, words, socket } = await prepare(directory).catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true })
    throw error
  })
  const path = join(directory, socket)
  const log = await open(join(directory, 'log'), 'w')
  const around = ['--pdeathsig', 'TERM', 'unshare', '--mount', '--propagation', 'private', file, ...words]
  const child = spawn('setpriv', around, { stdio: ['ignore', log.fd, log.fd], detached: true })
  await log.close()
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  const stop = async (): Promise<void> => {
    await endAll(child.pid, ended, directory)
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  const deadline = Date.now() + UP
  while (!(await answers(path))) {
    if (child.exitCode === null && child.pid !== undefined && Date.now() < deadline) {
      await sleep(100)
      continue
    }
    const tail = (await readFile(join(directory, 'log'), 'utf8')).slice(-2000)
    await stop()
    throw new Error(`the engine did not come up:\n${tail}`)
  }
  const host = `unix://${path}`
  return {
    host,
    dataRoot: join(directory, 'data'),
    docker: (...words) => run(docker, ['--host', host, ...words]),
    stop,
  }
}

/** Runs a command to its end; a failure is told by its code. */
export async function run(file: string, words: readonly string[]): Promise<Output> {
  return await new Promise(resolve => {
    execFile(file, words, { maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      const code = !error ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ stdout, stderr: stderr || (error && code === -1 ? error.message : ''), code })
    })
  })
}

export function findProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/local/sbin']
  return directories.map(directory => join(directory, name)).find(path => existsSync(path))
}

async function emptyConfig(directory: string): Promise<string> {
  const path = join(directory, 'daemon.json')
  await writeFile(path, '{}')
  return path
}

async function canOverlay(directory: string): Promise<boolean> {
  const at = (name: string): string => join(directory, 'probe', name)
  for (const name of ['lower', 'upper', 'work', 'merged']) await mkdir(at(name), { recursive: true })
  const options = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`
  const mount = ['mount', '-t', 'overlay', 'overlay', '-o', options, at('merged')]
  const { code } = await run('unshare', ['--mount', '--propagation', 'private', ...mount])
  await rm(join(directory, 'probe'), { recursive: true, force: true })
  return code === 0
}

async function answers(socketPath: string): Promise<boolean> {
  return await new Promise(resolve => {
    const ping = request({ socketPath, path: '/_ping', timeout: 2000 }, response => {
      response.resume()
      resolve(response.statusCode === 200)
    })
    ping.on('timeout', () => ping.destroy())
    ping.on('error', () => resolve(false))
    ping.end()
  })
}

/** Ends the engine and, where it could not do so itself, what it started (its containerd and shims). */
async function endAll(pid: number | undefined, ended: Promise<void>, directory: string): Promise<void> {
  if (pid === undefined) return
  signalTo(pid, 'SIGTERM')
  const inTime = await Promise.race([ended.then(() => true), sleep(DOWN, false, { ref: false })])
  if (!inTime) {
    signalTo(pid, 'SIGKILL')
    await ended
  }
  for (const child of await processesOf(directory)) signalTo(child, 'SIGKILL')
}

/** Processes that were started with `directory`, whose name nobody else has, in their words or as their root. */
async function processesOf(directory: string): Promise<readonly number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    // Any of them may have ended meanwhile.
    const words = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    const root = await readlink(`/proc/${name}/root`).catch(() => '')
    if (words.includes(directory) || root.startsWith(directory)) found.push(Number(name))
  }
  return found
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // it has ended already: ESRCH is all that kill says to root
  }
}
