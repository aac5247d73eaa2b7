/** Finds the known word that a misspelled one was probably meant to be. */

/** The nearest of `words`; undefined if none is near enough to suggest. */
export function nearestWord(word: string, words: readonly string[]): string | undefined {
  const wanted = word.toLowerCase().replace(/[-_]/g, '')
  const near = words
    .map(each => ({ each, distance: distance(wanted, each.toLowerCase()) }))
    .filter(({ each, distance: steps }) => steps <= Math.max(1, Math.floor(each.length / 3)))
    .sort((a, b) => a.distance - b.distance)
  return near[0]?.each
}

/** The Levenshtein distance: how many letters must be inserted, deleted or changed. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3) return Infinity
  let row = Array.from({ length: b.length + 1 }, (_, n) => n)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries()) {
      next.push(Math.min((row[j] ?? 0) + (letter === other ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
