/** Prune: temporary files that runs left behind which were killed, or whose medium was pulled out. */
import { dirname } from 'node:path'
import { findWorkspaces, type FoundWorkspace, removeWorkspace, temporaryDirectory } from '../blob/workspace.js'
import { orError, StowageError } from '../errors.js'
import type { WaitOptions } from '../progress.js'
import { defaultStore } from '../transport/default-store.js'

export interface PruneOptions extends WaitOptions {
  /** Only report what would be removed. */
  readonly dryRun?: boolean | undefined
}

/** One workspace that was found. `kept`: its run goes on; `error` says why it could not be removed. */
export interface PrunedWorkspace extends FoundWorkspace {
  readonly kept: boolean
  readonly error?: StowageError
}

export interface PruneResult {
  readonly workspaces: readonly PrunedWorkspace[]
  /** Of all that was removed, or would be, in bytes. */
  readonly freed: number
}

/**
 * Removes the temporary files of other runs from `directories`; without any, from where they go by themselves: the directory for
 * temporary files and that of the default store. What belongs to a process of this host that is still running stays; what another
 * host left is removed, whatever its age. Throws FILE_NOT_FOUND for a directory that is not there, and ABORTED.
 */
export async function prune(directories: readonly string[] = [], options: PruneOptions = {}): Promise<PruneResult> {
  const { dryRun = false, signal } = options
  const workspaces: PrunedWorkspace[] = []
  const usual = directories.length === 0
  for (const directory of usual ? [await temporaryDirectory(), dirname(defaultStore())] : directories) {
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

/** `mayBeMissing`: nobody named it. */
async function foundIn(directory: string, mayBeMissing: boolean): Promise<readonly FoundWorkspace[]> {
  try {
    return await findWorkspaces(directory)
  } catch (error) {
    if (mayBeMissing && error instanceof StowageError && error.code === 'FILE_NOT_FOUND') return []
    throw error
  }
}
