/** A lock file: only one process at a time changes the files beside it. */
import { open, readFile, rm, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { abortError, fileError, StowageError, systemCode } from '../errors.js'
import { type WaitOptions, Waits } from '../progress.js'
import { removeLeavings } from './durable.js'

/** The holder of a lock refreshes it regularly: a lock older than this was left by a killed process. */
const STALE_MS = 30_000
const AGAIN_MS = 5_000
const WAIT_MS = 40_000
const PAUSE_MS = 25
const GOING_MS = 2_000

/** What is in a lock. */
const OWNER = /^process (\d+) on (.*)$/m

export interface LockOptions extends WaitOptions {
  /** How long to wait for another holder, in milliseconds; by default 40,000. */
  readonly wait?: number | undefined
}

/**
 * Runs `work` while holding the lock `path`. Waits for another holder; a lock whose process is gone, or that was not
 * refreshed for 30 s, is removed. Throws BUSY if the lock is not released in time.
 */
export async function withLock<T>(path: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  await acquire(path, options)
  const held = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => undefined) // if the medium was removed, `work` reports it
  }, AGAIN_MS)
  try {
    return await work()
  } finally {
    clearInterval(held)
    await removeLeavings(path) // what stays is stale once this process has ended
  }
}

async function acquire(path: string, { wait = WAIT_MS, signal, onProgress }: LockOptions): Promise<void> {
  using _wait = new Waits(onProgress, path).begin('lock')
  const begin = Date.now()
  const deadline = begin + wait
  for (;;) {
    try {
      const file = await open(path, 'wx')
      try {
        await file.writeFile(`process ${process.pid} on ${hostname()}\n`)
      } catch (error) {
        await removeLeavings(path) // on a full disk the lock would not name its owner
        throw error
      } finally {
        await file.close()
      }
      return
    } catch (error) {
      if (systemCode(error) !== 'EEXIST' && !isGoing(error, begin)) throw fileError(error, path)
    }
    if (await isStale(path)) {
      await remove(path)
      continue
    }
    if (Date.now() >= deadline) {
      throw new StowageError('BUSY', `${path} has been held by another process for more than ${wait / 1000} s`, {
        hint: 'Wait for the other stowage command; if none runs, delete the file.',
      })
    }
    try {
      await sleep(PAUSE_MS, undefined, { signal })
    } catch (error) {
      throw abortError(error, signal)
    }
  }
}

/** On Windows, a file that was removed while another process reads it has its name for a moment longer, and cannot be opened. */
function isGoing(error: unknown, begin: number): boolean {
  const refused = ['EPERM', 'EACCES', 'EBUSY'].includes(systemCode(error) ?? '')
  return process.platform === 'win32' && refused && Date.now() - begin < GOING_MS
}

/** Whether the file `path` is a lock, and whether its holder is gone. */
export async function inspectLock(path: string): Promise<'held' | 'stale' | undefined> {
  if (!OWNER.test(await readFile(path, 'utf8'))) return undefined
  return (await isStale(path)) ? 'stale' : 'held'
}

/** Removes the lock `path`, unless it is held again. Throws PERMISSION_DENIED and the like. */
export async function removeStaleLock(path: string): Promise<void> {
  if (await isStale(path)) await remove(path)
}

async function remove(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error: unknown) => {
    throw fileError(error, path)
  })
}

async function isStale(path: string): Promise<boolean> {
  try {
    const [, id, machine] = OWNER.exec(await readFile(path, 'utf8')) ?? []
    if (machine === hostname() && !isAlive(Number(id))) return true
    return Date.now() - (await stat(path)).mtimeMs > STALE_MS
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw fileError(error, path)
  }
}

/** Whether a process with this ID runs on this machine. */
export function isAlive(id: number): boolean {
  try {
    process.kill(id, 0)
    return true
  } catch (error) {
    return systemCode(error) !== 'ESRCH'
  }
}
