/** `stowage search`: repositories by a word. */
import type { CommandModule } from 'yargs'
import { StowageError } from '../errors.js'
import { searchRepositories, type SearchResult } from '../registry/search.js'
import { table } from './render.js'
import { type GlobalOptions, withSession } from './session.js'

interface Options extends GlobalOptions {
  readonly term: string
  readonly limit: number
  readonly filter: readonly string[]
  readonly trunc: boolean
  readonly insecure: readonly string[]
}

/** How much of a description docker shows. */
const SHOWN = 45

export const search: CommandModule<GlobalOptions, Options> = {
  builder: yargs =>
    yargs
      .positional('term', { type: 'string', demandOption: true, describe: 'TERM, or HOST[:PORT]/TERM' })
      .option('limit', {
        type: 'number',
        default: 25,
        requiresArg: true,
        describe: 'Maximum number of results, 1 to 100',
      })
      .option('filter', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [],
        describe: 'is-official=true|false or stars=N; may be repeated',
      })
      .option('trunc', {
        type: 'boolean',
        default: true,
        describe: 'Shorten long descriptions; --no-trunc shows them in full',
      })
      .option('insecure', {
        type: 'string',
        array: true,
        nargs: 1,
        default: [],
        describe: 'Registry (host[:port]) to reach over plain http; may be repeated',
      })
      .example('$0 search nginx --filter is-official=true', 'Official images on Docker Hub')
      .example('$0 search registry.example:5000/shop', 'Another registry, through its catalog if it has no search'), // yargs does not type arrays with a default
  handler: async ({ term, limit, filter, trunc, insecure, ...options }) => {
    const filters = parseFilters(filter)
    await withSession(options, async ({ signal, report, note }) => {
      const found = await searchRepositories(term, { limit, ...filters, insecure, signal })
      if (found.from === 'catalog')
        note(`${found.registry} has no search: listing the repositories whose names contain the term`)
      report({ schema: 'stowage.search/v1', ...found }, text(found, trunc))
    })
  },
}

function parseFilters(filters: readonly string[]): { readonly official?: boolean; readonly stars?: number } {
  return Object.assign(
    {},
    ...filters.map(filter => {
      const match = /^(?:is-official=(true|false|1|0)|stars=(\d+))$/.exec(filter)
      if (!match)
        throw new StowageError('INVALID_ARGUMENT', `${JSON.stringify(filter)} is not a filter`, {
          hint: 'Write is-official=true or stars=N.',
        })
      return match[2] === undefined
        ? { official: match[1] === 'true' || match[1] === '1' }
        : { stars: Number(match[2]) }
    }),
  ) as { official?: boolean; stars?: number } // each of them has one of the two
}

function text({ repositories }: SearchResult, trunc: boolean): string {
  return table(
    ['NAME', 'DESCRIPTION', 'STARS', 'OFFICIAL'],
    repositories.map(({ name, description, stars, official }) => {
      const letters = [...description]
      return [
        name,
        trunc && letters.length > SHOWN ? `${letters.slice(0, SHOWN - 1).join('')}…` : description,
        String(stars),
        official ? '[OK]' : '',
      ]
    }),
  )
}
