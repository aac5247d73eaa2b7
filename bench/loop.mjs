/**
 * Loaded with `node --import`: how long the event loop of a command was kept from its work at most, from its first line of
 * JavaScript to its end. At exit it writes the milliseconds to the file that STOWAGE_BENCH_LOOP names.
 */
import { writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION = 5
const delay = monitorEventLoopDelay({ resolution: RESOLUTION })
delay.enable()
process.on('exit', () => {
  const path = process.env.STOWAGE_BENCH_LOOP
  if (path) writeFileSync(path, String(Math.max(0, delay.max / 1e6 - RESOLUTION)))
})
