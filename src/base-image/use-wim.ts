/** Fetches the WIM of a base OS image for one use. A later run goes on from what an interrupted one has fetched. */
import { lstat, open, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { makeDirectory, PARTIAL } from '../blob/durable.js'
import { withLock } from '../blob/lock.js'
import { directoryFor, Workspace } from '../blob/workspace.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { type FetchedWim, saveImage, type SaveOptions, type CatalogWim, wimName, withFetched } from './save.js'

/**
 * Calls `use` with the WIM, which is temporary, whole and checked. It is in {@link directoryFor} `beside`: if its source
 * states the sha256, as `<Name>-<a-b-c-d>.wim.partial`, which an interruption leaves, also one of `use`; else, or if another process is fetching
 * the same WIM, in a {@link Workspace}. Throws what {@link saveImage} and `use` throw.
 */
export async function withWim<T>(
  entry: CatalogWim,
  beside: string | undefined,
  { signal, onProgress, ...settings }: SaveOptions,
  use: (wim: FetchedWim) => Promise<T>,
): Promise<T> {
  const options = { ...settings, force: false, verify: false, signal, onProgress }
  if (entry.content.sha256 !== undefined) {
    await using place = await lastingPlace(beside)
    const path = join(place.directory, wimName(entry))
    let begun = false
    const fetch = async (): Promise<T> => {
      begun = true
      return await withFetched(entry, path, options, async wim => {
        await using _open = await open(wim.path, 'r') // prune leaves what is open
        return await use(wim)
      })
    }
    try {
      if (await isOurs(`${path}${PARTIAL}`))
        return await withLock(`${path}.lock`, fetch, { signal, onProgress, wait: 0 })
    } catch (error) {
      if (begun || !(error instanceof StowageError && error.code === 'BUSY')) throw error
    }
  }
  await using workspace = new Workspace(beside)
  const saved = await saveImage(entry, await workspace.path(), options)
  return await use({ path: saved.path, size: saved.size ?? 0, sha256: saved.sha256 ?? '', resumed: 0 })
}

/** {@link directoryFor}, which is made now: once the output is there, it would be another one. Removed again if nothing is in it. */
async function lastingPlace(beside: string | undefined): Promise<AsyncDisposable & { readonly directory: string }> {
  const parent = beside === undefined ? undefined : dirname(resolve(beside))
  const missing = parent !== undefined && !(await lstat(parent).catch(() => undefined))
  if (missing) {
    await makeDirectory(parent).catch((error: unknown) => {
      throw fileError(error, parent)
    })
  }
  return {
    directory: await directoryFor(beside),
    async [Symbol.asyncDispose]() {
      if (missing) await rmdir(parent).catch(() => undefined) // it is not empty
    },
  }
}

/** Whether `path` is free or a file of this user: anyone can write to a directory for temporary files. */
async function isOurs(path: string): Promise<boolean> {
  try {
    const found = await lstat(path)
    return found.isFile() && found.nlink === 1 && (process.getuid === undefined || found.uid === process.getuid())
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return true
    throw fileError(error, path)
  }
}
