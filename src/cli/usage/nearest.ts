/** Finds what a mistyped word was meant to be. */

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

/** The optimal string alignment distance. */
function changesBetween(one: string, other: string): number {
  let before: readonly number[] = []
  let last: readonly number[] = Array.from({ length: other.length + 1 }, (_, n) => n)
  for (let n = 1; n <= one.length; n++) {
    const row = [n]
    for (let m = 1; m <= other.length; m++) {
      const same = one[n - 1] === other[m - 1]
      const swapped = n > 1 && m > 1 && one[n - 1] === other[m - 2] && one[n - 2] === other[m - 1]
      row[m] = Math.min(
        (last[m] ?? 0) + 1,
        (row[m - 1] ?? 0) + 1,
        (last[m - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[m - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    ;[before, last] = [last, row]
  }
  return last[other.length] ?? 0
}
