/**
 * A process that reads hostile WIM files in every way there is, for test/wim/hostile.test.ts: what crashes, hangs or takes
 * memory without bound ends this process and not the test. Its one argument is a file
 * with tasks in JSON; it prints a report.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { StowageError } from '../../src/errors.js'
import { openWim } from '../../src/wim/wim-file.js'
import { type Change, changed } from './changed.js'

export interface Task {
  readonly name: string
  /** Holds one WIM, or the parts of one. */
  readonly directory: string
  readonly change: Change
}

export interface Outcome {
  readonly name: string
  readonly rounds: number
  /** How many rounds ended how: an error's code, `ok`, or `findings`. */
  readonly ends: Readonly<Record<string, number>>
  /** Some of what was said. */
  readonly messages: readonly string[]
  /** What was thrown and is not a StowageError. */
  readonly untyped: readonly string[]
  /** Milliseconds of the slowest round. */
  readonly slowest: number
}

export interface Report {
  readonly outcomes: readonly Outcome[]
  /** Of the process, in bytes. */
  readonly peak: number
}

const outcomes: Outcome[] = []
const tasks = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as readonly Task[] // written by hostile.test.ts
for (const task of tasks) outcomes.push(await run(task))
const report: Report = { outcomes, peak: process.resourceUsage().maxRSS * 1024 }
console.log(JSON.stringify(report))

async function run(task: Task): Promise<Outcome> {
  process.stderr.write(`${task.name}\n`) // the last line tells what ended the process
  const ends: Record<string, number> = {}
  const messages: string[] = []
  const untyped: string[] = []
  let rounds = 0
  let slowest = 0
  const names = readdirSync(task.directory).sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
  const paths = names.map(name => join(task.directory, name))
  for (const { path, bytes } of changedFiles(task, paths)) {
    writeFileSync(path, bytes)
    const started = performance.now()
    const end = await readEverything(paths[0] ?? '', messages, untyped)
    slowest = Math.max(slowest, performance.now() - started)
    rounds += 1
    ends[end] = (ends[end] ?? 0) + 1
  }
  return { name: task.name, rounds, ends, messages: messages.slice(0, 5), untyped, slowest }
}

interface Changed {
  readonly path: string
  readonly bytes: Uint8Array
}

/** Each file of the WIM, changed; the others are whole. */
function* changedFiles({ change }: Task, paths: readonly string[]): Iterable<Changed> {
  for (const [n, path] of paths.entries()) {
    if (change.type === 'none' && n > 0) return
    const whole = readFileSync(path)
    for (const bytes of changed(whole, shareOf(change, n, paths.length), place)) yield { path, bytes }
    writeFileSync(path, whole)
  }
}

/** Of the changes to a WIM of `parts` files, those to one of them. */
function shareOf(change: Change, n: number, parts: number): Change {
  if (change.type !== 'flip') return change
  return { ...change, count: Math.ceil(change.count / parts), seed: change.seed + n }
}

/** Half of the time in the header or in the last part, where the tables are. */
function place(size: number, random: () => number): number {
  const where = random() % 4
  const fromEnd = size - 1 - (random() % Math.min(1500, size))
  return where === 0 ? random() % 208 : where === 1 ? fromEnd : random() % size
}

async function readEverything(path: string, messages: string[], untyped: string[]): Promise<string> {
  let end = 'ok'
  const attempt = async (read: () => Promise<unknown>): Promise<void> => {
    try {
      await read()
    } catch (error) {
      if (!(error instanceof StowageError)) untyped.push(String(error))
      else {
        messages.push(error.message)
        end = error.code
      }
    }
  }
  await attempt(async () => {
    await using wim = await openWim(path)
    wim.images()
    await attempt(async () => {
      const { findings } = await wim.verify({ threads: 2 })
      if (findings.length > 0) end = 'findings'
      messages.push(...findings.map(({ message }) => message))
    })
    for (let image = 1; image <= Math.min(wim.info.imageCount, 3); image += 1) {
      await attempt(async () => {
        const { dentries } = await wim.metadata(image)
        for (const { index, parent = -1 } of dentries)
          if (parent >= index) throw new RangeError('a child before its parent')
      })
      await attempt(async () => {
        for await (const { path: name } of wim.entries(image))
          if (!name.startsWith('/')) throw new RangeError('not a path')
      })
    }
    await attempt(async () => await wim.resources())
  })
  return end
}
