/**
 * Ratios against peers: `npm run bench [-- [layer] [bundle] [wim] [--quick]]`, all when none is named. Ours and the peer run
 * in turns on the same warm cache. Ends with status 1 when a promise of ours does not hold; those are about the full size,
 * so `--quick` only shows.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusLayout, corpusWim } from './corpus.mjs'
import { measure, median } from './measure.mjs'
import { megabytes, peak, ratioOf, report as newReport } from './report.mjs'
import { benchWim } from './wim.mjs'

const MIB = 1024 * 1024
const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')

/** apply, tar, both digests and a compressor, as one does it by hand; the tree is removed outside the clock. */
const APPLY = `set -e -o pipefail
wimlib-imagex apply "$1" 1 "$2/tree" >/dev/null 2>&1
tar -C "$2/tree" -cf - . | tee >(sha256sum >"$2/diffid") | $3 | tee >(sha256sum >"$2/digest") >"$2/layer"
wait`

const PARTS = { layer: benchLayer, bundle: benchVerify, wim: () => benchWim({ size, rounds, report }) }

const quick = process.argv.includes('--quick')
const rounds = quick ? 2 : 3
const size = (quick ? 128 : 1024) * MIB

for (const tool of ['wimlib-imagex', 'tar', 'gzip', 'sha256sum']) {
  if (!spawnSync(tool, ['--version']).error) continue
  console.error(`bench: ${tool}, a peer, is not installed (on Debian in wimtools, tar, gzip, coreutils)`)
  process.exit(1)
}
const named = process.argv.slice(2).filter(word => !word.startsWith('--'))
const unknown = named.filter(name => !Object.hasOwn(PARTS, name))
if (unknown.length > 0) {
  console.error(`bench: there is no part ${unknown.join(', ')}, only ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}
const work = mkdtempSync(join(tmpdir(), 'stowage-bench-run-'))
const report = newReport({ rounds, quick })
const { alternate, row, promise } = report
try {
  for (const [name, run] of Object.entries(PARTS)) if (named.length === 0 || named.includes(name)) await run()
} finally {
  rmSync(work, { recursive: true, force: true })
}
process.exitCode = report.print() ? 0 : 1

async function benchLayer() {
  const { wim, files, bytes } = corpusWim(size)
  const what = `layer from ${megabytes(bytes)} in ${files} files, LZX`
  warm(wim)
  const pairs = await alternate(what, () => ourLayer(wim), () => peerLayer(wim, 'gzip -6'))
  const sizes = median(pairs.map(({ ours, peer }) => ours.size / peer.size))
  row(what, 'wimlib-imagex apply, tar | gzip -6, 2 x sha256sum', pairs, `size x${sizes.toFixed(2)}`)
  promise(ratioOf(pairs) >= 5, `a layer at least 5 times as fast as apply, tar and gzip -6: ${ratioOf(pairs).toFixed(1)}`)
  promise(sizes <= 1.1, `a layer no more than 1.1 times the size of gzip -6: ${sizes.toFixed(2)}`)
  promise(peak(pairs) < 300e6, `a peak RSS under 300 MB: ${megabytes(peak(pairs))}`)
  const strays = pairs.flatMap(({ ours }) => ours.strays)
  promise(strays.length === 0, `no temporary files: ${strays.join(', ')}`)
  for (const compressor of ['pigz -6', 'zstd -3']) {
    if (spawnSync(compressor.split(' ')[0], ['--version']).error) continue
    const peer = await peerLayer(wim, compressor)
    const set = pairs.map(({ ours }) => ({ ours, peer }))
    const size = (median(set.map(({ ours }) => ours.size)) / peer.size).toFixed(2)
    row('  the same', `… tar | ${compressor}, once, for information`, set, `size x${size}`)
  }
}

async function ourLayer(wim) {
  const directory = fresh('ours')
  const temporary = fresh('tmp')
  const output = join(directory, 'layer.tar.gz')
  const args = [MAIN, 'layer', 'from-wim', wim, '--image', '1', '-o', output]
  const run = await measure(process.execPath, args, { env: { TMPDIR: temporary }, watched: [directory, temporary], output })
  return { ...run, size: statSync(output).size } // throws when it did not leave the file it promised
}

async function peerLayer(wim, compressor) {
  const directory = fresh('peer')
  const run = await measure('bash', ['-c', APPLY, 'bash', wim, directory, compressor])
  const found = { ...run, size: statSync(join(directory, 'layer')).size }
  rmSync(directory, { recursive: true })
  return found
}

async function benchVerify() {
  const bundle = join(work, 'bundle')
  const args = [MAIN, 'pack', `oci:${corpusLayout(size)}`, '-o', bundle]
  execFileSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  execFileSync('sh', ['-c', 'find "$1" -type f -exec cat {} + >/dev/null', 'sh', bundle])
  const what = `verify a bundle of ${megabytes(size)}`
  const pairs = await alternate(
    what,
    () => measure(process.execPath, [MAIN, 'verify', bundle]),
    () => measure('sh', ['-c', 'cd "$1" && sha256sum -c --quiet SHA256SUMS', 'sh', bundle]),
  )
  row(what, 'sha256sum -c', pairs, '')
  promise(ratioOf(pairs) >= 2, `verify at least 2 times as fast as sha256sum -c: ${ratioOf(pairs).toFixed(1)}`)
}

function fresh(name) {
  const directory = join(work, name)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory)
  return directory
}

function warm(path) {
  execFileSync('sh', ['-c', 'cat "$1" >/dev/null', 'sh', path])
}
