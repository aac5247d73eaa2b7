/** `stowage prune`: removes temporary files that interrupted runs left behind. */
import { anyNumber, command, flag } from './command.js'
import { prune as pruneWorkspaces, type PrunedWorkspace, type PruneResult } from '../verbs/prune.js'
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
    const result = await pruneWorkspaces(directory, { dryRun, signal, onProgress })
    const workspaces = result.workspaces.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
    report({ schema: 'stowage.prune/v1', dryRun, freed: result.freed, workspaces }, text(result, dryRun))
    reportFailures(result.workspaces, ({ path }) => path)
  },
})

function text({ workspaces, freed }: PruneResult, dryRun: boolean): string {
  const rows = workspaces.map(found => [found.path, formatSize(found.size), ownerOf(found), outcomeOf(found, dryRun)])
  const removed = workspaces.filter(({ kept, error }) => !kept && !error).length
  const list = rows.length === 0 ? '' : table(['DIRECTORY', 'SIZE', 'OWNER', 'RESULT'], rows)
  const done = dryRun ? 'Would remove' : 'Removed'
  return printable(`${list}${done} ${count(removed, 'directory', 'directories')} (${formatSize(freed)})\n`)
}

function ownerOf({ owner }: PrunedWorkspace): string {
  return owner ? `process ${owner.process} on ${owner.host}, ${owner.time}` : 'unknown'
}

function outcomeOf({ kept, error }: PrunedWorkspace, dryRun: boolean): string {
  if (error) return error.code
  if (kept) return 'in use'
  return dryRun ? 'would be removed' : 'removed'
}
