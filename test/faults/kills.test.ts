/** A few commands of all that `npm run test:kills` kills. */
import t from 'tap'
import { killMany } from '../support/kills.js'

const seed = Number(process.env['STOWAGE_SEED'] ?? Date.now() % 1_000_000)

t.test('commands go on after they were killed', async t => await killMany(t, 20, seed, 10))
