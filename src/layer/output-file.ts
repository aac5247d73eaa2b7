/** Writes a layer to a new file atomically: to a temporary file beside it, which is then renamed. */
import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { link, lstat, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { PARTIAL } from '../blob/durable.js'
import { abortError, fileError, outputError, StowageError, systemCode } from '../errors.js'

export interface LayerFileOptions {
  /** Replace an existing output when the new one is complete. Undefined if the caller has no such option. */
  readonly force?: boolean | undefined
  /** Files that are read. The output must not be one of them. */
  readonly inputs: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/**
 * Calls `make` to write a layer to a temporary file, which then becomes `output`. Throws OUTPUT_EXISTS unless `force`,
 * and what `make` throws.
 */
export async function writeLayerFile<T>(
  output: string,
  { force, inputs, signal }: LayerFileOptions,
  make: (target: { readonly path: string; readonly offset: number }) => Promise<T>,
): Promise<T> {
  await checkOutput(inputs, output, force)
  const partial = join(dirname(output), `${basename(output).slice(0, 40)}.${randomUUID().slice(0, 8)}${PARTIAL}`)
  try {
    await (await open(partial, 'wx')).close()
    const result = await make({ path: partial, offset: 0 })
    await (force ? rename(partial, output) : placeNew(partial, output, force))
    return result
  } catch (error) {
    throw abortError(outputError(error, output), signal)
  } finally {
    await rm(partial, { force: true }).catch(() => undefined) // must not hide an earlier error
  }
}

/** Checks before any work that the output is a new file or, with `force`, a regular file that is not an input. */
async function checkOutput(inputs: readonly string[], output: string, force: boolean | undefined): Promise<void> {
  if (output === '') throw new StowageError('INVALID_ARGUMENT', 'the output has no name')
  let found: Stats
  try {
    found = await lstat(output)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return
    throw fileError(error, output)
  }
  if (!found.isFile()) {
    throw new StowageError('INVALID_ARGUMENT', `${output} exists and is not a regular file`, {
      hint: 'Name a regular file.',
    })
  }
  if (!force) throw occupied(output, force)
  for (const input of inputs) {
    const { dev, ino } = await stat(input)
    if (dev !== found.dev || ino !== found.ino) continue
    throw new StowageError('INVALID_ARGUMENT', `${output} is also an input file`, { hint: 'Name another output.' })
  }
}

/** Renames `partial` to `output` unless that exists by now. Without hard links (FAT), this check is not atomic. */
async function placeNew(partial: string, output: string, force: boolean | undefined): Promise<void> {
  try {
    await link(partial, output)
  } catch (error) {
    if (systemCode(error) === 'EEXIST') throw occupied(output, force)
    await rename(partial, output)
  }
}

function occupied(output: string, force: boolean | undefined): StowageError {
  return new StowageError('OUTPUT_EXISTS', `${output} exists already`, {
    hint:
      force === undefined
        ? 'Choose another name, or remove it first.'
        : 'Choose another name, or overwrite it with --force.',
  })
}
