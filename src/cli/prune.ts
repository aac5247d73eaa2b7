/** `stowage prune`: temporary files that runs which were killed left behind. */
import type { CommandModule } from 'yargs'
import type { PrunedWorkspace, PruneResult } from '../verbs/prune.js'
import { prune as pruneWorkspaces } from '../verbs/prune.js'
import { errorDocument, tellFailures } from './print-error.js'
import { count, formatSize, printable, table } from './render.js'
import { type GlobalOptions, withSession } from './session.js'

interface Options extends GlobalOptions {
  readonly directory: readonly string[] | undefined
  readonly 'dry-run': boolean
}

export const prune: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    yargs
      .positional('directory', {
        type: 'string',
        array: true,
        describe: 'Directories that bundles, archives or layouts are written to; the usual ones when left out',
      })
      .option('dry-run', { type: 'boolean', default: false, describe: 'Only show what would be removed' })
      .example('$0 prune /media/stick', 'What a run left on a stick, whichever host it ran on'),
  handler: async ({ directory = [], 'dry-run': dryRun, ...options }) => {
    await withSession(options, async ({ signal, report }) => {
      const result = await pruneWorkspaces(directory, { dryRun, signal })
      const workspaces = result.workspaces.map(({ error, ...each }) => ({ ...each, ...errorDocument(error) }))
      report({ schema: 'stowage.prune/v1', dryRun, freed: result.freed, workspaces }, text(result, dryRun))
      tellFailures(result.workspaces, ({ path }) => path)
    })
  },
}

function text({ workspaces, freed }: PruneResult, dryRun: boolean): string {
  const rows = workspaces.map(found => [found.path, formatSize(found.size), ownerOf(found), outcomeOf(found, dryRun)])
  const gone = workspaces.filter(({ kept, error }) => !kept && !error).length
  const list = rows.length === 0 ? '' : table(['DIRECTORY', 'SIZE', 'OWNER', 'RESULT'], rows)
  const done = dryRun ? 'Would remove' : 'Removed'
  return printable(`${list}${done} ${count(gone, 'directory', 'directories')} (${formatSize(freed)})\n`)
}

function ownerOf({ owner }: PrunedWorkspace): string {
  return owner ? `process ${owner.process} on ${owner.host}, ${owner.time}` : 'unknown'
}

function outcomeOf({ kept, error }: PrunedWorkspace, dryRun: boolean): string {
  if (error) return error.code
  if (kept) return 'in use'
  return dryRun ? 'would be removed' : 'removed'
}
