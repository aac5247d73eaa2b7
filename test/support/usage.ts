/** What a run of the command took of the machine, by the account of its own process. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CommandResult, stowage } from './command.js'
import { type Scratch, scratch } from './scratch.js'

// Linux passes the maxRSS of a process on to what it starts: a test that made a large bundle would be measured instead
const TELL = `import { readFileSync, writeFileSync } from 'node:fs'
process.on('exit', () => {
  const peak = /^VmHWM:\\s*(\\d+) kB/m.exec(readFileSync('/proc/self/status', 'latin1'))
  const { user, system } = process.cpuUsage()
  writeFileSync(process.env.STOWAGE_TEST_USAGE, JSON.stringify({ cpu: (user + system) / 1e6, memory: peak[1] / 1000 }))
})`

export interface MeasuredResult extends CommandResult {
  /** Seconds of processor time, which a busy machine does not stretch as it does the wall clock. */
  readonly cpu: number
  /** The most memory it had, in MB. */
  readonly memory: number
}

/** Runs `stowage` with `words`, and measures it. */
export async function measured(t: Scratch, words: readonly string[]): Promise<MeasuredResult> {
  const file = join(scratch(t), 'usage.json')
  const result = await stowage(words, {
    env: {
      NODE_OPTIONS: `--import=data:text/javascript;base64,${Buffer.from(TELL).toString('base64')}`,
      STOWAGE_TEST_USAGE: file,
    },
  })
  // Written by the code above
  const usage = JSON.parse(readFileSync(file, 'utf8')) as Pick<MeasuredResult, 'cpu' | 'memory'>
  return { ...result, ...usage }
}
