/** Fetches the WIM of a base OS image for one use. A later run goes on from what an interrupted one has fetched. */
import { lstat, open, realpath, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { makeDirectory, PARTIAL } from '../blob/durable.js'
import { withLock } from '../blob/lock.js'
import { directoryFor, Workspace } from '../blob/workspace.js'
import { fileError, StowageError, systemCode } from '../errors.js'
import { type CatalogWim, type FetchedWim, withFetched } from './fetch-wim.js'
import { saveImage, type SaveOptions, wimName } from './save.js'

/** Where a WIM may be kept while it is used. */
export interface WimPlace {
  /** The output, beside which there is room; by default, the directory for temporary files. */
  readonly beside?: string | undefined
  /** A directory in which `use` saves the same WIM. */
  readonly savedTo?: string | undefined
}

/**
 * Calls `use` with the WIM, which is temporary, whole and checked. It is in {@link directoryFor} `beside`: if its source
 * states the sha256, as `<Name>-<a-b-c-d>.wim.partial`, which an interruption leaves, also one of `use`; else, or if that name is taken, in a
 * {@link Workspace}. Throws what {@link saveImage} and `use` throw.
 */
export async function withWim<T>(
  entry: CatalogWim,
  { beside, savedTo }: WimPlace,
  { signal, onProgress, ...settings }: SaveOptions,
  use: (wim: FetchedWim) => Promise<T>,
): Promise<T> {
  const options = { ...settings, force: false, verify: false, shared: true, signal, onProgress }
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
      if ((await isOurs(`${path}${PARTIAL}`)) && !(await isSame(place.directory, savedTo)))
        return await withLock(`${path}.lock`, fetch, { signal, onProgress, wait: 0 })
    } catch (error) {
      if (begun || (error instanceof StowageError && error.code === 'ABORTED')) throw error
    }
  }
  await using workspace = new Workspace(beside)
  const saved = await saveImage(entry, await workspace.path(), options)
  return await use({ path: saved.path, size: saved.size ?? 0, sha256: saved.sha256 ?? '', resumed: 0 })
}

/** {@link directoryFor}, which is made now: once the output is there, it would be another one. Removed again if nothing is in it. */
async function lastingPlace(beside: string | undefined): Promise<AsyncDisposable & { readonly directory: string }> {
  const parent = beside === undefined ? undefined : dirname(resolve(beside))
  const made: string[] = []
  for (let at = parent; at !== undefined && !(await lstat(at).catch(() => undefined)); at = dirname(at)) made.push(at)
  const remove = async (): Promise<void> => {
    for (const path of made) await rmdir(path).catch(() => undefined) // it is not empty
  }
  try {
    if (parent !== undefined && made.length > 0) await makeDirectory(parent)
    return { directory: await directoryFor(beside), [Symbol.asyncDispose]: remove }
  } catch (error) {
    await remove()
    throw fileError(error, parent ?? '')
  }
}

async function isSame(directory: string, other: string | undefined): Promise<boolean> {
  const [one, two] = [directory, other].map(path => path && realpath(path).catch(() => resolve(path)))
  return (await one) === (await two)
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
