import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Transform } from 'node:stream'
import { text } from 'node:stream/consumers'
import t from 'tap'

const TALLY = resolve(import.meta.dirname, '../../scripts/tally.mjs')

const END = '# { total: 3 }\n'
const PASSING = `TAP version 14
# Subtest: a.test.ts
    # Subtest: one
        ok 1 - should be equal
        1..1
    ok 1 - one # time=5ms
    # Subtest: two
    ok 2 - two # SKIP not here
    1..2
ok 1 - a.test.ts # time=9ms
`
const FAILING = `# Subtest: b.test.ts
    # Subtest: three
        not ok 1 - should be equal
          ---
    ok 7 - this stands in a diagnostic
          ...
    not ok 1 - three # time=5ms
not ok 2 - b.test.ts # time=9ms
`
const CRASHED = 'not ok 3 - c.test.ts # time=9ms\n  ---\n  signal: SIGKILL\n  ...\n'

/** Last line and exit status of a tally over one run. */
function tally(
  t: { testdir(files: Record<string, string>): string },
  tap: string | undefined,
  status: number,
): [string, number | null] {
  const directory = t.testdir({})
  const path = join(directory, 'run.tap')
  if (tap !== undefined) writeFileSync(path, tap)
  const { stdout, status: found } = spawnSync(process.execPath, [TALLY, `${path}=${status}`], { encoding: 'utf8' })
  return [stdout.trimEnd().split('\n').at(-1) ?? '', found]
}

t.test('tally counts named tests, and a file that crashed as one failure', async t => {
  t.same(tally(t, PASSING + END, 0), ['1 passed, 0 failed, 1 skipped', 0])
  t.same(tally(t, PASSING + FAILING + END, 1), ['1 passed, 1 failed, 1 skipped', 1])
  t.same(tally(t, PASSING + FAILING + CRASHED + END, 1), ['1 passed, 2 failed, 1 skipped', 1])
})

t.test('tally never takes a dead or silent run for a pass', async t => {
  t.same(tally(t, PASSING, 0), ['1 passed, 1 failed, 1 skipped', 1], 'no end')
  t.same(tally(t, PASSING + END, 124), ['1 passed, 1 failed, 1 skipped', 1], 'timed out')
  t.same(tally(t, undefined, 0), ['0 passed, 1 failed', 1], 'no TAP')
  t.same(tally(t, END, 0), ['0 passed, 1 failed', 1], 'no test')
})

t.test('tally counts a check that prints no TAP as one test', async t => {
  const path = join(t.testdir({ 'run.tap': PASSING + END }), 'run.tap')
  const lines = (status: number): [string[], number | null] => {
    const args = [TALLY, `${path}=0`, `lint:native=${status}`]
    const { stdout, status: found } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    return [stdout.trimEnd().split('\n'), found]
  }
  const run = 'run (exit status 0): 1 passed, 0 failed, 1 skipped'
  t.same(lines(0), [[run, 'lint:native (exit status 0): 1 passed, 0 failed', '2 passed, 0 failed, 1 skipped'], 0])
  t.same(lines(124), [
    [run, 'failed: lint:native', 'lint:native (exit status 124): 0 passed, 1 failed', '1 passed, 1 failed, 1 skipped'],
    1,
  ])
})

t.test('tally names what failed, and the log of a run says what was expected and found', async t => {
  const directory = t.testdir({ 'run.tap': PASSING + FAILING + CRASHED + END })
  const { stdout } = spawnSync(process.execPath, [TALLY, `${join(directory, 'run.tap')}=1`], { encoding: 'utf8' })
  t.same(
    stdout.split('\n').filter(line => line.startsWith('failed: ')),
    ['failed: b.test.ts > three > should be equal', 'failed: c.test.ts'],
  )
  const { PlainReporter } = (await import(resolve(TALLY, '../plain-reporter.mjs'))) as {
    PlainReporter: new () => Transform
  }
  const told = new PlainReporter()
  told.end(PASSING + FAILING + CRASHED + END)
  const log = await text(told)
  t.match(log, /^ok {2}a\.test\.ts {2}9ms$/m)
  t.match(log, /^not ok {2}b\.test\.ts {2}9ms$/m)
  t.match(log, /^ {2}failed: c\.test\.ts\n {4}signal: SIGKILL$/m)
})
