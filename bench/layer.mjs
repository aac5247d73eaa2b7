/** `stowage layer from-wim` against wimlib-imagex, tar and a compressor: from a WIM to a layer with both its digests. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusForms, corpusWim } from './corpus.mjs'
import { measure, measureNode, median } from './measure.mjs'
import { held, megabytes, peak, ratioOf } from './report.mjs'

const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')
const FLOOR = resolve(import.meta.dirname, 'layer-floor.mjs')

/** apply, tar, both digests and a compressor, as one does it by hand; the tree is removed outside the clock. */
const APPLY = `set -e -o pipefail
wimlib-imagex apply "$1" 1 "$2/tree" >/dev/null 2>&1
tar -C "$2/tree" -cf - . | tee >(sha256sum >"$2/diffid") | $3 | tee >(sha256sum >"$2/digest") >"$2/layer"
wait`

/** What is promised against each peer; of sizes, only where the format is the same. */
const CASES = [
  { name: 'LZX to gzip', form: 'lzx', compression: 'gzip', peer: 'gzip -6', ratio: 8, size: 1.1, rss: 256e6 },
  { name: 'LZX to gzip', form: 'lzx', compression: 'gzip', peer: 'pigz -6', ratio: 5, size: 1.1, rss: 256e6 },
  { name: 'LZX to zstd', form: 'lzx', compression: 'zstd', peer: 'zstd -3 -T0', ratio: 5, size: 1.05, rss: 256e6 },
  {
    name: 'solid LZMS to zstd',
    form: 'solid',
    compression: 'zstd',
    peer: 'zstd -3 -T0',
    ratio: 3,
    size: 1.05,
    rss: 768e6,
  },
]

export async function benchLayer({ size, rounds, report }) {
  const { wim, files, bytes } = corpusWim(size)
  const forms = { lzx: wim, solid: corpusForms(size).solid[0] }
  const work = mkdtempSync(join(tmpdir(), 'stowage-bench-layer-'))
  console.error(`bench: layers of ${megabytes(bytes)} in ${files} files`)
  try {
    for (const entry of CASES) {
      if (spawnSync(entry.peer.split(' ')[0], ['--version']).error) {
        console.error(`bench: ${entry.peer}, a peer, is not installed`)
        process.exitCode = 1
        continue
      }
      await compare(entry, forms[entry.form], { work, rounds, report })
    }
    for (const compression of ['gzip', 'zstd']) {
      const told = JSON.parse(execFileSync(process.execPath, [FLOOR, wim, compression, work], { encoding: 'utf8' }))
      const floor = (told.blobs + told.layer) / availableParallelism()
      console.error(
        `bench: floor of LZX to ${compression}: ${told.blobs.toFixed(2)} s to decompress and hash blobs, ` +
          `${told.layer.toFixed(2)} s for both digests and to compress, on one thread; ${floor.toFixed(2)} s on all processors`,
      )
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

async function compare({ name, compression, peer, ratio, size, rss }, wim, { work, rounds, report }) {
  execFileSync('sh', ['-c', 'cat "$1" >/dev/null', 'sh', wim])
  const what = `layer, ${name}`
  const pairs = await report.alternate(
    what,
    () => ours(wim, compression, work),
    () => theirs(wim, peer, work),
    rounds,
  )
  const sizes = median(pairs.map(pair => pair.ours.size / pair.peer.size))
  report.row(
    what,
    `wimlib-imagex apply, tar | ${peer}, 2 x sha256sum`,
    pairs,
    `size x${sizes.toFixed(2)}, event loop held ${held(pairs)} ms`,
  )
  report.promise(
    ratioOf(pairs) >= ratio,
    `${what} at least ${ratio} times as fast as apply, tar and ${peer}: ${ratioOf(pairs).toFixed(1)}`,
  )
  report.promise(sizes <= size, `${what} no more than ${size} times the size of ${peer}: ${sizes.toFixed(3)}`)
  report.promise(peak(pairs) <= rss, `${what} with a peak RSS of at most ${megabytes(rss)}: ${megabytes(peak(pairs))}`)
  report.promise(held(pairs) <= 50, `${what} with an event loop never held over 50 ms: ${held(pairs)}`)
  const strays = pairs.flatMap(pair => pair.ours.strays)
  report.promise(strays.length === 0, `no temporary files: ${strays.join(', ')}`)
}

async function ours(wim, compression, work) {
  const directory = fresh(work, 'ours')
  const temporary = fresh(work, 'tmp')
  const output = join(directory, 'layer')
  const args = [MAIN, 'layer', 'from-wim', wim, '--image', '1', '--compression', compression, '-o', output]
  const run = await measureNode(args, { env: { TMPDIR: temporary }, watched: [directory, temporary], output })
  return { ...run, size: statSync(output).size } // throws when it did not leave the file it promised
}

async function theirs(wim, compressor, work) {
  const directory = fresh(work, 'peer')
  const run = await measure('bash', ['-c', APPLY, 'bash', wim, directory, compressor])
  const found = { ...run, size: statSync(join(directory, 'layer')).size }
  rmSync(directory, { recursive: true })
  return found
}

function fresh(work, name) {
  const directory = join(work, name)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  return directory
}
