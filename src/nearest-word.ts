/** Finds the known word that a misspelled one was probably meant to be. */

/**
 * The nearest of `words`, in which letters are inserted, deleted, changed or swapped at most `most` times, by default a
 * third of their number; undefined if none is near enough to suggest. Case, hyphens and underscores do not matter.
 */
export function nearestWord(word: string, words: readonly string[], most?: number): string | undefined {
  const wanted = plain(word)
  const near = words
    .map(each => ({ each, distance: changesBetween(wanted, plain(each)) }))
    .filter(({ each, distance: steps }) => steps <= (most ?? Math.max(1, Math.floor(each.length / 3))))
    .sort((a, b) => a.distance - b.distance)
  return near[0]?.each
}

function plain(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, '')
}

/**
 * How many letters must be inserted, removed, replaced or swapped to make `other` of `one`, none of them twice: the
 * optimal string alignment distance.
 */
export function changesBetween(one: string, other: string): number {
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
