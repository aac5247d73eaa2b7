/** Divides lists into pages by the parameters `n` and `last`. Source: OCI distribution-spec, "Listing Tags". */
import { compareNames } from './catalog.js'

export interface Page {
  readonly names: readonly string[]
  /** The query for the next page, if there is one. */
  readonly next: string | undefined
}

/** A page of `all`, which must be sorted by {@link compareNames}; undefined if `n` is not a number. */
export function pageOf(all: readonly string[], query: URLSearchParams): Page | undefined {
  const [n, last] = [query.get('n'), query.get('last')]
  if (n !== null && !/^\d{1,9}$/.test(n)) return undefined
  const rest = last === null || last === '' ? all : all.slice(firstAfter(all, last))
  const names = n === null ? rest : rest.slice(0, Number(n))
  const end = names.at(-1)
  if (names.length === rest.length || end === undefined) return { names, next: undefined }
  const next = new URLSearchParams(query)
  next.set('n', String(Number(n)))
  next.set('last', end)
  return { names, next: next.toString() }
}

function firstAfter(all: readonly string[], last: string): number {
  let [low, high] = [0, all.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareNames(all[middle] ?? '', last) > 0) high = middle
    else low = middle + 1
  }
  return low
}
