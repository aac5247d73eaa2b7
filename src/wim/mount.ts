/**
 * Mounts images of a WIM on Linux with FUSE. A separate process serves each mount, and continues after this one ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { access, constants, readFile, realpath, stat } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { fileError, StowageError, systemCode } from '../errors.js'
import { binding, nativeError, wimlibVersion } from './binding.js'

import { WimlibError } from './error.js'
import { imageNumber, mountFlags, openFlags, unmountFlags } from './flags.js'
import type { MountAnswer, MountRequest } from './mount-child.js'
import type { MountOptions, UnmountOptions } from './options.js'
import { partsOf } from './parts.js'
import { parseProgress } from './job.js'
import type { OnWimProgress } from './progress.js'

/** Milliseconds before a child is killed: modules loaded by NODE_OPTIONS may catch signals but not handle them. */
const KILL_WAIT_MS = 300
/** Milliseconds to wait for a mount to disappear, and between two checks. */
const UNMOUNT_WAIT_MS = 5000
const POLL_MS = 10

/**
 * Mounts one image, by number or name, on `directory`, and resolves when files can be read there; with `debug`, which
 * keeps the serving process in the foreground, when it is unmounted. The parts of a split WIM are found as in
 * `openWim()`; it can only be mounted read-only. The mount remains after this process ends, until {@link unmountImage}
 * is called. An aborted call leaves no mount behind. Throws IMAGE_NOT_FOUND, what opening a WIM throws, FILE_NOT_FOUND
 * or INVALID_ARGUMENT if `directory` is not a directory, UNSUPPORTED if FUSE is not available, and WIM_ERROR with
 * libfuse's message.
 */
export async function mountImage(
  path: string,
  image: string | number,
  directory: string,
  options: MountOptions = {},
): Promise<void> {
  const { signal, readWrite, debug = false, references = [], stagingDirectory, checkIntegrity } = options
  if (process.platform !== 'linux') throw new StowageError('UNSUPPORTED', 'images can be mounted only on Linux')
  binding() // throws if the addon is missing, before a process is started
  const target = await mountPoint(directory)
  const paths = (await partsOf(path)).map(part => resolve(part))
  const request = {
    paths,
    references: references.map(pattern => resolve(pattern)),
    openFlags: openFlags({ checkIntegrity, writeAccess: readWrite }),
    image: typeof image === 'number' ? String(imageNumber(image)) : image,
    directory: target,
    stagingDirectory: stagingDirectory === undefined ? undefined : resolve(stagingDirectory),
    flags: mountFlags(options),
  }
  if (signal?.aborted) throw aborted(signal)
  const child = startChild({ type: 'mount', request }, [path, target], { debug })
  let timer: NodeJS.Timeout | undefined
  const abort = (): void => {
    child.running.kill() // SIGTERM: libfuse, if already running, unmounts and cleans up
    timer = setTimeout(() => child.running.kill('SIGKILL'), KILL_WAIT_MS)
  }
  signal?.addEventListener('abort', abort, { once: true })
  const { failure, status } = await child.end.finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  })
  if (signal?.aborted) {
    if ((await mountsOn(target)) > 0) await detach(target)
    throw aborted(signal)
  }
  if (failure) throw await mountError(failure, child.printed(), path)
  if (status !== 0) throw died(status, child.printed())
}

/**
 * Unmounts an image that {@link mountImage} mounted. With `commit`, writes its changes to the WIM; otherwise they are
 * lost. The directory is free when the call resolves. libwim cannot stop a commit: after an abort, which throws
 * ABORTED, it is still completed, even if this process ends. Throws BUSY if files are open that a commit would miss,
 * INVALID_ARGUMENT if no image is mounted, and PERMISSION_DENIED for the mount of another user.
 */
export async function unmountImage(directory: string, options: UnmountOptions = {}): Promise<void> {
  const { signal, onProgress } = options
  if (process.platform !== 'linux') throw new StowageError('UNSUPPORTED', 'images can be mounted only on Linux')
  if (signal?.aborted) throw aborted(signal)
  binding()
  const target = resolve(directory)
  const mountPath = await realpath(target).catch(() => target) // fails if the serving process has ended
  const before = await mountsOn(mountPath)
  const request = { type: 'unmount', directory: target, flags: unmountFlags(options) } as const
  const child = startChild(request, [target], { onProgress })
  const { done, failure, status } = await Promise.race([child.end, rejectedOnAbort(signal, child)])
  if (failure) throw await unmountError(failure, target)
  if (!done) throw died(status, child.printed())
  // libwim is done when everything is written, but the mount only disappears when the serving process ends
  for (let left = UNMOUNT_WAIT_MS; left > 0 && before > 0 && (await mountsOn(mountPath)) >= before; left -= POLL_MS)
    await sleep(POLL_MS)
}

/** The real path of the directory, as in the list of mounts. Throws FILE_NOT_FOUND, INVALID_ARGUMENT. */
async function mountPoint(directory: string): Promise<string> {
  try {
    const target = await realpath(directory)
    if ((await stat(target)).isDirectory()) return target
  } catch (error) {
    throw isStale(error) ? staleMount(directory, error) : fileError(error, directory)
  }
  throw new StowageError('INVALID_ARGUMENT', `${directory} is not a directory, so no image can be mounted on it`)
}

interface Child {
  readonly running: ChildProcess
  /** Rejects if the process cannot be started, or with an error of `onProgress`. */
  readonly end: Promise<{
    readonly done: boolean
    readonly failure: Failure | undefined
    readonly status: number | string
  }>
  /** What libfuse has printed so far. */
  printed(): string
}

type Failure = MountAnswer & { type: 'error' }

/**
 * Starts a process in a new process group, so that Ctrl-C reaches only this process. `args` only make it recognizable
 * in the list of processes.
 */
function startChild(
  request: MountRequest,
  args: readonly string[],
  { debug = false, onProgress }: { readonly debug?: boolean; readonly onProgress?: OnWimProgress | undefined } = {},
): Child {
  const program = fileURLToPath(new URL('./mount-child.js', import.meta.url))
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ['pipe', 'pipe', debug ? 'inherit' : 'pipe'],
    detached: true,
  })
  let printed = ''
  child.stderr?.on('data', (piece: Buffer) => (printed = (printed + piece.toString()).slice(-4096)))
  child.stdin?.on('error', () => undefined) // it ended early: 'close' reports why
  child.stdin?.end(JSON.stringify(request))
  const end = new Promise<Awaited<Child['end']>>((resolve, reject) => {
    let [done, failure] = [false, undefined as Failure | undefined]
    if (child.stdout) {
      createInterface({ input: child.stdout }).on('line', line => {
        const answer = JSON.parse(line) as MountAnswer // mount-child.ts wrote it
        if (answer.type === 'error') failure = answer
        else if (answer.type === 'done') done = true
        else {
          try {
            onProgress?.(parseProgress(answer.event))
          } catch (error) {
            reject(error) // an error of the caller's listener
          }
        }
      })
    }
    child.once('error', error => reject(fileError(error, process.execPath)))
    child.once('close', (status, ended) => resolve({ done, failure, status: status ?? ended ?? -1 }))
  })
  return { running: child, end, printed: () => lines(printed) }
}

/** Rejects when `signal` aborts, and detaches the child, which continues on its own. */
function rejectedOnAbort(signal: AbortSignal | undefined, child: Child): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (!signal) return
    const abort = (): void => {
      for (const stream of [child.running.stdout, child.running.stderr]) stream?.destroy()
      child.running.unref()
      reject(aborted(signal))
    }
    signal.addEventListener('abort', abort, { once: true })
    child.running.once('close', () => signal.removeEventListener('abort', abort))
  })
}

function died(status: number | string, printed: string): StowageError {
  const how = typeof status === 'string' ? `was ended by ${status}` : `ended with status ${status}`
  return new StowageError('IO_ERROR', `the process for mounting or unmounting ${how}${printed && `: ${printed}`}`)
}

/** The error for a failed mount, with the output of libfuse, and a hint if FUSE is not fully available. */
async function mountError(failure: Failure, printed: string, path: string): Promise<unknown> {
  const { message, code, details = '' } = failure
  if (code === 'IMAGE_NOT_FOUND') return new StowageError(code, `${path}: ${message}`)
  const error = errorOf({ ...failure, details: [details, printed].filter(text => text !== '').join('; ') }, path)
  if (code !== 'WIMLIB_ERR_FUSE' || !(error instanceof StowageError)) return error
  const problem = await findFuseProblem()
  return new StowageError(problem?.code ?? 'WIM_ERROR', error.message, {
    hint: problem?.hint ?? error.hint,
    cause: error.cause,
  })
}

interface FuseProblem {
  readonly code: 'UNSUPPORTED' | 'PERMISSION_DENIED'
  readonly hint: string
}

async function findFuseProblem(): Promise<FuseProblem | undefined> {
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
  } catch (error) {
    return systemCode(error) === 'ENOENT'
      ? {
          code: 'UNSUPPORTED',
          hint: '/dev/fuse does not exist: run "modprobe fuse", or use "--device /dev/fuse" for a container.',
        }
      : { code: 'PERMISSION_DENIED', hint: 'You are not allowed to read and write /dev/fuse.' }
  }
  if (process.getuid?.() === 0) return undefined
  // libwim before 1.14 is built with libfuse 2. Debian's fuse3 has both programs, its older fuse only fusermount
  const [major = 0, minor = 0] = wimlibVersion().split('.').map(Number)
  const program = major > 1 || minor >= 14 ? 'fusermount3' : 'fusermount'
  if (await inPath(program)) return undefined
  return {
    code: 'UNSUPPORTED',
    hint: `Without root, this requires ${program}: on Debian and Ubuntu, apt-get install fuse3.`,
  }
}

async function inPath(program: string): Promise<boolean> {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      await access(join(directory, program), constants.X_OK)
      return true
    } catch {
      // try the next directory
    }
  }
  return false
}

function errorOf({ message, ...facts }: Failure, path: string): unknown {
  return nativeError(Object.assign(new Error(message), facts), path)
}

async function unmountError(failure: Failure, directory: string): Promise<unknown> {
  const error = errorOf(failure, directory)
  if (!(error instanceof StowageError) || !(error.cause instanceof WimlibError)) return error
  const { message, cause } = error
  switch (error.cause.code) {
    case 'WIMLIB_ERR_NOT_A_MOUNTPOINT': {
      const failure: unknown = await stat(directory).then(
        () => undefined,
        (failed: unknown) => failed,
      )
      if (isStale(failure)) return staleMount(directory, cause)
      if (failure !== undefined) return fileError(failure, directory)
      return new StowageError('INVALID_ARGUMENT', message, {
        hint: 'Name the directory that an image is mounted on.',
        cause,
      })
    }
    case 'WIMLIB_ERR_NOT_PERMITTED_TO_UNMOUNT':
      return new StowageError('PERMISSION_DENIED', message, { hint: 'Unmount it as the user who mounted it.', cause })
    default:
      return error
  }
}

/** Whether the error is that of a mount whose serving process has ended. */
function isStale(error: unknown): boolean {
  return ['ENOTCONN', 'ECONNABORTED'].includes(systemCode(error) ?? '')
}

function staleMount(directory: string, cause: unknown): StowageError {
  return new StowageError(
    'IO_ERROR',
    `the process that serves the mount on ${directory} has ended, and uncommitted changes are lost`,
    {
      hint: `Remove the mount: fusermount -u ${directory}, or as root umount ${directory}.`,
      cause,
    },
  )
}

/** The number of images mounted on the directory, one over the other. Source: proc(5), `/proc/PID/mountinfo`. */
async function mountsOn(directory: string): Promise<number> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  return mounts.split('\n').filter(line => {
    const mountPath = line
      .split(' ')[4]
      ?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
    return mountPath === directory && / - fuse\.wimfs /.test(line)
  }).length
}

/** Detaches a mount in any state. */
async function detach(directory: string): Promise<void> {
  const commands = [
    ['fusermount3', '-u', '-z'],
    ['fusermount', '-u', '-z'],
    ['umount', '-l'],
  ]
  for (const [program = '', ...options] of commands) {
    const child = spawn(program, [...options, directory], { stdio: 'ignore' })
    const status = await new Promise<number | null>(done => child.once('error', () => done(-1)).once('exit', done))
    if (status === 0) return
  }
}

function aborted(signal: AbortSignal): StowageError {
  return new StowageError('ABORTED', 'interrupted before the end', { cause: signal.reason })
}

/** Joins lines: `a; b` for `"a\n b\n"`. */
function lines(text: string): string {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .join('; ')
}
