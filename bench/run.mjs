/**
 * Ratios against peers: `npm run bench [-- [PART...] [--quick] [--rounds=N]]` with the parts layer, to-wim, difference,
 * bundle, inventory, recovery, wim, codecs, registry and registry-https, or all of them. Ours and the peer take turns on the same warm cache. Exits with 1 if a
 * promise is not kept; promises are about the full size, so `--quick` only prints figures. With `--before=CHECKOUT`, the peer is
 * Stowage itself as it was built there, in every path or in those whose name has one of the words.
 */
import { spawnSync } from 'node:child_process'
import { benchBefore } from './before.mjs'
import { benchBundle } from './bundle.mjs'
import { benchCodecs } from './codecs.mjs'
import { benchDifference } from './difference.mjs'
import { benchInventory } from './inventory.mjs'
import { benchLayer } from './layer.mjs'
import { benchToWim } from './to-wim.mjs'
import { benchRecovery } from './recovery.mjs'
import { benchRegistry } from './registry.mjs'
import { report as newReport } from './report.mjs'
import { benchWim } from './wim.mjs'

const MIB = 1024 * 1024

const PARTS = {
  layer: () => benchLayer({ size, rounds, report }),
  'to-wim': () => benchToWim({ size, rounds, report }),
  difference: () => benchDifference({ size, rounds, report }),
  bundle: () => benchBundle({ size, report }),
  inventory: () => benchInventory({ report, quick }),
  recovery: () => benchRecovery({ size, rounds, report }),
  wim: () => benchWim({ size, rounds, report }),
  codecs: () => benchCodecs({ size, rounds, report }),
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
const report = newReport({ rounds, quick })
if (before) await benchBefore({ size, rounds, report, before, named })
else for (const [name, run] of Object.entries(PARTS)) if (named.length === 0 || named.includes(name)) await run()
process.exitCode = report.print() ? 0 : 1

/** Of `--rounds=N`; undefined if it is not given. */
function roundsOf(option) {
  if (!option) return undefined
  const number = Number(option.slice('--rounds='.length))
  if (Number.isInteger(number) && number > 0) return number
  console.error(`bench: ${option}: expected a whole number of rounds, at least 1`)
  process.exit(2)
}
