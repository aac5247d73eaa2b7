/** `npm run test:kills`: 500 kills, or STOWAGE_KILLS, at moments that STOWAGE_SEED repeats. Takes about half an hour. */
import t from 'tap'
import { killMany } from '../support/kills.js'

const count = Number(process.env['STOWAGE_KILLS'] ?? 500)
const seed = Number(process.env['STOWAGE_SEED'] ?? Date.now() % 1_000_000)

t.test(`${count} commands go on after they were killed`, async t => await killMany(t, count, seed))
