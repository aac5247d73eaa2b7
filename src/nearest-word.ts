/** Finds the known word that a misspelled one was probably meant to be. */

/**
 * The nearest of `words`, in which letters are inserted, deleted, changed or swapped at most `most` times, by default a
 * third of their number; undefined if none is near enough to suggest. Case, hyphens and underscores do not matter.
 */
export function nearestWord(word: string, words: readonly string[], most?: number): string | undefined {
  const wanted = plain(word)
  const near = words
    .map(each => ({ each, distance: distance(wanted, plain(each)) }))
    .filter(({ each, distance: steps }) => steps <= (most ?? Math.max(1, Math.floor(each.length / 3))))
    .sort((a, b) => a.distance - b.distance)
  return near[0]?.each
}

function plain(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, '')
}

/** The distance of Damerau and Levenshtein between strings in which no letter is changed twice. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3) return Infinity
  let [before, row]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, n) => n)]
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const [letter, other] = [a[i - 1], b[j - 1]]
      const steps = [(row?.[j - 1] ?? 0) + (letter === other ? 0 : 1), (row?.[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1]
      if (i > 1 && j > 1 && letter === b[j - 2] && a[i - 2] === other) steps.push((before?.[j - 2] ?? 0) + 1)
      next.push(Math.min(...steps))
    }
    ;[before, row] = [row, next]
  }
  return row?.at(-1) ?? 0
}
