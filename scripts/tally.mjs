/**
 * Counts named tests in TAP files and prints `N passed, N failed`, the last line of a CI run:
 * `node scripts/tally.mjs RUN=STATUS…`, each RUN a file of TAP (`….tap`) and STATUS the exit status of what wrote it.
 * Above it are the names of what failed. A run that died, left no TAP or ran no test counts as failed, whatever it
 * printed before. A RUN that is not a file of TAP is the name of a check that prints none: it counts as one test.
 * Format: TAP 14, subtests indented by four.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, extname } from 'node:path'

/** Counts test points of files and of the named tests in them; what stands in a YAML block is no test point. */
export function tally(tap) {
  const count = { passed: 0, failed: 0, skipped: 0, complete: false }
  let failedInFile = 0
  let yaml
  for (const line of tap.split('\n')) {
    const indent = line.length - line.trimStart().length
    const rest = line.trim()
    if (yaml !== undefined) {
      if (rest === '...' && indent === yaml) yaml = undefined
      continue
    }
    if (rest === '---') yaml = indent
    if (indent === 0 && rest.startsWith('# { total:')) count.complete = true // tap's summary: the run came to its end
    const point = /^(not )?ok\b/.exec(rest)
    if (!point || (indent !== 0 && indent !== 4)) continue
    const skipped = /# (?:SKIP|TODO)\b/i.test(rest)
    if (indent === 4) {
      if (skipped) count.skipped += 1
      else if (point[1]) failedInFile += 1
      else count.passed += 1
      continue
    }
    if (skipped) count.skipped += 1
    // A file that failed though none of its tests did: it crashed, timed out, or has no test.
    count.failed += point[1] ? Math.max(failedInFile, 1) : failedInFile
    failedInFile = 0
  }
  count.failed += failedInFile
  return count
}

/** Lines of a diagnostic that is told: no more helps nobody. */
const DETAIL = 60
/** Parts of tap's diagnostics that repeat what the file and line say. */
const NOISE = /^(?:source|stack|args|env|stdio|cwd|externalID|command):/

/** What failed in `tap` and has no failed part of its own: `FILE > TEST > ASSERTION`, and its diagnostic. */
export function failures(tap) {
  const found = []
  const names = [] // of the subtests we are in
  let failedDepth = -1 // of the last failed point: the one around it fails because of it
  let open
  let noisy = false
  for (const line of tap.split('\n')) {
    const indent = line.length - line.trimStart().length
    const rest = line.trim()
    if (open?.yaml) {
      if (rest === '...' && indent === open.indent + 2) open = undefined
      else {
        if (indent === open.indent + 2 && rest !== '') noisy = NOISE.test(rest)
        if (!noisy && rest !== '' && open.detail.length < DETAIL) open.detail.push(line.slice(open.indent + 2))
      }
      continue
    }
    if (open && rest === '---' && indent === open.indent + 2) {
      open.yaml = true
      continue
    }
    open = undefined
    const subtest = /^# Subtest: (.*)$/.exec(rest)
    if (subtest) names.splice(indent / 4, Infinity, subtest[1])
    const point = /^(not )?ok \d+(?: - (.*?))?(?: # time=.*)?$/.exec(rest)
    if (!point) continue
    const depth = indent / 4
    const inner = failedDepth > depth
    if (point[1] && !/# (?:SKIP|TODO)\b/i.test(rest)) {
      if (!inner)
        found.push((open = { name: [...names.slice(0, depth), point[2]].join(' > '), detail: [], indent, yaml: false }))
      failedDepth = depth
    } else if (inner) failedDepth = -1
  }
  return found
}

/** The tally of the TAP at `path`, with at least one failure when the run was not whole and green: status, end, tests. */
export function readTally(path, status) {
  const count = tally(readTap(path))
  const whole = status === 0 && count.complete && count.passed > 0
  return whole ? count : { ...count, failed: Math.max(count.failed, 1) }
}

/** The tally of one run, and the names of what failed in it. */
function countRun(run, status) {
  if (extname(run) === '.tap') {
    return { count: readTally(run, status), failed: failures(readTap(run)).map(({ name }) => name) }
  }
  const passed = status === 0 ? 1 : 0
  return { count: { passed, failed: 1 - passed, skipped: 0 }, failed: passed === 1 ? [] : [run] }
}

/** Nothing if a run left none. */
function readTap(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

export function formatTally({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

if (process.argv[1] === import.meta.filename) {
  const sum = { passed: 0, failed: 0, skipped: 0 }
  for (const argument of process.argv.slice(2)) {
    const [run = '', status = ''] = argument.split('=')
    const { count, failed } = countRun(run, Number(status || 1))
    for (const name of failed) console.log(`failed: ${name}`)
    console.log(`${basename(run, '.tap')} (exit status ${status}): ${formatTally(count)}`)
    for (const key of ['passed', 'failed', 'skipped']) sum[key] += count[key]
  }
  console.log(formatTally(sum))
  process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0
}
