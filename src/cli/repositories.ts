/** `stowage repositories`: lists the repositories of a registry. */
import { readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { command, required } from './command.js'
import { listRepositories, parseDomain } from '../registry/tags.js'
import { printable } from './render.js'

export const repositories = command({
  operands: {
    registry: required('HOST[:PORT]'),
  },
  options: REGISTRY_OPTIONS,
  examples: [['repositories registry.example:5000', 'Every repository in the registry']],
  run: async ({ registry, ...options }, { signal, onProgress, report, notice }) => {
    const found = await listRepositories(registry, {
      ...readRegistryOptions(options),
      signal,
      onNotice: notice,
      onProgress,
    })
    const document = { schema: 'stowage.repositories/v1', registry: parseDomain(registry), repositories: found }
    report(document, printable(found.map(name => `${name}\n`).join('')))
  },
})
