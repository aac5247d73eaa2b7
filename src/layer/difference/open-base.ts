/** Opens the base of a layer from the files that the user names: layers, or a WIM. */
import { open } from 'node:fs/promises'
import { fileError, StowageError } from '../../errors.js'
import { PIPABLE_MAGIC, WIM_MAGIC } from '../../wim/header.js'
import { openWim } from '../../wim/wim-file.js'
import { openLayer } from '../read/read-layer.js'
import type { LayerBase } from './base-tree.js'

/** A base that the caller disposes of. */
export interface OpenBase extends AsyncDisposable {
  readonly base: LayerBase
}

/**
 * Opens the base in `paths`: layers, lowest first, or one WIM, or any part of a split one; `image` selects its image.
 * Throws FILE_NOT_FOUND, INVALID_ARGUMENT, and what {@link openWim} throws.
 */
export async function openBase(paths: readonly string[], image?: string | number): Promise<OpenBase> {
  const wims: string[] = []
  for (const path of paths) if (await isWim(path)) wims.push(path)
  const [path] = wims
  if (path === undefined) {
    if (image !== undefined) {
      throw new StowageError('INVALID_ARGUMENT', '--base-image names an image, but the base is not a WIM', {
        hint: 'Leave it out, or name a WIM with --base.',
      })
    }
    const layers = paths.map(name => ({ name, open: async () => await openLayer(name) }))
    return { base: { type: 'layers', layers }, [Symbol.asyncDispose]: async () => undefined }
  }
  if (paths.length > 1) {
    throw new StowageError('INVALID_ARGUMENT', `the base is ${path}, a WIM, and ${paths.length - 1} more`, {
      hint: 'Name one WIM with --base, or only layers, lowest first.',
    })
  }
  const wim = await openWim(path)
  return { base: { type: 'wim', wim, image }, [Symbol.asyncDispose]: async () => await wim[Symbol.asyncDispose]() }
}

async function isWim(path: string): Promise<boolean> {
  if (path === '-') {
    throw new StowageError('INVALID_ARGUMENT', 'the base cannot be standard input', {
      hint: 'Write it to a file first.',
    })
  }
  try {
    await using file = await open(path)
    const { bytesRead, buffer } = await file.read(Buffer.alloc(WIM_MAGIC.length), 0, WIM_MAGIC.length, 0)
    const magic = buffer.toString('latin1', 0, bytesRead)
    return magic === WIM_MAGIC || magic === PIPABLE_MAGIC
  } catch (error) {
    throw fileError(error, path)
  }
}
