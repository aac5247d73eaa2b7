/**
 * A process that applies hostile pipable WIMs, for test/wim/pipe.test.ts: what crashes, hangs or takes memory without bound
 * ends this process and not the test. Its one argument is a file with tasks in JSON; it prints a report.
 */
import { closeSync, createReadStream, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { StowageError } from '../../src/errors.js'
import { extractFromPipe } from '../../src/wim/pipe.js'
import { type Change, changed } from './changed.js'

export interface Task {
  readonly name: string
  readonly path: string
  /** Where image 1 goes; removed after each round. */
  readonly target: string
  readonly change: Change
}

export interface Outcome {
  readonly name: string
  /** How each round ended: an error's code, or `ok`. */
  readonly ends: readonly string[]
  /** What was said last. */
  readonly message: string
  /** What was thrown and is not a StowageError. */
  readonly untyped: readonly string[]
  /** Milliseconds of the slowest round. */
  readonly slowest: number
}

export interface Report {
  readonly outcomes: readonly Outcome[]
  /** Of the process, in bytes. */
  readonly peak: number
  /** File descriptors that are open after the last round and were not after the first. */
  readonly descriptors: number
}

const outcomes: Outcome[] = []
const tasks = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as readonly Task[] // written by pipe.test.ts
let before: number | undefined
for (const task of tasks) outcomes.push(await run(task))
// Streams that were destroyed close a moment later.
for (let n = 0; n < 50 && descriptors() > (before ?? 0); n += 1) await setTimeout(20)
const report: Report = {
  outcomes,
  peak: process.resourceUsage().maxRSS * 1024,
  descriptors: descriptors() - (before ?? 0),
}
console.log(JSON.stringify(report))

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

async function run({ name, path, target, change }: Task): Promise<Outcome> {
  process.stderr.write(`${name}\n`) // the last line tells what ended the process
  const ends: string[] = []
  const untyped: string[] = []
  let message = ''
  let slowest = 0
  const whole = readFileSync(path)
  for (const bytes of changed(whole, change, place)) {
    writeFileSync(path, bytes)
    const started = performance.now()
    try {
      await apply(path, target, ends.length % 2 === 0)
      ends.push('ok')
    } catch (error) {
      message = String(error)
      if (error instanceof StowageError) ends.push(error.code)
      else untyped.push(message)
    }
    slowest = Math.max(slowest, performance.now() - started)
    rmSync(target, { recursive: true, force: true })
    before ??= descriptors()
  }
  writeFileSync(path, whole)
  return { name, ends, message, untyped, slowest }
}

/** From the file itself, or out of a stream. */
async function apply(path: string, target: string, direct: boolean): Promise<void> {
  if (!direct) {
    await extractFromPipe(createReadStream(path), 1, target)
    return
  }
  const fd = openSync(path, 'r')
  try {
    await extractFromPipe({ fd }, 1, target)
  } finally {
    closeSync(fd)
  }
}

/** Half of the time in the header, the XML data and the metadata, which come first. */
function place(size: number, random: () => number): number {
  return random() % (random() % 2 === 0 ? Math.min(1500, size) : size)
}
