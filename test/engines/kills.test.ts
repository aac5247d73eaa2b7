/** Loads that are killed, a few of all that `npm run test:kills` kills. */
import t from 'tap'
import { startDebianEngine } from '../support/debian-engine.js'
import { killLoads } from '../support/engine-kills.js'
import { startEngine } from '../support/engine.js'

const seed = Number(process.env['STOWAGE_SEED'] ?? Date.now() % 1_000_000)

t.test("loads into Docker's own store go on after they were killed", async t => {
  const engine = await startEngine()
  t.teardown(() => engine.stop())
  await killLoads(t, engine, 4, seed)
})

t.test("loads into containerd's store go on after they were killed", async t => {
  const engine = await startDebianEngine('forky', 'containerd')
  t.teardown(() => engine.stop())
  await killLoads(t, engine, 4, seed)
})
