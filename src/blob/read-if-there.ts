/** Reads a text file that may not exist. */
import { readFile } from 'node:fs/promises'
import { fileError, systemCode } from '../errors.js'

/** The text of the file at `path`; undefined if it does not exist. Throws a {@link fileError} if it cannot be read. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined
    throw fileError(error, path)
  }
}
