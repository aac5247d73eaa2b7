/** Durable writes: a file appears under its name only when complete, and is synced before the call returns. */
import { mkdir, open, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'
import { rename } from './rename.js'

/** File name extension of a file that is still being written. */
export const PARTIAL = '.partial'

/**
 * Writes `bytes` to a temporary file and renames it to `path`. Throws errors such as NO_SPACE, and then leaves no file.
 */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const partial = `${path}${PARTIAL}`
  try {
    await writeSynced(partial, bytes)
    await rename(partial, path)
  } catch (error) {
    await removeLeavings(partial)
    throw fileError(error, path)
  }
}

/** Removes what a call leaves at `path`, if it can be removed: that is not what decides whether the call succeeds. */
export async function removeLeavings(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined)
}

/** Writes `bytes` to `path` and syncs them. */
export async function writeSynced(path: string, bytes: Uint8Array, mode = 0o666): Promise<void> {
  const file = await open(path, 'w', mode)
  try {
    await writeAll(file, bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Writes all of `bytes` at `position`: a single write call may write only some of them. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** Bytes after which {@link EarlyFlush} has them put on the medium. */
const FLUSHED = 32 * 1024 * 1024

/** Has a file put on its medium while it is written: the medium works from early on, and is soon done at the end. */
export class EarlyFlush {
  readonly #file: FileHandle
  #flushing: Promise<void> | undefined
  #unflushed = 0
  #failure: { readonly error: unknown } | undefined

  constructor(file: FileHandle) {
    this.#file = file
  }

  /** So many more bytes are written. Throws the system's error of an earlier flush: a later sync may not repeat it. */
  add(size: number): void {
    if (this.#failure) throw this.#failure.error
    this.#unflushed += size
    if (this.#flushing || this.#unflushed < FLUSHED) return
    this.#unflushed = 0
    this.#flushing = this.#file
      .datasync()
      .catch((error: unknown) => void (this.#failure = { error }))
      .finally(() => (this.#flushing = undefined))
  }

  /** Waits until the file can be closed; it is not synced. Throws as {@link add}. */
  async end(): Promise<void> {
    await this.#flushing
    if (this.#failure) throw this.#failure.error
  }
}

/**
 * Writes pieces one after another: while one is written, the next can be made. A piece must not change. The caller awaits
 * {@link PieceWriter.end} before it closes the file.
 */
export class PieceWriter {
  readonly #file: FileHandle
  #position: number
  #writing: Promise<void> = Promise.resolve()
  readonly #flush: EarlyFlush

  constructor(file: FileHandle, position = 0) {
    this.#file = file
    this.#flush = new EarlyFlush(file)
    this.#position = position
  }

  /** Resolves when the piece before this one is written. Throws the system's error of an earlier piece. */
  async add(piece: Uint8Array): Promise<void> {
    await this.#writing
    this.#writing = writeAll(this.#file, piece, this.#position)
    this.#writing.catch(() => undefined) // thrown by the next call
    this.#position += piece.length
    this.#flush.add(piece.length)
  }

  /** Waits for all that was added; it is not synced. Throws the system's error. */
  async end(): Promise<void> {
    const [written, flushed] = await Promise.allSettled([this.#writing, this.#flush.end()])
    for (const { reason } of [written, flushed].filter(each => each.status === 'rejected')) throw reason
  }
}

/** Syncs a file's bytes or a directory's entries. Windows and some FAT drivers cannot sync directories. */
export async function syncPath(path: string, type: 'file' | 'directory'): Promise<void> {
  try {
    const handle = await open(path, type === 'file' ? 'r+' : 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = systemCode(error) ?? ''
    if (type === 'directory' && ['EINVAL', 'ENOTSUP', 'EPERM', 'EISDIR', 'EACCES', 'EBADF'].includes(code)) return
    throw fileError(error, path)
  }
}

/**
 * Creates the directory `path` and its missing parents. Node's recursive `mkdir` never returns if directories cannot be
 * created, as in `/proc`; this function throws UNSUPPORTED.
 */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  const above = dirname(path)
  if ((await madeOrAbsent(path, mode)) || above === path) return
  await makeDirectory(above, mode)
  if (await madeOrAbsent(path, mode)) return
  throw new StowageError('UNSUPPORTED', `${path} cannot be created: ${above} cannot hold directories`, {
    hint: 'Name another output.',
  })
}

/** Creates the directory `path` unless it exists; false if its parent is missing. */
async function madeOrAbsent(path: string, mode: number): Promise<boolean> {
  if (await isDirectory(path)) return true
  try {
    await mkdir(path, mode)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST' && (await isDirectory(path))) return true // another process was faster
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false // creating it reports the reason
  }
}
