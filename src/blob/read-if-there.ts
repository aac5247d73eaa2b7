/** A text file that need not exist. */
import { readFile } from 'node:fs/promises'
import { fileError, systemCode } from '../errors.js'

/** The text of the file at `path`; undefined if there is none. Throws as {@link fileError} for one that cannot be read. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fileError(error, path)
  }
}
