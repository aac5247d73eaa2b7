/** Files that are whole under their names, or not there. */
import { realpath, rename, rm, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { outputError, StowageError, systemCode } from '../errors.js'
import type { SplitOptions } from './options.js'

/** `write` makes the file beside `path`; it takes its place when it is whole. What is not a file is written as it stands. */
export async function writeBeside(path: string, write: (path: string) => Promise<unknown>): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw outputError(error, path)
    return undefined
  })
  if (found?.isDirectory()) {
    throw new StowageError('INVALID_ARGUMENT', `expected a file to write but ${path} is a directory`, {
      hint: `Name a file in it: ${path.replace(/\/+$/, '')}/${basename(path)}.wim`,
    })
  }
  if (found && !found.isFile()) {
    await write(path)
    return
  }
  const place = found ? await realpath(path) : path // a link stays one
  const partial = `${place}.${crypto.randomUUID()}.partial`
  try {
    await write(partial)
    await rename(partial, place)
  } catch (error) {
    await rm(partial, { force: true })
    throw named(outputError(error, path), partial, path)
  }
}

/** An error that names the file beside the place names the place instead: the other is gone. */
function named(error: unknown, partial: string, path: string): unknown {
  if (!(error instanceof StowageError) || !error.message.includes(partial)) return error
  const { code, message, hint, cause } = error
  return new StowageError(code, message.replaceAll(partial, path), { hint, cause })
}

/** `split` asks for the name of each part; they get the names that `partName` wants when the last is whole. */
export async function splitBeside(
  path: string,
  wanted: SplitOptions['partName'],
  split: (partName: SplitOptions['partName']) => Promise<unknown>,
): Promise<void> {
  const parts: { readonly partial: string; readonly path: string }[] = []
  const suffix = `.${crypto.randomUUID()}.partial`
  try {
    await split(async part => {
      const name = (await wanted?.(part)) ?? part.path
      parts.push({ partial: name + suffix, path: name })
      return name + suffix
    })
    for (const part of parts) await rename(part.partial, part.path)
  } catch (error) {
    for (const { partial } of parts) await rm(partial, { force: true })
    throw named(outputError(error, path), suffix, '')
  }
}
