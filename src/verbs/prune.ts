/** Prune: removes temporary files left behind by runs that were killed or whose medium was unplugged. */
import { readdir, realpath, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { inspectLock, removeStaleLock } from '../blob/lock.js'
import { openFiles } from '../blob/owner.js'
import { leftPartials } from '../blob/partial.js'
import { findWorkspaces, type FoundWorkspace, removeWorkspace, temporaryDirectory } from '../blob/workspace.js'
import { fileError, orError, StowageError, systemCode } from '../errors.js'
import { type WaitOptions, Waits } from '../progress.js'
import { defaultStore } from '../transport/default-store.js'

export interface PruneOptions extends WaitOptions {
  /** Only report what would be removed. */
  readonly dryRun?: boolean | undefined
}

/** One workspace that was found. `kept`: its run is still active; `error`: why it could not be removed. */
export interface PrunedWorkspace extends FoundWorkspace {
  readonly kept: boolean
  readonly error?: StowageError
}

/** A file that was not finished: a part of a blob in a layout, an output under its temporary name, or the lock of one. */
export interface PrunedFile {
  readonly path: string
  /** In bytes. */
  readonly size: number
  /** A process has it open or holds it, or it was changed so lately that one on another machine may. */
  readonly kept: boolean
  readonly error?: StowageError
}

export interface PruneResult {
  readonly workspaces: readonly PrunedWorkspace[]
  readonly files: readonly PrunedFile[]
  /** The bytes that were freed, or would be. */
  readonly freed: number
}

/** Outputs that are still being written: bundles, volumes and what lies beside them, archives, WIM files, lists of layouts. */
const UNFINISHED =
  /(?:^oci-layout|^index\.json|\.(?:tar(?:\.(?:gz|zst|xz|0\d+))?|(?:wim|swm|esd)(?:\.mended)?|sha256|volume-\d+\.json))\.partial$/i
/** Locks of a WIM that is fetched or split, of a set of volumes, and of a layout. */
const LOCK = /(?:\.(?:wim|swm|esd)|^stowage-.+|^\.stowage)\.lock$/i
/** Where other processes cannot be looked at, an unfinished output that nobody changed for this long is abandoned. */
const ABANDONED_MS = 24 * 60 * 60 * 1000

/**
 * Removes the temporary files of other runs from `directories`, and from the layouts that they are; defaults to the
 * directory for temporary files, the default store and its parent. Keeps those of processes that are still running on
 * this host; removes workspaces of other hosts regardless of age. Throws FILE_NOT_FOUND for a directory that does not
 * exist, and ABORTED.
 */
export async function prune(directories: readonly string[] = [], options: PruneOptions = {}): Promise<PruneResult> {
  const { dryRun = false, signal, onProgress } = options
  const workspaces: PrunedWorkspace[] = []
  const files: PrunedFile[] = []
  const usual = directories.length === 0
  const store = defaultStore()
  for (const directory of usual ? [await temporaryDirectory(), dirname(store), store] : directories) {
    using _wait = new Waits(onProgress, directory).begin('scan')
    const remove = async (kept: boolean, work: () => Promise<void>): Promise<{ readonly error?: StowageError }> => {
      signal?.throwIfAborted()
      const done = kept || dryRun ? undefined : await orError(work, signal)
      return done instanceof StowageError ? { error: done } : {}
    }
    for (const found of await foundIn(directory, usual)) {
      const kept = found.state === 'alive'
      workspaces.push({ ...found, kept, ...(await remove(kept, async () => await removeWorkspace(found.path))) })
    }
    for (const found of await unfinishedIn(directory))
      files.push({ ...found, ...(await remove(found.kept, async () => await removeFile(found.path))) })
    for (const found of await locksIn(directory))
      files.push({ ...found, ...(await remove(found.kept, async () => await removeStaleLock(found.path))) })
  }
  const gone = [...workspaces, ...files].filter(({ kept, error }) => !kept && !error)
  return { workspaces, files, freed: gone.reduce((sum, { size }) => sum + size, 0) }
}

/** `mayBeMissing`: a default directory, which need not exist. */
async function foundIn(directory: string, mayBeMissing: boolean): Promise<readonly FoundWorkspace[]> {
  try {
    return await findWorkspaces(directory)
  } catch (error) {
    if (mayBeMissing && error instanceof StowageError && error.code === 'FILE_NOT_FOUND') return []
    throw error
  }
}

async function unfinishedIn(directory: string): Promise<readonly Omit<PrunedFile, 'error'>[]> {
  const blobs = await orNone(directory, async () => await leftPartials(join(directory, 'blobs', 'sha256')))
  const names = await orNone(directory, async () => await readdir(directory))
  const unfinished = names.filter(name => UNFINISHED.test(name)).map(name => join(directory, name))
  const open = unfinished.length > 0 ? await openFiles() : undefined
  const outputs = []
  for (const path of unfinished) {
    const found = await stat(path).catch(() => undefined) // its run has finished it
    if (!found?.isFile()) continue
    const kept = open ? open.has(await realpath(path)) : Date.now() - found.mtimeMs < ABANDONED_MS
    outputs.push({ path, size: found.size, kept })
  }
  return [...blobs.map(blob => ({ ...blob, kept: false })), ...outputs]
}

async function locksIn(directory: string): Promise<readonly Omit<PrunedFile, 'error'>[]> {
  const names = await orNone(directory, async () => await readdir(directory))
  const locks = []
  for (const path of names.filter(name => LOCK.test(name)).map(name => join(directory, name))) {
    const state = await inspectLock(path).catch(() => undefined) // its run has released it, or it is another user's
    if (state) locks.push({ path, size: 0, kept: state === 'held' })
  }
  return locks
}

async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error: unknown) => {
    throw fileError(error, path)
  })
}

async function orNone<T>(directory: string, list: () => Promise<readonly T[]>): Promise<readonly T[]> {
  try {
    return await list()
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return []
    throw fileError(error, directory)
  }
}
