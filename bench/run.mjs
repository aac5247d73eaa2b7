/**
 * Ratios against peers: `npm run bench [-- [PART...] [--quick] [--rounds=N]]` with the parts layer, to-wim, difference,
 * bundle, recovery, wim, registry and registry-https, or all of them. Ours and the peer take turns on the same warm cache. Exits with 1 if a
 * promise is not kept; promises are about the full size, so `--quick` only prints figures. With `--before=CHECKOUT`, the peer is
 * Stowage itself as it was built there, in every path or in those whose name has one of the words.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { corpusLayout } from './corpus.mjs'
import { benchBefore } from './before.mjs'
import { benchDifference } from './difference.mjs'
import { benchLayer } from './layer.mjs'
import { benchToWim } from './to-wim.mjs'
import { measure } from './measure.mjs'
import { benchRecovery } from './recovery.mjs'
import { benchRegistry } from './registry.mjs'
import { megabytes, ratioOf, report as newReport } from './report.mjs'
import { benchWim } from './wim.mjs'

const MIB = 1024 * 1024
const MAIN = resolve(import.meta.dirname, '..', 'dist', 'cli', 'main.js')

const PARTS = {
  layer: () => benchLayer({ size, rounds, report }),
  'to-wim': () => benchToWim({ size, rounds, report }),
  difference: () => benchDifference({ size, rounds, report }),
  bundle: benchVerify,
  recovery: () => benchRecovery({ size, rounds, report }),
  wim: () => benchWim({ size, rounds, report }),
  // Two programs on two processors vary by a tenth
  registry: () => benchRegistry({ size, rounds: asked ?? (quick ? rounds : 7), report }),
  'registry-https': () => benchRegistry({ size, rounds: asked ?? (quick ? rounds : 7), report, secure: true }),
}

const quick = process.argv.includes('--quick')
const asked = roundsOf(process.argv.find(word => word.startsWith('--rounds=')))
const rounds = asked ?? (quick ? 2 : 3)
const size = (quick ? 128 : 1024) * MIB

for (const tool of ['wimlib-imagex', 'tar', 'gzip', 'sha256sum', 'par2']) {
  if (!spawnSync(tool, ['--version']).error) continue
  console.error(`bench: ${tool}, a peer, is not installed (on Debian in wimtools, tar, gzip, coreutils, par2)`)
  process.exit(1)
}
const before = process.argv.find(word => word.startsWith('--before='))?.slice('--before='.length)
const named = process.argv.slice(2).filter(word => !word.startsWith('--'))
const unknown = before ? [] : named.filter(name => !Object.hasOwn(PARTS, name))
if (unknown.length > 0) {
  console.error(`bench: there is no part ${unknown.join(', ')}, only ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}
const work = mkdtempSync(join(tmpdir(), 'stowage-bench-run-'))
const report = newReport({ rounds, quick })
const { alternate, row, promise } = report
try {
  if (before) await benchBefore({ size, rounds, report, before, named })
  else for (const [name, run] of Object.entries(PARTS)) if (named.length === 0 || named.includes(name)) await run()
} finally {
  rmSync(work, { recursive: true, force: true })
}
process.exitCode = report.print() ? 0 : 1

/** Of `--rounds=N`; undefined if it is not given. */
function roundsOf(option) {
  if (!option) return undefined
  const number = Number(option.slice('--rounds='.length))
  if (Number.isInteger(number) && number > 0) return number
  console.error(`bench: ${option}: expected a whole number of rounds, at least 1`)
  process.exit(2)
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
