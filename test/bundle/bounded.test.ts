import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { HOSTILE_FILES, HOSTILE_TARS, writeHostile } from '../support/hostile-bundles.js'
import { scratch } from '../support/scratch.js'
import { measured } from '../support/usage.js'

/**
 * What is said of each, and the most that it may take: five times what is promised in seconds, twice in memory. All of
 * them, and the other commands, are tried in test/faults.
 */
const CASES: readonly (readonly [name: string, says: RegExp])[] = [
  ['an index of many descriptors', /index\.json: index\.json holds 1600003 values; the limit is 500000\n/],
  ['an index of brackets', /index\.json is nested over 64 deep at byte 64, which is the limit\n/],
  ['a manifest of many layers', /sha256:\w+ holds 4000\d\d values; the limit is 200000\n/],
  ['just few enough descriptors', /10000 defects found \(.* read\), and the check ended there\n/],
  ['many empty members', /at byte 102402560 found member 200001; the limit is 200000\n/],
]

for (const [name, says] of CASES) {
  t.test(`stowage verify refuses ${name} in a few seconds and little memory, saying what is too much`, async t => {
    const path = join(scratch(t), HOSTILE_TARS[name] ? 'x.tar' : 'x')
    const files = HOSTILE_FILES[name]
    if (files) await writeHostile(path, files())
    else await HOSTILE_TARS[name]?.(path)
    const { code, stdout, cpu, memory } = await measured(t, ['verify', path])
    t.equal(code, 4)
    t.match(stdout, says)
    t.ok(cpu < 25, `${cpu} s`)
    t.ok(memory < 600, `${memory} MB`)
  })
}

t.test('stowage verify counts the depth of directories, not only the files', async t => {
  const path = scratch(t)
  await writeHostile(path, {})
  mkdirSync(join(path, ...Array.from({ length: 200 }, () => 'd')), { recursive: true })
  const { code, stdout } = await measured(t, ['verify', path])
  t.equal(code, 4)
  t.match(stdout, /NOT_A_FILE {2}d\/d\//)
})
