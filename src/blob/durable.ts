/** Durable writes: a file appears under its name only when complete, and is synced before the call returns. */
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'

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
    await rm(partial, { force: true })
    throw fileError(error, path)
  }
}

/** Writes `bytes` to `path` and syncs them. */
export async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w')
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
