/** `stowage search`: searches for repositories. */
import { readRegistryOptions, REGISTRY_OPTIONS } from './image-options.js'
import { command, flag, number, required, values } from './command.js'
import { StowageError } from '../errors.js'
import { searchRepositories, type SearchResult } from '../registry/search.js'
import { table } from './render.js'

/** Characters of a description that docker shows. */
const SHOWN = 45

export const search = command({
  operands: {
    term: required('TERM, or HOST[:PORT]/TERM'),
  },
  options: {
    limit: number('Maximum number of results, 1 to 100', { default: 25 }),
    filter: values('is-official=true|false or stars=N; may be repeated', {
      takes: ['is-official=true', 'is-official=false', 'stars='],
    }),
    trunc: flag('Shorten long descriptions; --no-trunc shows them in full', { default: true }),
    ...REGISTRY_OPTIONS,
  },
  examples: [
    ['search nginx --filter is-official=true', 'Official images on Docker Hub'],
    ['search registry.example:5000/shop', 'Another registry, through its catalog if it has no search'],
  ],
  run: async ({ term, limit, filter, trunc, ...options }, { signal, onProgress, report, note, notice }) => {
    const filters = parseFilters(filter)
    const found = await searchRepositories(term, {
      limit,
      ...filters,
      ...readRegistryOptions(options),
      signal,
      onNotice: notice,
      onProgress,
    })
    if (found.from === 'catalog')
      note(`${found.registry} has no search: listing the repositories whose names contain the term`)
    report({ schema: 'stowage.search/v1', ...found }, text(found, trunc))
  },
})

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
  ) as { official?: boolean; stars?: number } // each filter sets one of the two
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
