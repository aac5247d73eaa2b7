/** `stowage source`: where base OS images are found. */
import type { CommandModule } from 'yargs'
import { addSource, type CatalogSource, listSources, removeSource } from '../base-image/sources.js'
import { printable, table } from './render.js'
import { type GlobalOptions, withSession } from './session.js'

interface AddOptions extends GlobalOptions {
  readonly name: string
  readonly location: string
  readonly trusted: boolean
}

interface RemoveOptions extends GlobalOptions {
  readonly name: string
}

const add: CommandModule<GlobalOptions, AddOptions> = {
  command: 'add <name> <location>',
  describe: 'Register a source: an index on the web, a folder of WIM files, a bundle, or a repository',
  builder: yargs =>
    yargs
      .positional('name', { type: 'string', demandOption: true, describe: 'Name for the source' })
      .positional('location', {
        type: 'string',
        demandOption: true,
        describe: 'https://…/index.json, a folder, bundle:PATH, or docker://REPOSITORY',
      })
      .option('trusted', {
        type: 'boolean',
        default: false,
        describe: 'Trust the source: install its images without a warning',
      })
      .example('$0 source add lab https://images.example/index.json --trusted', 'An index of your own')
      .example('$0 source add stick /media/stick/wims', 'WIM files in a folder and in its subfolders'),
  handler: async ({ name, location, trusted, ...options }) => {
    await withSession(options, async ({ report }) => {
      const added = await addSource({ name, location, trusted })
      report({ schema: 'stowage.source/v1', sources: [added] }, text([added]))
    })
  },
}

const list: CommandModule<GlobalOptions, GlobalOptions> = {
  command: 'list',
  aliases: ['ls'],
  describe: 'List the registered sources',
  handler: async options => {
    await withSession(options, async ({ report }) => {
      const sources = await listSources()
      report({ schema: 'stowage.source/v1', sources }, text(sources))
    })
  },
}

const remove: CommandModule<GlobalOptions, RemoveOptions> = {
  command: 'remove <name>',
  aliases: ['rm'],
  describe: 'Remove a source',
  builder: yargs =>
    yargs.positional('name', {
      type: 'string',
      demandOption: true,
      describe: 'Name of the source',
    }),
  handler: async ({ name, ...options }) => {
    await withSession(options, async ({ report }) => {
      const removed = await removeSource(name)
      report(
        { schema: 'stowage.source/v1', sources: [removed] },
        printable(`Removed ${removed.name} (${removed.location})\n`),
      )
    })
  },
}

export const source: CommandModule<GlobalOptions, GlobalOptions> = {
  builder: yargs => yargs.command(add).command(list).command(remove).demandCommand(1, 'Name a command of source.'),
  handler: () => undefined, // yargs wants one; demandCommand() comes first
}

function text(sources: readonly CatalogSource[]): string {
  return table(
    ['NAME', 'LOCATION', 'TRUSTED'],
    sources.map(({ name, location, trusted }) => [printable(name), printable(location), trusted ? 'yes' : 'no']),
  )
}
