/** `stowage repositories`: what a registry holds, as far as it tells. */
import type { CommandModule } from 'yargs'
import { listRepositories, parseDomain } from '../registry/tags.js'
import { printable } from './render.js'
import { type GlobalOptions, withSession } from './session.js'

interface Options extends GlobalOptions {
  readonly registry: string
  readonly insecure: readonly string[]
}

export const repositories: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    yargs
      .positional('registry', { type: 'string', demandOption: true, describe: 'HOST[:PORT]' })
      .option('insecure', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [],
        describe: 'Registry (host[:port]) to reach over plain http; may be repeated',
      })
      .example('$0 repositories registry.example:5000', 'Every repository in the registry'), // yargs does not type arrays with a default
  handler: async ({ registry, insecure, ...options }) => {
    await withSession(options, async ({ signal, report }) => {
      const found = await listRepositories(registry, { insecure, signal })
      const document = { schema: 'stowage.repositories/v1', registry: parseDomain(registry), repositories: found }
      report(document, printable(found.map(name => `${name}\n`).join('')))
    })
  },
}
