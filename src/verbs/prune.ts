/** Prune: removes temporary files left behind by runs that were killed or whose medium was unplugged. */
import { dirname } from 'node:path'
import { findWorkspaces, type FoundWorkspace, removeWorkspace, temporaryDirectory } from '../blob/workspace.js'
import { orError, StowageError } from '../errors.js'
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

export interface PruneResult {
  readonly workspaces: readonly PrunedWorkspace[]
  /** The bytes that were freed, or would be. */
  readonly freed: number
}

/**
 * Removes the temporary files of other runs from `directories`; defaults to the directory for temporary files and the
 * parent of the default store. Keeps those of processes that are still running on this host; removes those of other
 * hosts regardless of age. Throws FILE_NOT_FOUND for a directory that does not exist, and ABORTED.
 */
export async function prune(directories: readonly string[] = [], options: PruneOptions = {}): Promise<PruneResult> {
  const { dryRun = false, signal, onProgress } = options
  const workspaces: PrunedWorkspace[] = []
  const usual = directories.length === 0
  for (const directory of usual ? [await temporaryDirectory(), dirname(defaultStore())] : directories) {
    using _wait = new Waits(onProgress, directory).begin('scan')
    for (const found of await foundIn(directory, usual)) {
      signal?.throwIfAborted()
      const kept = found.state === 'alive'
      const done = kept || dryRun ? undefined : await orError(async () => await removeWorkspace(found.path), signal)
      workspaces.push({ ...found, kept, ...(done instanceof StowageError ? { error: done } : {}) })
    }
  }
  const gone = workspaces.filter(({ kept, error }) => !kept && !error)
  return { workspaces, freed: gone.reduce((sum, { size }) => sum + size, 0) }
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
