/** Lists the files that an images file adds to a bundle. */
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isBundlePath } from '../bundle/manifest.js'
import { fileError, StowageError } from '../errors.js'

/**
 * The file `from` with the path `to`, or every file below the directory `from`, sorted. Throws FILE_NOT_FOUND, and
 * INVALID_ARGUMENT for a link or a device.
 */
export async function listFiles(
  from: string,
  to: string,
): Promise<readonly { readonly from: string; readonly path: string }[]> {
  try {
    // The path itself may be a link, but not a file in a directory, because it could lead anywhere
    const found = await stat(from)
    if (found.isFile()) return [{ from, path: to }]
    if (!found.isDirectory()) throw new StowageError('INVALID_ARGUMENT', `${from} is neither a file nor a directory`)
    const files = await below(from, to)
    if (files.length === 0) throw new StowageError('INVALID_ARGUMENT', `${from} is a directory without files`)
    return files
  } catch (error) {
    throw fileError(error, from)
  }
}

async function below(from: string, to: string): Promise<readonly { readonly from: string; readonly path: string }[]> {
  const files: { from: string; path: string }[] = []
  for (const name of (await readdir(from)).sort()) {
    const [source, path] = [join(from, name), `${to}/${name}`]
    const found = await lstat(source)
    if (found.isDirectory()) files.push(...(await below(source, path)))
    else if (!found.isFile() || !isBundlePath(path))
      throw new StowageError(
        'INVALID_ARGUMENT',
        `${source} is ${found.isFile() ? 'not a valid name in a bundle' : 'a link or a device, not a regular file'}`,
      )
    else files.push({ from: source, path })
  }
  return files
}
