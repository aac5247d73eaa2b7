/** Volumes on media that are full, too small for them, or unplugged in the middle. Needs root. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { pack } from '../../src/verbs/pack.js'
import { splitBundle } from '../../src/verbs/volumes.js'
import type { MediumRequest } from '../../src/volumes/gone.js'
import { commandFile, stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { mount } from '../support/medium.js'
import { scratch } from '../support/scratch.js'
import { inTerminal } from '../support/terminal.js'

const root = t.testdir()
const layout = join(root, 'layout')
await writeLayout(layout, { 'big:1': await layeredImage(3, { size: 3_000_000 }) })
const tar = join(root, 'x.tar')
await pack([`oci:${layout}`], tar, { epoch: 0 })
const whole = readFileSync(tar)
const SIZE = 1024 * 1024
const count = Math.ceil(whole.length / SIZE)

/** Puts another medium in the place of `directory`: the old one's files go to `kept`. */
function exchange(directory: string, kept: string): void {
  cpSync(directory, kept, { recursive: true })
  execFileSync('umount', [directory])
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory])
}

/** The volumes in `directories`, together. */
function together(directories: readonly string[]): Buffer {
  const paths = directories.flatMap(each => readdirSync(each).map(file => join(each, file)))
  const volumes = paths.filter(path => /\.tar\.0\d+$/.test(path))
  return Buffer.concat(volumes.sort((a, b) => (a.slice(-4) < b.slice(-4) ? -1 : 1)).map(path => readFileSync(path)))
}

t.test('a set is written over several media, each of which is checked by itself', async t => {
  const medium = await mount(t, 'tmpfs', 4 * SIZE)
  const kept = scratch(t)
  const requests: MediumRequest[] = []
  const result = await pack([`oci:${layout}`], join(medium, 'x.tar'), {
    epoch: 0,
    volumeSize: SIZE,
    async askForMedium(request) {
      requests.push(request)
      exchange(medium, join(kept, String(requests.length)))
      return undefined
    },
  })
  const sticks = [...requests.map((_, n) => join(kept, String(n + 1))), medium]
  t.ok(sticks.length >= 3, 'on three of them')
  t.match(requests[0], { reason: 'full', directory: medium, tar: 'x.tar', count, written: [1, 2, 3] })
  t.ok(together(sticks).equals(whole), 'the bytes are those of one tar')
  t.equal(result.volumes?.volumes.length, count)
  for (const stick of sticks)
    execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'x.volumes.sha256'], { cwd: stick })
  const [first = '', ...more] = sticks.toReversed()
  t.match(await verifyBundle(first, { more }), { ok: true })
  t.match(await verifyBundle(first, { alone: true }), { ok: true, volumes: { missing: [1, 2, 3, 4, 5, 6] } })
})

t.test('a volume of another set on the next medium is not overwritten', async t => {
  const medium = await mount(t, 'tmpfs', 4 * SIZE)
  const kept = scratch(t)
  const other = 'of another set'
  const writing = pack([`oci:${layout}`], join(medium, 'x.tar'), {
    epoch: 0,
    volumeSize: SIZE,
    async askForMedium({ number }) {
      exchange(medium, join(kept, 'first'))
      writeFileSync(join(medium, `x.tar.00${number}`), other)
      return undefined
    },
  })
  await t.rejects(writing, { code: 'OUTPUT_EXISTS', message: /x\.tar\.004 exists already/ })
  t.equal(readFileSync(join(medium, 'x.tar.004'), 'utf8'), other)
})

t.test('without anyone to ask, a set that does not fit is refused before it begins', async t => {
  const medium = await mount(t, 'tmpfs', 4 * SIZE)
  const { code, stderr } = await stowage([
    'pack',
    `oci:${layout}`,
    '-o',
    join(medium, 'x.tar'),
    '--volume-size',
    '1MiB',
  ])
  t.equal(code, 7)
  t.match(stderr, /has [\d.]+MB \(\d+ bytes\) free, but [\d.]+MB \(\d+ bytes\) is needed/)
  t.same(readdirSync(medium), [])
})

t.test('a set for which there is just enough room is written', async t => {
  const words = ['pack', `oci:${layout}`, '--volume-size', '1MiB']
  const roomy = await mount(t, 'tmpfs', 64 * SIZE)
  const dry = await stowage([...words, '-o', join(roomy, 'x.tar'), '--dry-run', '--json'])
  const { needed } = (JSON.parse(dry.stdout) as { room: { needed: number } }).room
  const medium = await mount(t, 'tmpfs', needed)
  const written = await stowage([...words, '-o', join(medium, 'x.tar')], { env: { SOURCE_DATE_EPOCH: '0' } })
  t.match(written, { code: 0, stderr: '' })
  t.ok(together([medium]).equals(whole))
  const small = await mount(t, 'tmpfs', needed - 4096)
  t.match(await stowage([...words, '-o', join(small, 'x.tar')]), { code: 7, stderr: /\(4096 bytes\) too much/ })
  t.same(readdirSync(small), [])
})

t.test('on a terminal, pack asks for the next medium', async t => {
  const [one, two] = [await mount(t, 'tmpfs', 7 * SIZE), await mount(t, 'tmpfs', 7 * SIZE)]
  let asked = false
  const run = await inTerminal(['pack', `oci:${layout}`, '-o', join(one, 'x.tar'), '--volume-size', '1MiB'], {
    width: 200,
    answer(text) {
      if (asked || !/has no room for x\.tar\.007 \(1\.05MB\)\. It has volumes 1 to 6 of \d\./.test(text))
        return undefined
      asked = true
      return `${two}\n`
    },
  })
  t.equal(run.code, 0, run.text)
  t.match(await verifyBundle(two, { more: [one] }), { ok: true })
})

t.test('a medium that is unplugged is asked for, and the set goes on with what is on it', async t => {
  const medium = await mount(t, 'ext4', 24 * SIZE)
  let unplugged = false
  const requests: MediumRequest[] = []
  await splitBundle(tar, join(medium, 'x.tar'), {
    volumeSize: SIZE,
    onProgress(event) {
      if (unplugged || event.type !== 'bytes' || event.done < 3.5 * SIZE) return
      unplugged = true
      execFileSync('umount', ['--lazy', medium])
    },
    async askForMedium(request) {
      requests.push(request)
      if (requests.length === 1) return undefined // Enter, before it is plugged in
      execFileSync('mount', ['-o', 'loop', join(medium, '..', 'image'), medium])
      return undefined
    },
  })
  t.match(requests, [{ reason: 'gone', directory: medium, number: 4 }, { reason: 'gone' }])
  t.equal(requests.length, 2, 'a mount point without its medium is not written to')
  t.ok(together([medium]).equals(whole))
  t.notOk(readdirSync(medium).some(name => name.endsWith('.partial')))
})

t.test('a second run on the next medium goes on after the first', async t => {
  const [one, two] = [join(scratch(t), 'one'), join(scratch(t), 'two')]
  mkdirSync(one)
  await splitBundle(tar, join(one, 'x.tar'), { volumeSize: SIZE })
  mkdirSync(two)
  for (const name of readdirSync(one)) if (/00[56]/.test(name)) renameSync(join(one, name), join(two, name))
  rmSync(join(one, 'x.tar.007'))
  const cut = readFileSync(join(two, 'x.tar.006'))
  writeFileSync(join(two, 'x.tar.006.partial'), cut.subarray(0, 1000))
  rmSync(join(two, 'x.tar.006'))
  rmSync(join(two, 'x.volume-006.json'))
  const notices: string[] = []
  await splitBundle(tar, join(two, 'x.tar'), { volumeSize: SIZE, onNotice: text => void notices.push(text) })
  t.match(notices, ['going on after x.tar.004, which is on another medium'])
  t.same(
    readdirSync(two).filter(name => /\.tar\.0/.test(name)),
    Array.from({ length: count - 4 }, (_, n) => `x.tar.00${n + 5}`),
  )
  for (const name of readdirSync(one)) if (/\.tar\.00[1-4]/.test(name)) cpSync(join(one, name), join(two, name))
  t.ok(together([two]).equals(whole))
})

t.test('a file that is too large for the process is refused before it is begun', async t => {
  const output = join(scratch(t), 'x.tar')
  const limited = (...words: readonly string[]): { status: number | null; stderr: string } =>
    spawnSync('prlimit', ['--fsize=524288', process.execPath, commandFile(), ...words], { encoding: 'utf8' })
  const { status, stderr } = limited('split', tar, '-o', output, '--volume-size', '1MiB')
  t.equal(status, 7)
  t.match(stderr, /cannot hold a file of more than 524kB \(524288 bytes\), but a volume has 1\.05MB/)
  const whole = limited('pack', `oci:${layout}`, '-o', output)
  t.match(whole, { status: 7, stderr: /can hold files of at most 524kB .*\nhint: .*cut the tar into volumes/ })
  for (const said of [stderr, whole.stderr]) t.match(said, /--volume-size 524288\./)
  t.match(limited('split', tar, '-o', output, '--volume-size', '524288'), { status: 0 }, 'which fits')
})
