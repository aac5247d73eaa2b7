/** Modules that tests start as programs, or name in one. */
import { extname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')

/** The file of the module `path`, from the root and without its extension: compiled if this module is, as for another processor. */
export function moduleFile(path: string): string {
  return join(ROOT, `${path}${extname(import.meta.filename)}`)
}
