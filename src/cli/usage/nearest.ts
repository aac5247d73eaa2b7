/** Finds what a mistyped word was meant to be. */
import { changesBetween } from '../../nearest-word.js'

/**
 * The candidate that takes the fewest changes to get from `word`; undefined if none is near. A change inserts, removes
 * or replaces a letter, or swaps two. A candidate that `word` begins is as near as one with one change.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let [found, fewest]: [string | undefined, number] = [undefined, Math.min(3, Math.floor(word.length / 2) + 1)]
  for (const candidate of candidates) {
    const begun = word.length >= 3 && candidate.startsWith(word)
    const changes = begun ? 1 : changesBetween(word.toLowerCase(), candidate.toLowerCase())
    if (changes < fewest) [found, fewest] = [candidate, changes]
  }
  return found
}
