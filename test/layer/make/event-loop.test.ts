import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import t from 'tap'
import type { LayerOrder } from '../../../src/layer/make/entries.js'
import { SLOWER } from '../../support/emulation.js'
import { make } from '../../support/made-layers.js'
import { wimlib } from '../../support/wims.js'

const DIRECTORIES = 50
const FILES = 1020

t.test(
  'writeLayerFromWim() never blocks the event loop for 50 ms, over 50000 dentries',
  { timeout: 300_000 },
  async t => {
    const directory = mkdtempSync(join(tmpdir(), 'stowage-test-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    for (let d = 0; d < DIRECTORIES; d += 1) {
      const path = join(directory, 'tree', `directory ${d}`)
      mkdirSync(path, { recursive: true })
      for (let f = 0; f < FILES; f += 1) writeFileSync(join(path, `a file of some name ${f}`), `${d} ${f}`)
    }
    const wim = join(directory, 'x.wim')
    wimlib('capture', join(directory, 'tree'), wim, 'many', '--compress=none')
    for (const order of ['blob', 'tree'] satisfies LayerOrder[]) {
      const longest: number[] = []
      // Where more threads want to run than there are processors, each waits for its turn that much longer
      const limit = (): number => 50 * SLOWER * Math.max(1, loadavg()[0]! / availableParallelism())
      while (longest.length < 5 && !longest.some(milliseconds => milliseconds < limit())) {
        const delay = monitorEventLoopDelay({ resolution: 5 })
        delay.enable()
        const { counts } = await make(wim, join(directory, 'layer.tar.gz'), { order, threads: 1, force: true })
        delay.disable()
        t.equal(counts.files, DIRECTORIES * FILES)
        longest.push(delay.max / 1e6)
      }
      t.ok(
        longest.some(milliseconds => milliseconds < limit()),
        `in order of ${order}: ${longest.map(Math.round).join(', ')} ms of ${Math.round(limit())}`,
      )
    }
  },
)
