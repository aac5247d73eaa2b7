/** Runs a command and measures its wall clock, processor time, peak memory, and the files it made on the way. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const LOOP = new URL('loop.mjs', import.meta.url).href
const POLL = 20 // milliseconds; the kernel keeps the high-water mark between two looks

/**
 * `seconds` of wall clock; `cpu`, seconds of user and system time; `rss` in bytes, of the process itself, not its children; `strays`, the files seen in `watched`
 * directories, or, where any are, open though deleted, other than those whose path starts with `output`. `quiet`: its stdout is /dev/null.
 * It begins when what was written before is on the medium: a run does not pay for the one before it. Throws when the command fails.
 */
export async function measure(command, args, { env = {}, watched = [], output = '', quiet = false } = {}) {
  execFileSync('sync')
  const before = childrenCpu()
  const started = process.hrtime.bigint()
  const stdio = ['ignore', quiet ? 'ignore' : 'pipe', 'pipe']
  const child = spawn(command, args, { stdio, env: { ...process.env, ...env } })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', piece => (text = (text + piece).slice(-4000)))
  let rss = 0
  const strays = new Set()
  const look = setInterval(() => {
    rss = Math.max(rss, peakOf(child.pid))
    if (watched.length === 0) return // a program is not slowed by looks that nobody asked for
    for (const path of [...listed(watched), ...deletedOf(child.pid)]) if (!path.startsWith(output)) strays.add(path)
  }, POLL)
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', resolve)
  })
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  clearInterval(look)
  if (status !== 0) throw new Error(`${[command, ...args].join(' ')} exited with status ${status}:\n${text}`)
  return { seconds, cpu: childrenCpu() - before, rss, strays: [...strays] }
}

/** {@link measure} of a script of Node.js, with `loop`: the milliseconds its event loop was kept from its work at most. */
export async function measureNode(args, options = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'stowage-bench-loop-'))
  const told = join(directory, 'loop')
  try {
    const env = { ...options.env, STOWAGE_BENCH_LOOP: told }
    const run = await measure(process.execPath, ['--import', LOOP, ...args], { ...options, env })
    return { ...run, loop: Number(readFileSync(told, 'utf8')) }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}

function peakOf(pid) {
  const status = unlessGone(() => readFileSync(`/proc/${pid}/status`, 'utf8')) ?? ''
  return 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0)
}

/** Seconds of processor time of all children that have ended, by the clock ticks of Linux. */
function childrenCpu() {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[13]) + Number(fields[14])) / 100
}

function listed(directories) {
  const names = directory => unlessGone(() => readdirSync(directory)) ?? []
  return directories.flatMap(directory => names(directory).map(name => `${directory}/${name}`))
}

function deletedOf(pid) {
  const numbers = unlessGone(() => readdirSync(`/proc/${pid}/fd`)) ?? []
  const links = numbers.map(number => unlessGone(() => readlinkSync(`/proc/${pid}/fd/${number}`)) ?? '')
  return links.filter(link => link.endsWith(' (deleted)'))
}

/** A process or file may end between two calls. */
function unlessGone(read) {
  try {
    return read()
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined
    throw error
  }
}
