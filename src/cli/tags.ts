/** `stowage tags`: the tags of a repository. */
import type { CommandModule } from 'yargs'
import { listTags } from '../registry/tags.js'
import { printable } from './render.js'
import { type GlobalOptions, once, withSession } from './session.js'

interface Options extends GlobalOptions {
  readonly repository: string
  readonly semver: string | undefined
  readonly match: string | undefined
  readonly newest: number | undefined
  readonly insecure: readonly string[]
}

export const tags: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    yargs
      .positional('repository', {
        type: 'string',
        demandOption: true,
        describe: 'NAME or docker://NAME, without a tag',
      })
      .option('semver', {
        type: 'string',
        requiresArg: true,
        coerce: once('semver'),
        describe: 'Only versions in this range: ">=1.27 <2", "~1.27", "10.0.20348.x"',
      })
      .option('match', {
        type: 'string',
        requiresArg: true,
        coerce: once('match'),
        describe: 'Only tags that match this regular expression; a group named "version" marks the version in the tag',
      })
      .option('newest', { type: 'number', requiresArg: true, describe: 'Only this many of the newest versions' })
      .option('insecure', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [],
        describe: 'Registry (host[:port]) to reach over plain http; may be repeated',
      })
      .example('$0 tags nginx --semver "~1.27"', 'All releases of 1.27')
      .example('$0 tags nginx --match "^(?<version>.+)-alpine$" --newest 1', 'The newest version with that suffix'), // yargs does not type coerce
  handler: async ({ repository, semver, match, newest, insecure, ...options }) => {
    await withSession(options, async ({ signal, report }) => {
      const found = await listTags(repository, { semver, match, newest, insecure, signal })
      report({ schema: 'stowage.tags/v1', ...found }, printable(found.tags.map(tag => `${tag}\n`).join('')))
    })
  },
}
