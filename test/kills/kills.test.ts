/** `npm run test:kills`: 500 kills, or STOWAGE_KILLS, at moments that STOWAGE_SEED repeats. Takes about half an hour. */
import t from 'tap'
import { killLoads } from '../support/engine-kills.js'
import { findProgram, startEngine } from '../support/engine.js'
import { killMany } from '../support/kills.js'

const count = Number(process.env['STOWAGE_KILLS'] ?? 500)
const seed = Number(process.env['STOWAGE_SEED'] ?? Date.now() % 1_000_000)

t.test(`${count} commands go on after they were killed`, async t => await killMany(t, count, seed))

t.test(
  `${Math.ceil(count / 10)} loads into an engine go on after they were killed`,
  { skip: !findProgram('dockerd') },
  async t => {
    const engine = await startEngine()
    t.teardown(() => engine.stop())
    await killLoads(t, engine, Math.ceil(count / 10), seed)
  },
)
