/** Writes files atomically. */
import { realpath, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { removeLeavings } from '../blob/durable.js'
import { rename } from '../blob/rename.js'
import { outputError, StowageError, systemCode } from '../errors.js'
import type { SplitOptions } from './options.js'

/**
 * Calls `write` with a temporary path beside `path`, and renames the file when it is complete. If `path` exists and is
 * not a regular file, it is written directly.
 */
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
  const target = found ? await realpath(path) : path // keeps a symbolic link
  const partial = `${target}.${crypto.randomUUID()}.partial`
  try {
    await write(partial)
    await rename(partial, target)
  } catch (error) {
    await removeLeavings(partial)
    throw withFinalName(outputError(error, path), partial, path)
  }
}

/** Replaces the temporary path in an error message with the final one. */
function withFinalName(error: unknown, partial: string, path: string): unknown {
  if (!(error instanceof StowageError) || !error.message.includes(partial)) return error
  const { code, message, hint, cause } = error
  return new StowageError(code, message.replaceAll(partial, path), { hint, cause })
}

/**
 * Calls `split` with a function that gives each part a temporary path. The parts are renamed to the paths that
 * `partName` returns when the last one is complete.
 */
export async function splitBeside(
  path: string,
  partName: SplitOptions['partName'],
  split: (partName: SplitOptions['partName']) => Promise<unknown>,
): Promise<void> {
  const parts: { readonly partial: string; readonly path: string }[] = []
  const suffix = `.${crypto.randomUUID()}.partial`
  try {
    await split(async part => {
      const name = (await partName?.(part)) ?? part.path
      parts.push({ partial: name + suffix, path: name })
      return name + suffix
    })
    for (const part of parts) await rename(part.partial, part.path)
  } catch (error) {
    for (const { partial } of parts) await removeLeavings(partial)
    throw withFinalName(outputError(error, path), suffix, '')
  }
}
