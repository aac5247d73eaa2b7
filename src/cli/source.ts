/** `stowage source`: manages the sources of base OS images. */
import { command, flag, required } from './command.js'
import { addSource, type CatalogSource, listSources, removeSource } from '../base-image/sources.js'
import { printable, table } from './render.js'

export const sourceAdd = command({
  operands: {
    name: required('Name for the source'),
    location: required('https://…/index.json, a folder, bundle:PATH, or docker://REPOSITORY', 'path'),
  },
  options: {
    trusted: flag('Trust the source: install its images without a warning'),
    force: flag('Register a folder or a bundle even if it is not there now', { alias: 'f' }),
  },
  examples: [
    ['source add lab https://images.example/index.json --trusted', 'An index of your own'],
    ['source add stick /media/stick/wims', 'WIM files in a folder and its subfolders'],
  ],
  run: async ({ name, location, trusted, force }, { report }) => {
    const added = await addSource({ name, location, trusted }, { force })
    report({ schema: 'stowage.source/v1', sources: [added] }, text([added]))
  },
})

export const sourceList = command({
  run: async (_values, { report }) => {
    const sources = await listSources()
    report({ schema: 'stowage.source/v1', sources }, text(sources))
  },
})

export const sourceRemove = command({
  operands: {
    name: required('Name of the source', 'registered source'),
  },
  run: async ({ name }, { report }) => {
    const removed = await removeSource(name)
    report(
      { schema: 'stowage.source/v1', sources: [removed] },
      printable(`Removed ${removed.name} (${removed.location})\n`),
    )
  },
})

function text(sources: readonly CatalogSource[]): string {
  return table(
    ['NAME', 'LOCATION', 'TRUSTED'],
    sources.map(({ name, location, trusted }) => [printable(name), printable(location), trusted ? 'yes' : 'no']),
  )
}
