/** Images of a WIM as file systems, on Linux, by FUSE. Each is served by a process of its own, which outlives this one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { access, constants, readFile, realpath, stat } from 'node:fs/promises'
import { delimiter, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { fileError, StowageError, systemCode } from '../errors.js'
import { binding, nativeError } from './binding.js'
import { compressionName } from './compression.js'
import { WimlibError } from './error.js'
import { imageNumber, mountFlags, openFlags, unmountFlags } from './flags.js'
import type { MountAnswer, MountRequest } from './mount-child.js'
import type { MountOptions, UnmountOptions } from './options.js'
import { partsOf } from './parts.js'
import type { OnWimProgress, WimProgress } from './progress.js'

/** What NODE_OPTIONS brings into the child may catch signals, and then never look at them while libwim is busy. */
const PATIENCE_MS = 300
/** How long a mount that is done may take to go, and how often that is looked at. */
const LEAVING_MS = 5000
const GLANCE_MS = 10

/**
 * Mounts one image, by number or name, on `directory`, and resolves once files can be read there; with `debug`, which keeps
 * the serving process in the foreground, once it is unmounted again. The parts of a split WIM are found as by `openWim()`;
 * it can only be mounted to be read. The mount stays when this process ends: {@link unmountImage} is its end. An abort leaves
 * none behind.
 * Throws IMAGE_NOT_FOUND, what opening a WIM throws, FILE_NOT_FOUND and INVALID_ARGUMENT for a directory that is none,
 * UNSUPPORTED if there is no FUSE, and WIM_ERROR with what libfuse says.
 */
export async function mountImage(
  path: string,
  image: string | number,
  directory: string,
  options: MountOptions = {},
): Promise<void> {
  const { signal, readWrite, debug = false, references = [], stagingDirectory, checkIntegrity } = options
  if (process.platform !== 'linux') throw new StowageError('UNSUPPORTED', 'images can be mounted only on Linux')
  binding() // what is missing is told before a process is started in vain
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
  const child = startChild({ type: 'mount', request }, [path, target], debug)
  let timer: NodeJS.Timeout | undefined
  const abort = (): void => {
    child.running.kill() // SIGTERM: libfuse, where it has begun, unmounts and cleans up
    timer = setTimeout(() => child.running.kill('SIGKILL'), PATIENCE_MS)
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
 * Unmounts what {@link mountImage} mounted, and with `commit` writes its changes into the WIM; without, they are lost. The
 * directory is free when it is done.
 * libwim cannot stop a commit: after an abort, which throws ABORTED, it is finished all the same, even when this process ends.
 * Throws BUSY if files are open that a commit would miss, INVALID_ARGUMENT if no image is mounted, and
 * PERMISSION_DENIED for the mount of another user.
 */
export async function unmountImage(directory: string, options: UnmountOptions = {}): Promise<void> {
  const { signal, onProgress } = options
  if (process.platform !== 'linux') throw new StowageError('UNSUPPORTED', 'images can be mounted only on Linux')
  if (signal?.aborted) throw aborted(signal)
  binding()
  const target = resolve(directory)
  const place = await realpath(target).catch(() => target) // one whose process is gone has none
  const before = await mountsOn(place)
  const child = startChild(
    { type: 'unmount', directory: target, flags: unmountFlags(options) },
    [target],
    false,
    onProgress,
  )
  const { done, failure, status } = await Promise.race([child.end, rejectedOnAbort(signal, child)])
  if (failure) throw await unmountError(failure, target)
  if (!done) throw died(status, child.printed())
  // libwim is done when all is written; the system takes the mount away when the process that served it ends
  for (let left = LEAVING_MS; left > 0 && before > 0 && (await mountsOn(place)) >= before; left -= GLANCE_MS)
    await sleep(GLANCE_MS)
}

/** The directory without links in its path, as the list of mounts has it. */
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
  /** Rejects where there can be no child, or with what `onProgress` threw. */
  readonly end: Promise<{
    readonly done: boolean
    readonly failure: Failure | undefined
    readonly status: number | string
  }>
  /** What libfuse printed so far. */
  printed(): string
}

type Failure = MountAnswer & { type: 'error' }

/** A process of a group of its own: Ctrl-C is for us, and we tell it. `words` are for who looks at the list of processes. */
function startChild(
  request: MountRequest,
  words: readonly string[],
  debug: boolean,
  onProgress?: OnWimProgress,
): Child {
  const program = fileURLToPath(new URL('./mount-child.js', import.meta.url))
  const child = spawn(process.execPath, [program, ...words], {
    stdio: ['pipe', 'pipe', debug ? 'inherit' : 'pipe'],
    detached: true,
  })
  let printed = ''
  child.stderr?.on('data', (piece: Buffer) => (printed = (printed + piece.toString()).slice(-4096)))
  child.stdin?.on('error', () => undefined) // it ended early, and its end says why
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
            onProgress?.(progressOf(answer.event))
          } catch (error) {
            reject(error) // the caller's own
          }
        }
      })
    }
    child.once('error', error => reject(fileError(error, process.execPath)))
    child.once('close', (status, ended) => resolve({ done, failure, status: status ?? ended ?? -1 }))
  })
  return { running: child, end, printed: () => lines(printed) }
}

function progressOf(event: unknown): WimProgress {
  const told = event as { readonly type: string; readonly compression?: number } // made by native/wim/observer.cc
  if (told.compression === undefined) return told as WimProgress
  return { ...told, compression: compressionName(told.compression) } as WimProgress
}

/** Rejects when `signal` aborts, and lets go of the child, which goes on alone. */
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

/** An answer as the error it stands for, with what libfuse printed, and a hint on what FUSE lacks here. */
async function mountError(failure: Failure, printed: string, path: string): Promise<unknown> {
  const { message, code, details = '' } = failure
  if (code === 'IMAGE_NOT_FOUND') return new StowageError(code, `${path}: ${message}`)
  const error = errorOf({ ...failure, details: [details, printed].filter(text => text !== '').join('; ') }, path)
  if (code !== 'WIMLIB_ERR_FUSE' || !(error instanceof StowageError)) return error
  const lack = await whatFuseLacks()
  return new StowageError(lack?.code ?? 'WIM_ERROR', error.message, {
    hint: lack?.hint ?? error.hint,
    cause: error.cause,
  })
}

interface Lack {
  readonly code: 'UNSUPPORTED' | 'PERMISSION_DENIED'
  readonly hint: string
}

async function whatFuseLacks(): Promise<Lack | undefined> {
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
  } catch (error) {
    return systemCode(error) === 'ENOENT'
      ? {
          code: 'UNSUPPORTED',
          hint: 'There is no /dev/fuse: "modprobe fuse", or "--device /dev/fuse" for a container.',
        }
      : { code: 'PERMISSION_DENIED', hint: 'You are not allowed to read and write /dev/fuse.' }
  }
  if (process.getuid?.() === 0) return undefined
  // libwim before 1.14 is built with libfuse 2. Debian's fuse3 brings both names, its older fuse the first alone.
  const [major = 0, minor = 0] = binding().libraryVersion().split('.').map(Number)
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
      // the next one may have it
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

/** The system's answer where a mount is left of which the serving process is gone. */
function isStale(error: unknown): boolean {
  return ['ENOTCONN', 'ECONNABORTED'].includes(systemCode(error) ?? '')
}

function staleMount(directory: string, cause: unknown): StowageError {
  return new StowageError(
    'IO_ERROR',
    `${directory} is a mount whose process is gone, and uncommitted changes are lost`,
    {
      hint: `Remove the mount: fusermount -u ${directory}, or as root umount ${directory}.`,
      cause,
    },
  )
}

/** Images that are mounted on it, one over the other. Source: proc(5), `/proc/PID/mountinfo`. */
async function mountsOn(directory: string): Promise<number> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  return mounts.split('\n').filter(line => {
    const place = line
      .split(' ')[4]
      ?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
    return place === directory && / - fuse\.wimfs /.test(line)
  }).length
}

/** Takes a mount away whatever is left of it. */
async function detach(directory: string): Promise<void> {
  const ways = [
    ['fusermount3', '-u', '-z'],
    ['fusermount', '-u', '-z'],
    ['umount', '-l'],
  ]
  for (const [program = '', ...options] of ways) {
    const child = spawn(program, [...options, directory], { stdio: 'ignore' })
    const status = await new Promise<number | null>(done => child.once('error', () => done(-1)).once('exit', done))
    if (status === 0) return
  }
}

function aborted(signal: AbortSignal): StowageError {
  return new StowageError('ABORTED', 'interrupted before the end', { cause: signal.reason })
}

/** `"a\n b\n"` as `a; b`. */
function lines(text: string): string {
  return text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .join('; ')
}
