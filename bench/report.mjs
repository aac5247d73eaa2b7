/** Runs ours and a peer in turns, keeps the table, and the promises that did not hold. */
import { median } from './measure.mjs'

/**
 * `quick` judges nothing: promises are about the full size. A ratio is taken within each pair of runs, and the median is
 * shown; over 1, ours was faster.
 */
export function report({ rounds, quick }) {
  const rows = []
  const broken = []
  return {
    /** Ours, peer, ours, peer …: what slows the machine slows both. Each gives `{ seconds, rss }`. */
    async alternate(what, runOurs, runPeer, times = rounds) {
      const pairs = []
      for (let round = 1; round <= times; round++) {
        const pair = { ours: await runOurs(), peer: await runPeer() }
        const [ours, peer] = [pair.ours, pair.peer].map(
          ({ seconds, cpu }) => `${seconds.toFixed(2)} s${cpu === undefined ? '' : ` (processor ${cpu.toFixed(2)} s)`}`,
        )
        console.error(`bench: ${what}, round ${round} of ${times}: ${ours}, peer ${peer}`)
        pairs.push(pair)
      }
      return pairs
    },
    /** `peer` is empty where there is none to compare with. */
    row(what, peer, pairs, note = '') {
      const seconds = side => `${median(pairs.map(pair => pair[side].seconds)).toFixed(2)} s`
      const ratio = peer === '' ? undefined : ratioOf(pairs)
      const shown = ratio === undefined ? '' : `x${ratio.toFixed(ratio < 2 ? 2 : 1)}`
      rows.push([what, seconds('ours'), peer, peer === '' ? '' : seconds('peer'), shown, megabytes(peak(pairs)), note])
    },
    promise(kept, text) {
      if (!kept && !quick) broken.push(text)
    },
    /** Prints all; whether every promise held. */
    print() {
      const all = [['what', 'ours', 'peer', 'peer took', 'ratio', 'peak RSS (ours)', ''], ...rows]
      const widths = all[0].map((_, column) => Math.max(...all.map(line => line[column].length)))
      for (const line of all)
        console.log(
          line
            .map((cell, column) => cell.padEnd(widths[column]))
            .join('  ')
            .trimEnd(),
        )
      for (const text of broken) console.log(`NOT KEPT: ${text}`)
      return broken.length === 0
    },
  }
}

export function ratioOf(pairs) {
  return median(pairs.map(({ ours, peer }) => peer.seconds / ours.seconds))
}

export function peak(pairs) {
  return Math.max(...pairs.map(({ ours }) => ours.rss))
}

/** Milliseconds that our event loop was kept from its work at most: the median of the rounds, for the machine has other work. */
export function held(pairs) {
  return Math.round(median(pairs.map(({ ours }) => ours.loop)))
}

export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`
}
