/** `stowage layer to-wim` against tar and wimlib-imagex capture, on the layer that from-wim makes of the corpus. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusWim } from './corpus.mjs'
import { measure, measureNode, median } from './measure.mjs'
import { held, megabytes, peak, ratioOf } from './report.mjs'

const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')

/** Extract and capture, as one does it by hand. The tree is removed outside the clock. */
const BY_HAND = `set -e
tar -C "$2/tree" --warning=no-unknown-keyword -xf "$1"
wimlib-imagex capture "$2/tree" "$2/peer.wim" "--compress=$3" >/dev/null 2>&1`

/** The least ratio that is promised, how much larger the WIM may be, and how often it is run: LZX by hand takes a minute. */
const PROMISES = {
  LZX: { ratio: 4, size: 1.03, times: 1 },
  XPRESS: { ratio: 1.5, size: 1.03, times: undefined },
}

export async function benchToWim({ size, rounds, report }) {
  const { files, bytes } = corpusWim(size)
  const layer = corpusLayer(size)
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-to-wim-'))
  try {
    for (const [compression, { ratio, size: largest, times = rounds }] of Object.entries(PROMISES)) {
      const what = `WIM of a layer, ${compression}, ${megabytes(bytes)} in ${files} files`
      execFileSync('sh', ['-c', 'cat "$1" >/dev/null', 'sh', layer])
      const pairs = await report.alternate(
        what,
        () => ours(layer, work, compression),
        () => byHand(layer, work, compression),
        times,
      )
      const sizes = median(pairs.map(pair => pair.ours.size / pair.peer.size))
      report.row(
        what,
        `tar -x, wimlib-imagex capture --compress=${compression}`,
        pairs,
        `size x${sizes.toFixed(2)}, event loop held ${held(pairs)} ms`,
      )
      report.promise(
        ratioOf(pairs) >= ratio,
        `a WIM of a layer, ${compression}, at least ${ratio} times as fast: ${ratioOf(pairs).toFixed(1)}`,
      )
      report.promise(
        sizes <= largest,
        `a WIM of a layer, ${compression}, of no more than ${largest} times the size: ${sizes.toFixed(3)}`,
      )
      report.promise(peak(pairs) <= 256e6, `a WIM of a layer within 256 MB: ${megabytes(peak(pairs))}`)
      report.promise(held(pairs) <= 50, `a WIM of a layer with an event loop never held over 50 ms: ${held(pairs)}`)
      const strays = pairs.flatMap(pair => pair.ours.strays)
      report.promise(strays.length === 0, `a WIM of a layer without temporary files: ${strays.join(', ')}`)
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function ours(layer, work, compression) {
  const output = join(work, 'ours.wim')
  rmSync(output, { force: true })
  const args = [MAIN, 'layer', 'to-wim', layer, '-o', output, '--compress', compression]
  const run = await measureNode(args, { watched: [work], output })
  return { ...run, size: statSync(output).size }
}

async function byHand(layer, work, compression) {
  const directory = join(work, 'by-hand')
  mkdirSync(join(directory, 'tree'), { recursive: true })
  const run = await measure('bash', ['-c', BY_HAND, 'bash', layer, directory, compression])
  const found = { ...run, size: statSync(join(directory, 'peer.wim')).size }
  rmSync(directory, { recursive: true })
  return found
}

/** The layer of the corpus, kept beside it. */
export function corpusLayer(size) {
  const { wim } = corpusWim(size)
  const path = wim.replace(/\.wim$/, '-layer.tar.gz')
  if (!existsSync(path)) {
    console.error(`bench: making ${path} once`)
    rmSync(`${path}.partial`, { force: true })
    const args = [MAIN, 'layer', 'from-wim', wim, '--image', '1', '-o', `${path}.partial`]
    execFileSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    renameSync(`${path}.partial`, path)
  }
  return path
}
