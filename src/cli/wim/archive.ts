/** Opens the WIM files that commands name, and resolves the image that an operand selects. */
import { readFile, stat } from 'node:fs/promises'
import { addAbortSignal } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { abortError, fileError, StowageError } from '../../errors.js'
import type { ImageNumber } from '../../wim/options.js'
import { decodeText } from '../../wim/text-file.js'
import { openWim, type WimFile } from '../../wim/wim-file.js'
import { count } from '../render.js'
import type { Session } from '../session.js'
import { watch } from './progress.js'

export interface ArchiveOptions {
  readonly check?: boolean | undefined
  readonly writeAccess?: boolean | undefined
  readonly ref?: readonly string[] | undefined
}

/**
 * Opens the WIM at `path` together with the files that --ref names. A WIM that is only read, or new, need not be
 * closed: it is freed faster when the process ends. With `writeAccess`, closing it waits for pending writes.
 */
export async function openWimArchive(
  path: string,
  { check, writeAccess, ref = [] }: ArchiveOptions,
  session: Session,
): Promise<WimFile> {
  const [checkIntegrity, job] = [check === true ? true : undefined, watch(session, path)]
  const wim = await openWim(path, { checkIntegrity, writeAccess, ...job })
  if (ref.length === 0) return wim
  try {
    await wim.referenceFiles(ref, { glob: true, errorIfNoMatch: true, checkIntegrity, ...job })
    return wim
  } catch (error) {
    await wim[Symbol.asyncDispose]()
    throw error
  }
}

/** The image that `selector` selects: a number, a name or `all`. Without `selector`, the only image of the WIM. */
export async function chooseWimImage(wim: WimFile, selector: string | undefined): Promise<ImageNumber> {
  if (selector !== undefined) return wim.resolveImage(selector)
  const { imageCount } = wim.info
  if (imageCount === 1) return 1
  throw new StowageError('INVALID_ARGUMENT', `${wim.path} holds ${count(imageCount, 'image')}: name one`, {
    hint: `"stowage wim info ${wim.path}" lists them.`,
  })
}

/** Like {@link chooseWimImage}, for commands that take one image: throws INVALID_ARGUMENT for `all`. */
export async function chooseOneImage(wim: WimFile, selector: string | undefined): Promise<number> {
  const image = await chooseWimImage(wim, selector)
  if (image !== 'all') return image
  throw new StowageError('INVALID_ARGUMENT', 'this command takes one image, not all: name one')
}

/** The text of a file, or of stdin if `path` is `-`. */
export async function readTextFile(path: string, signal: AbortSignal): Promise<string> {
  try {
    return decodeText(
      path === '-' ? await buffer(addAbortSignal(signal, process.stdin)) : await readFile(path, { signal }),
    )
  } catch (error) {
    throw abortError(fileError(error, path === '-' ? 'stdin' : path), signal)
  }
}

/** Throws INVALID_ARGUMENT if `output` is one of the `inputs`, which writing it would destroy. */
export async function refuseSameFile(output: string, inputs: readonly string[], option: string): Promise<void> {
  const existing = await stat(output, { bigint: true }).catch(() => undefined)
  if (!existing) return
  for (const input of inputs) {
    const other = await stat(input, { bigint: true }).catch(() => undefined)
    if (other?.ino !== existing.ino || other.dev !== existing.dev) continue
    throw new StowageError('INVALID_ARGUMENT', `${output} is ${option} itself and would be destroyed`, {
      hint: 'Name another file.',
    })
  }
}
