/** Every command that reads a bundle, on everything hostile, and a real bundle of 10,000 images. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HOSTILE_FILES, HOSTILE_STREAMS, HOSTILE_TARS, writeHostile } from '../support/hostile-bundles.js'
import { writeManyImages } from '../support/many-images.js'
import { scratch } from '../support/scratch.js'
import { measured } from '../support/usage.js'

/** Five times the seconds and twice the memory that docs/limits.md promises. */
async function expectBounded(t: Test, words: readonly string[]): Promise<void> {
  const { code, cpu, memory, stderr } = await measured(t, words)
  const what = words.join(' ')
  t.ok(cpu < 25, `${what}: ${cpu} s`)
  t.ok(memory < 600, `${what}: ${memory} MB`)
  t.ok([0, 1, 2, 3, 4].includes(code), `${what}: ${code}`)
  t.notMatch(stderr, /internal|call stack|heap|at .*\.js:/i, what)
  t.comment(`${what}: ${cpu.toFixed(1)} s, ${Math.round(memory)} MB`)
}

const commands = (t: Test, path: string): readonly (readonly string[])[] => [
  ['verify', path],
  ['verify', '--no-deep', path],
  ['inspect', `bundle:${path}`],
  ['load', path, '--to', `oci:${join(scratch(t), 'store')}`],
  ['copy', `bundle:${path}`, `oci:${join(scratch(t), 'store')}`],
]

for (const [name, files] of Object.entries(HOSTILE_FILES)) {
  t.test(`every command is done with ${name} soon`, async t => {
    const path = join(scratch(t), 'x')
    await writeHostile(path, files())
    for (const words of commands(t, path)) await expectBounded(t, words)
  })
}

for (const [name, write] of Object.entries({ ...HOSTILE_TARS, ...HOSTILE_STREAMS })) {
  t.test(`every command is done with ${name} soon`, async t => {
    const path = join(scratch(t), HOSTILE_TARS[name] ? 'x.tar' : 'x.tar.gz')
    await write(path)
    for (const words of commands(t, path)) await expectBounded(t, words)
  })
}

t.test('a directory of very many files is refused before they are looked at', async t => {
  const path = scratch(t)
  await writeHostile(path, {})
  mkdirSync(join(path, 'files'))
  for (let n = 0; n <= 200_000; n += 1) writeFileSync(join(path, 'files', String(n)), '')
  const { code, stderr, cpu, memory } = await measured(t, ['verify', path])
  t.equal(code, 4)
  t.match(stderr, /has over 200000 files and directories, the limit of a bundle\nhint: Name the directory/)
  t.ok(cpu < 25, `${cpu} s`)
  t.ok(memory < 600, `${memory} MB`)
})

t.test('stowage verify accepts a bundle of 10,000 images', async t => {
  const path = join(scratch(t), 'x.tar')
  await writeManyImages(path, 10_000)
  const { code, stdout, cpu, memory } = await measured(t, ['verify', path])
  t.equal(code, 0)
  t.match(stdout, /OK \(60056 files, /)
  t.comment(`${cpu.toFixed(1)} s, ${Math.round(memory)} MB`)
})
