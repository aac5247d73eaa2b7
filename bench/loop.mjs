/**
 * Loaded with `node --import`: how long the event loop of a command was kept from its work at most, once its modules are
 * loaded, which Node.js does in one piece. At exit it writes the milliseconds to the file that STOWAGE_BENCH_LOOP names.
 */
import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION = 5
/** Milliseconds in which every command has been loaded, and none has more than begun. */
const LOADING = 200
const delay = monitorEventLoopDelay({ resolution: RESOLUTION })
setTimeout(() => delay.enable(), LOADING).unref()
process.on('exit', () => {
  const path = process.env.STOWAGE_BENCH_LOOP
  if (path) writeFileSync(path, String(Math.max(0, delay.max / 1e6 - RESOLUTION)))
})
