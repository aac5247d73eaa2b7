/** Finds the files of a WIM: one, or the parts of a split WIM in the same directory. */
import { open, readdir, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { fileError, StowageError, systemCode } from '../errors.js'
import { HEADER_SIZE, isWimHead, parseHeader, type WimHeader, WIM_MAGIC } from './header.js'

/**
 * All parts of the WIM that `path` belongs to, in order; `[path]` for a WIM with one part, or for a file that is not a
 * WIM (which opening it will report). Parts are identified by their headers: all files beside `path` whose names differ
 * only in digits are checked. Throws WIM_PART_MISSING naming the missing parts.
 */
export async function partsOf(path: string): Promise<string[]> {
  const own = await readOwnHeader(path)
  if (own === undefined || own.totalParts <= 1) return [path]
  const found = new Map<number, string>([[own.partNumber, path]])
  for (const name of await readdir(dirname(path))) {
    if (name === basename(path) || withoutNumber(name) !== withoutNumber(basename(path))) continue
    const candidate = join(dirname(path), name)
    const header = await readOtherHeader(candidate)
    if (header?.guid === own.guid && header.totalParts === own.totalParts && !found.has(header.partNumber)) {
      found.set(header.partNumber, candidate)
    }
  }
  const missing: number[] = []
  for (let part = 1; part <= own.totalParts; part += 1) if (!found.has(part)) missing.push(part)
  if (missing.length > 0) {
    const shown = missing.slice(0, 10).join(', ') + (missing.length > 10 ? ` and ${missing.length - 10} more` : '')
    throw new StowageError(
      'WIM_PART_MISSING',
      `${path} is part ${own.partNumber} of ${own.totalParts}; expected all parts next to it but part ${shown} is missing`,
      { hint: 'Copy all parts into one directory, under names that differ only in the number.' },
    )
  }
  return [...found.entries()].sort(([a], [b]) => a - b).map(([, part]) => part)
}

/** The name without its part number, which is the same for `install.swm` and `install2.swm`. */
function withoutNumber(name: string): string {
  const extension = extname(name)
  return (
    name
      .slice(0, name.length - extension.length)
      .replace(/\d+$/, '')
      .toLowerCase() + extension.toLowerCase()
  )
}

async function readOwnHeader(path: string): Promise<WimHeader | undefined> {
  try {
    const found = await stat(path)
    if (found.isDirectory()) {
      throw new StowageError('INVALID_ARGUMENT', `${path} is a directory, not a WIM`, {
        hint: `Name a WIM file. To make one of the directory: stowage wim capture ${path} FILE`,
      })
    }
    if (!found.isFile())
      throw new StowageError('INVALID_ARGUMENT', `${path} is not a regular file`, { hint: 'Name a WIM file.' })
    await expectWim(path)
    return await readHeader(path)
  } catch (error) {
    throw fileError(error, path)
  }
}

/** Throws UNSUPPORTED, saying what to do with it, if the file at `path` is known to be something else; NOT_A_WIM if it is empty. */
export async function expectWim(path: string): Promise<void> {
  try {
    await using file = await open(path)
    const read = async (at: number, size: number): Promise<Uint8Array> => {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, at)
      return buffer.subarray(0, bytesRead)
    }
    const head = await read(0, 512)
    if (isWimHead(head)) return
    const { otherThanWim } = await import('../tar/other-file.js')
    const other = await otherThanWim(path, head, read)
    const code = head.length === 0 ? 'NOT_A_WIM' : 'UNSUPPORTED'
    if (other) throw new StowageError(code, other.message, { hint: other.hint })
  } catch (error) {
    throw fileError(error, path)
  }
}

/** The header of another file in the directory. A file that cannot be read is not a part. */
async function readOtherHeader(path: string): Promise<WimHeader | undefined> {
  try {
    return (await stat(path)).isFile() ? await readHeader(path) : undefined
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return undefined
  }
}

/**
 * The header of a WIM that may have several parts; undefined for a pipable WIM, which has only one, and for other
 * files.
 */
async function readHeader(path: string): Promise<WimHeader | undefined> {
  await using file = await open(path)
  const bytes = Buffer.alloc(HEADER_SIZE)
  const { bytesRead } = await file.read(bytes, 0, HEADER_SIZE, 0)
  const header = parseHeader(bytes)
  return bytesRead === HEADER_SIZE && header.magic === WIM_MAGIC ? header : undefined
}
