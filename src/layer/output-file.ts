/** Writes a layer or a WIM to a new file atomically, by way of a temporary file beside it, or to standard output. */
import { randomUUID } from 'node:crypto'
import type { Stats } from 'node:fs'
import { link, lstat, open, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { StandardOutput } from '../archive/standard-output.js'
import { STANDARD_STREAM } from '../archive/standard-stream.js'
import { PARTIAL } from '../blob/durable.js'
import { rename } from '../blob/rename.js'
import { abortError, fileError, outputError, StowageError, systemCode } from '../errors.js'
import type { WaitOptions } from '../progress.js'

export interface LayerFileOptions extends WaitOptions {
  /** Replace an existing output when the new one is complete. Undefined if the caller has no such option. */
  readonly force?: boolean | undefined
  /** Files that are read. The output must not be one of them. */
  readonly inputs: readonly string[]
}

/** Where to write: from `offset` of the file on. */
interface Target {
  readonly path: string
  readonly offset: number
}

/**
 * Calls `make` to write a layer to a temporary file, which then becomes `output`, or goes to standard output if that is
 * `-`. Throws OUTPUT_EXISTS unless `force`, INVALID_ARGUMENT if standard output is a terminal, and what `make` throws.
 */
export async function writeLayerFile<T>(
  output: string,
  { force, inputs, ...waiting }: LayerFileOptions,
  make: (target: Target) => Promise<T>,
): Promise<T> {
  if (output === STANDARD_STREAM) return await writeToStream(make, waiting)
  await checkOutput(inputs, output, force)
  const partial = join(dirname(output), `${basename(output).slice(0, 40)}.${randomUUID().slice(0, 8)}${PARTIAL}`)
  try {
    await (await open(partial, 'wx')).close()
    const result = await make({ path: partial, offset: 0 })
    await (force ? rename(partial, output) : placeNew(partial, output, force))
    return result
  } catch (error) {
    throw abortError(outputError(error, output), waiting.signal)
  } finally {
    await rm(partial, { force: true }).catch(() => undefined) // must not hide an earlier error
  }
}

async function writeToStream<T>(make: (target: Target) => Promise<T>, waiting: WaitOptions): Promise<T> {
  await using output = await StandardOutput.open(waiting)
  try {
    const result = await make({ path: output.partial, offset: 0 })
    await output.publish()
    return result
  } catch (error) {
    throw abortError(outputError(error, 'standard output'), waiting.signal)
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
