/** `stowage repositories`: lists the repositories of a registry. */
import { INSECURE_OPTION } from './image-options.js'
import { command, required } from './command.js'
import { listRepositories, parseDomain } from '../registry/tags.js'
import { printable } from './render.js'

export const repositories = command({
  operands: {
    registry: required('HOST[:PORT]'),
  },
  options: {
    insecure: INSECURE_OPTION,
  },
  examples: [['repositories registry.example:5000', 'Every repository in the registry']],
  run: async ({ registry, insecure }, { signal, report }) => {
    const found = await listRepositories(registry, { insecure, signal })
    const document = { schema: 'stowage.repositories/v1', registry: parseDomain(registry), repositories: found }
    report(document, printable(found.map(name => `${name}\n`).join('')))
  },
})
