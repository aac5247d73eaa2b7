/** One file that is at its path whole, or not at all: written beside it, renamed at the end. */
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileError, outputError, StowageError, systemCode } from '../errors.js'
import { PARTIAL, syncPath } from './durable.js'

/** `<path>.partial`, open. Disposed before it is published, it is gone. */
export class PartialFile implements AsyncDisposable {
  /** Where it will stand. */
  readonly path: string
  /** Where it stands until then. */
  readonly partial: string
  readonly file: FileHandle
  readonly #what: string
  /** Device and inode, to know it again by its name. */
  readonly #identity: string
  #state: 'open' | 'closed' | 'published' = 'open'

  /**
   * `what` is what messages call such a file: `a bundle`. What a killed run left there goes: nothing in it can be used. Throws
   * OUTPUT_EXISTS if something is at `path`, FILE_NOT_FOUND if its directory is not there.
   */
  static async open(path: string, what: string): Promise<PartialFile> {
    await refuseExisting(path, what)
    try {
      await rm(`${path}${PARTIAL}`, { force: true })
      const file = await open(`${path}${PARTIAL}`, 'wx+')
      const { dev, ino } = await file.stat({ bigint: true })
      return new PartialFile(path, what, file, `${dev} ${ino}`)
    } catch (error) {
      throw outputError(error, path)
    }
  }

  private constructor(path: string, what: string, file: FileHandle, identity: string) {
    this.path = path
    this.partial = `${path}${PARTIAL}`
    this.#what = what
    this.file = file
    this.#identity = identity
  }

  /** Makes it last and gives it its name. Throws OUTPUT_EXISTS if somebody else was faster. */
  async publish(): Promise<void> {
    try {
      await this.file.sync()
      if (!(await this.#isOurs())) {
        throw new StowageError('OUTPUT_EXISTS', `${this.partial} was replaced while it was being written`, {
          hint: `Another command is writing there: wait for it to finish, or name another output.`,
        })
      }
      await refuseExisting(this.path, this.#what)
      await this.#close() // Windows does not rename an open file
      await rename(this.partial, this.path)
      this.#state = 'published'
      await syncPath(dirname(this.path), 'directory')
    } catch (error) {
      throw fileError(error, this.path)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'published') return
    const ours = await this.#isOurs() // before its inode can be another file's
    await this.#close()
    if (ours) await rm(this.partial, { force: true })
  }

  async #close(): Promise<void> {
    if (this.#state !== 'open') return
    this.#state = 'closed'
    await this.file.close()
  }

  /** Whether the file of that name is still the one we write: another command for the same output takes its name over. */
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

async function refuseExisting(path: string, what: string): Promise<void> {
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
