/** Writes that last: whole under their name or not there at all, and on the medium before we say so. */
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'

/** The ending of a file that is still being written. */
export const PARTIAL = '.partial'

/** Writes `bytes` beside `path`, then renames. Throws NO_SPACE and the like; nothing is left then. */
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

/** Writes `bytes` to `path`, where they last. */
export async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w')
  try {
    await writeAll(file, bytes, 0)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** All of `bytes` at `position`: one write call may take only a part. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** Makes a file's bytes, or a directory's names, last. Windows and some FAT drivers cannot do it for directories. */
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
 * Makes the directory `path` and those above it that are not there. Node's own way never ends where nobody can make any, as in
 * `/proc`: there it throws UNSUPPORTED.
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

/** Whether `path` is a directory now; not where what is above it is not there. */
async function madeOrAbsent(path: string, mode: number): Promise<boolean> {
  if (await isDirectory(path)) return true
  try {
    await mkdir(path, mode)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST' && (await isDirectory(path))) return true // somebody else was faster
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false // making it says why
  }
}
