/** `stowage prune`: removes temporary files that interrupted runs left behind. */
import { anyNumber, command, flag } from './command.js'
import { prune as pruneLeft, type PrunedFile, type PrunedWorkspace, type PruneResult } from '../verbs/prune.js'
import { errorDocument, reportFailures } from './print-error.js'
import { count, printable, table } from './render.js'
import { formatSize } from '../size-text.js'

export const prune = command({
  operands: {
    directory: anyNumber(
      'Directories that bundles, archives or layouts are written to (default: the usual ones)',
      'directory',
    ),
  },
  options: {
    'dry-run': flag('Only show what would be removed'),
  },
  examples: [['prune /media/stick', 'Files that runs on any host left on a stick']],
  run: async ({ directory, 'dry-run': dryRun }, { signal, onProgress, report }) => {
    const result = await pruneLeft(directory, { dryRun, signal, onProgress })
    const workspaces = result.workspaces.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
    const files = result.files.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
    report({ schema: 'stowage.prune/v1', dryRun, freed: result.freed, workspaces, files }, text(result, dryRun))
    reportFailures([...result.workspaces, ...result.files], ({ path }) => path)
  },
})

function text({ workspaces, files, freed }: PruneResult, dryRun: boolean): string {
  const row = (found: PrunedWorkspace | PrunedFile, owner: string): readonly string[] => [
    found.path,
    formatSize(found.size),
    owner,
    outcomeOf(found, dryRun),
  ]
  const rows = [...workspaces.map(found => row(found, ownerOf(found))), ...files.map(found => row(found, '-'))]
  const removed = (found: readonly (PrunedWorkspace | PrunedFile)[]): number =>
    found.filter(({ kept, error }) => !kept && !error).length
  const list = rows.length === 0 ? '' : table(['PATH', 'SIZE', 'OWNER', 'RESULT'], rows)
  const done = dryRun ? 'Would remove' : 'Removed'
  const more = removed(files) > 0 ? ` and ${count(removed(files), 'file')}` : ''
  const what = `${count(removed(workspaces), 'directory', 'directories')}${more}`
  return printable(`${list}${done} ${what} (${formatSize(freed)})\n`)
}

function ownerOf({ owner }: PrunedWorkspace): string {
  return owner ? `process ${owner.process} on ${owner.host}, ${owner.time}` : 'unknown'
}

function outcomeOf({ kept, error }: PrunedWorkspace | PrunedFile, dryRun: boolean): string {
  if (error) return error.code
  if (kept) return 'in use'
  return dryRun ? 'would be removed' : 'removed'
}
