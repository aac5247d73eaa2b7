/** Opening WIM files as commands name them, and choosing an image of one. */
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
 * Opens the WIM at `path`, with the files that --ref names. What is only read, or new, needs no closing: the end of
 * the process frees it in less time. With `writeAccess`, closing waits for what is being written.
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

/** The image that `word` names; without it the only one. `all` is for commands that can do with it. */
export async function chooseWimImage(wim: WimFile, word: string | undefined): Promise<ImageNumber> {
  if (word !== undefined) return wim.resolveImage(word)
  const { imageCount } = wim.info
  if (imageCount === 1) return 1
  throw new StowageError('INVALID_ARGUMENT', `${wim.path} holds ${count(imageCount, 'image')}: name one`, {
    hint: `"stowage wim info ${wim.path}" lists them.`,
  })
}

/** As {@link chooseWimImage}, for what can be done with one image only. */
export async function chooseOneImage(wim: WimFile, word: string | undefined): Promise<number> {
  const image = await chooseWimImage(wim, word)
  if (image !== 'all') return image
  throw new StowageError('INVALID_ARGUMENT', 'this command takes one image, not all: name one')
}

/** The text of a file, or of stdin where `path` is `-`. */
export async function readTextFile(path: string, signal: AbortSignal): Promise<string> {
  try {
    return decodeText(
      path === '-' ? await buffer(addAbortSignal(signal, process.stdin)) : await readFile(path, { signal }),
    )
  } catch (error) {
    throw abortError(fileError(error, path === '-' ? 'stdin' : path), signal)
  }
}

/** Throws if `output` is one of the files `inputs`, which writing it would destroy. */
export async function refuseSameFile(output: string, inputs: readonly string[], option: string): Promise<void> {
  const there = await stat(output, { bigint: true }).catch(() => undefined)
  if (!there) return
  for (const input of inputs) {
    const other = await stat(input, { bigint: true }).catch(() => undefined)
    if (other?.ino !== there.ino || other.dev !== there.dev) continue
    throw new StowageError('INVALID_ARGUMENT', `${output} is ${option} itself and would be destroyed`, {
      hint: 'Name another file.',
    })
  }
}
