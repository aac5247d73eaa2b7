/** A file that appears at its path only when complete: written under a temporary name, renamed at the end. */
import { randomUUID } from 'node:crypto'
import { type FileHandle, open, realpath, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileError, outputError, StowageError, systemCode } from '../errors.js'
import { EarlyFlush, PARTIAL, syncPath } from './durable.js'
import { openFiles } from './owner.js'
import { rename } from './rename.js'
import { clearLeft } from './workspace.js'

/** `<path>.partial`, open. It is deleted if disposed of before it is published, unless {@link PartialFile.keep} says otherwise. */
export class PartialFile implements AsyncDisposable {
  /** The final path. */
  readonly path: string
  /** The temporary path. */
  readonly partial: string
  readonly file: FileHandle
  /** Whether it is what a killed run has left. */
  readonly resumed: boolean
  readonly #what: string
  readonly #flush: EarlyFlush
  /** Device and inode, to check that the path still names this file. */
  readonly #identity: string
  #state: 'open' | 'closed' | 'published' = 'open'
  #keep: boolean

  /**
   * `what` is what messages call the file: `a bundle`. A temporary file left by an earlier run is deleted, unless the
   * caller can `resume` it. Throws OUTPUT_EXISTS if `path` exists, FILE_NOT_FOUND if its directory does not.
   */
  static async open(
    path: string,
    what: string,
    { resume = false, partial = `${path}${PARTIAL}` } = {},
  ): Promise<PartialFile> {
    await refuseExisting(path, what)
    await clearLeft(path).catch(() => undefined) // of a directory that is not there, which is reported next
    try {
      const resumed = resume && (await takeOver(partial))
      if (!resumed) await rm(partial, { force: true })
      const file = await open(partial, resumed ? 'r+' : 'wx+')
      const { dev, ino } = await file.stat({ bigint: true })
      return new PartialFile({ path, partial, what, file, resumed, identity: `${dev} ${ino}` })
    } catch (error) {
      throw outputError(error, path)
    }
  }

  private constructor(
    of: Pick<PartialFile, 'path' | 'partial' | 'file' | 'resumed'> & { what: string; identity: string },
  ) {
    this.path = of.path
    this.partial = of.partial
    this.#what = of.what
    this.file = of.file
    this.#flush = new EarlyFlush(of.file)
    this.resumed = of.resumed
    this.#identity = of.identity
    this.#keep = of.resumed
  }

  /** So many more bytes are in the file. Throws the system's error if what was written before did not reach the medium. */
  written(size: number): void {
    this.#flush.add(size)
  }

  /** Whether disposing of it before it is published leaves it. By default, if an earlier run has left it. */
  keep(left: boolean): void {
    this.#keep = left
  }

  /**
   * Syncs the file and renames it to `path`. `check` looks at what is on the medium before that, and throws to prevent
   * it. Throws OUTPUT_EXISTS if another process was faster.
   */
  async publish(check?: () => Promise<void>): Promise<void> {
    try {
      await this.#flush.end()
      await this.file.sync()
      await check?.()
      if (!(await this.#isOurs())) {
        throw new StowageError('OUTPUT_EXISTS', `${this.partial} was replaced while it was being written`, {
          hint: `Another command is writing there: wait for it to finish, or name another output.`,
        })
      }
      await refuseExisting(this.path, this.#what)
      await this.#close() // Windows does not rename an open file
      await rename(this.partial, this.path)
      try {
        await syncPath(dirname(this.path), 'directory')
      } catch (error) {
        await rename(this.path, this.partial).catch(() => (this.#state = 'published')) // then it is whole at least
        throw error
      }
      this.#state = 'published'
    } catch (error) {
      throw fileError(error, this.path)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'published') return
    const ours = await this.#isOurs() // before closing it, after which its inode could be reused
    await this.#close()
    if (ours && !this.#keep) await rm(this.partial, { force: true })
  }

  async #close(): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closed'
    // What the medium has lost may still be in the page cache, where the next run would find it
    await this.#flush.end().catch(() => (this.#keep = false))
    await this.file.close()
  }

  /** Whether the temporary path still names our file: another command with the same output replaces it. */
  async #isOurs(): Promise<boolean> {
    try {
      const { dev, ino } = await stat(this.partial, { bigint: true })
      return `${dev} ${ino}` === this.#identity
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false
      throw fileError(error, this.partial)
    }
  }
}

/** Whether there is a file `partial` that no process writes to any more, and this is the only one to take it. */
async function takeOver(partial: string): Promise<boolean> {
  const found = await stat(partial).catch(() => undefined)
  if (!found?.isFile() || found.size === 0) return false
  const open = await openFiles()
  if (!open || open.has(await realpath(partial))) return false
  const own = `${partial}.${randomUUID()}`
  try {
    await rename(partial, own)
    await rename(own, partial)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/** Throws OUTPUT_EXISTS if `path` exists; `what` is what the message calls it: `a bundle`. */
export async function refuseExisting(path: string, what: string): Promise<void> {
  try {
    await stat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw fileError(error, path)
  }
  throw new StowageError('OUTPUT_EXISTS', `${path} exists already`, {
    hint: `Delete it, or name another output: ${what} is never overwritten.`,
  })
}
