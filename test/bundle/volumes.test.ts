/** Bundles in volumes: what sha256sum, cat and the other readers make of them, and what is said of volumes that are wrong. */
import { execFileSync, spawn } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { protectBundle } from '../../src/verbs/protect.js'
import { repairBundle } from '../../src/verbs/repair.js'
import { joinVolumes, splitBundle } from '../../src/verbs/volumes.js'
import { formatSize } from '../../src/size-text.js'
import { commandFile, stowage } from '../support/command.js'
import { layeredImage, noise, writeLayout } from '../support/images.js'
import { inTerminal } from '../support/terminal.js'
import { scratch } from '../support/scratch.js'

const root = t.testdir()
const layout = join(root, 'layout')
await writeLayout(layout, {
  'shop:1': await layeredImage(3, { size: 300_000, seed: 'shop' }),
  'monitor:2': await layeredImage(2, { size: 150_000, seed: 'monitor' }),
})
const images = [`oci:${layout}:shop:1`, `oci:${layout}:monitor:2`]
const SIZE = 256 * 1024
const carried = join(root, 'notes.bin')
await writeFile(carried, noise(100_000, 'notes'))
const files = [{ from: carried, path: 'notes.bin' }]
const tar = join(root, 'x.tar')
await pack(images, tar, { epoch: 0, files })
const total = statSync(tar).size
const count = Math.ceil(total / SIZE)
const set = join(root, 'set')
mkdirSync(set)
const packed = await pack(images, join(set, 'x.tar'), { epoch: 0, files, volumeSize: SIZE })

/** A copy of the set, to spoil. */
function copyOf(t: Test): string {
  const copy = join(scratch(t), 'set')
  cpSync(set, copy, { recursive: true })
  return copy
}

const name = (number: number): string => `x.tar.${String(number).padStart(3, '0')}`
const beside = (number: number): string => `x.volume-${String(number).padStart(3, '0')}.json`

t.test('the volumes are the tar, for cat and sha256sum', async t => {
  t.match(packed, { form: 'volumes', size: total, unchanged: false, volumes: { count, total } })
  t.ok(count >= 4, 'there are some')
  const joined = execFileSync('sh', ['-c', 'cat x.tar.0*'], { cwd: set, maxBuffer: 2 * total })
  t.ok(joined.equals(readFileSync(tar)), 'cat x.tar.0* is what pack writes in one piece')
  execFileSync('sha256sum', ['--check', '--strict', '--quiet', 'x.volumes.sha256'], { cwd: set })
  t.same(
    readdirSync(set).sort(),
    [...Array.from({ length: count }, (_, n) => [name(n + 1), beside(n + 1)]).flat(), 'x.volumes.sha256'].sort(),
  )
})

t.test('a volume is described beside it', async t => {
  const first = JSON.parse(readFileSync(join(set, beside(1)), 'utf8')) as Record<string, unknown>
  const last = JSON.parse(readFileSync(join(set, beside(count)), 'utf8')) as Record<string, unknown>
  t.match(first, { schemaVersion: 1, number: 1, count, offset: 0, size: SIZE, total })
  t.match(last, { number: count, count, size: total - SIZE * (count - 1), set: first['set'] })
  const sum = execFileSync('sha256sum', [join(set, name(1))], { encoding: 'utf8' }).slice(0, 64)
  t.equal(first['digest'], `sha256:${sum}`)
})

t.test('verify, load, inspect, copy and serve read them as a bundle, wherever they are', async t => {
  const [one, two] = [join(scratch(t), 'one'), join(scratch(t), 'two')]
  cpSync(set, one, { recursive: true })
  mkdirSync(two)
  for (let number = 2; number <= count; number += 2)
    for (const each of [name(number), beside(number)]) renameSync(join(one, each), join(two, each))
  for (const path of [set, join(set, 'x.tar'), join(set, name(2)), join(set, 'x.volumes.sha256')])
    t.match(await verifyBundle(path), { ok: true }, path)
  t.match(await stowage(['verify', two, one]), { code: 0, stdout: /: OK \(\d+ files/ })
  const all = new RegExp(`, one tar of ${formatSize(total)}, all as listed`)
  for (const path of [set, join(set, name(2))]) t.match((await stowage(['verify', path])).stdout, all, path)
  const store = join(scratch(t), 'store')
  t.match(await stowage(['load', two, one, '--to', `oci:${store}`]), { code: 0, stdout: /Loaded 2 images/ })
  t.match(await stowage(['load', one, 'shop:1', two, '--to', `oci:${store}`]), { code: 0, stdout: /Loaded 1 image / })
  t.match(await stowage(['inspect', `bundle:${join(set, 'x.tar')}:shop:1`]), { code: 0 })
  t.match(await stowage(['copy', `bundle:${set}:shop:1`, `oci:${store}`]), { code: 0 })
  await served(t, [one, two])
})

/** Every blob of the layout comes from `serve PATHS` as it is. */
async function served(t: Test, paths: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [
    commandFile(),
    'serve',
    ...paths,
    '--listen',
    ':0',
    '--json',
    '--progress',
    'none',
  ])
  try {
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece))
    while (!text.includes('\n}\n')) await sleep(50)
    const { url } = JSON.parse(text) as { url: string }
    for (const hex of readdirSync(join(layout, 'blobs', 'sha256'))) {
      const found = await fetch(`${url}/v2/library/shop/blobs/sha256:${hex}`)
      const other = found.ok ? found : await fetch(`${url}/v2/library/monitor/blobs/sha256:${hex}`)
      const bytes = Buffer.from(await other.arrayBuffer())
      if (other.ok) t.ok(bytes.equals(readFileSync(join(layout, 'blobs', 'sha256', hex))), hex)
    }
    const [layer = ''] = readdirSync(join(layout, 'blobs', 'sha256')).filter(
      hex => statSync(join(layout, 'blobs', 'sha256', hex)).size > SIZE,
    )
    const whole = readFileSync(join(layout, 'blobs', 'sha256', layer))
    const part = await fetch(`${url}/v2/library/shop/blobs/sha256:${layer}`, {
      headers: { range: `bytes=200000-${whole.length - 2}` },
    })
    t.equal(part.status, 206)
    t.ok(
      Buffer.from(await part.arrayBuffer()).equals(whole.subarray(200_000, whole.length - 1)),
      'a range across volumes',
    )
  } finally {
    child.kill()
  }
}

t.test('what is wrong is named at once, and nothing is loaded', async t => {
  const other = join(scratch(t), 'other')
  mkdirSync(other)
  await pack([`oci:${layout}:shop:1`], join(other, 'x.tar'), { epoch: 0, volumeSize: SIZE })
  const cases: readonly (readonly [string, (directory: string) => void, RegExp])[] = [
    ['shortened', at => truncateSync(join(at, name(2)), SIZE - 1), /x\.tar\.002: expected .*it was cut short/],
    ['duplicated', at => cpSync(join(at, name(1)), join(at, name(2))), /x\.tar\.002: it has the content of volume 1/],
    [
      'exchanged',
      at => {
        renameSync(join(at, name(1)), join(at, 'spare'))
        renameSync(join(at, name(2)), join(at, name(1)))
        renameSync(join(at, 'spare'), join(at, name(2)))
      },
      /x\.tar\.001: it has the content of volume 2[^]*x\.tar\.002: it has the content of volume 1/,
    ],
    [
      'of another set',
      at => {
        for (const each of [name(2), beside(2)]) cpSync(join(other, each), join(at, each))
      },
      /x\.tar\.002: it is volume 2 of \d of another set/,
    ],
    [
      'stale',
      at => cpSync(join(other, name(2)), join(at, name(2))),
      /x\.tar\.002: its content is not what x\.volume-002\.json/,
    ],
    ['missing', at => rmSync(join(at, name(3))), /x\.tar\.003: volume 3 of \d is not there/],
    [
      'renamed',
      at => renameSync(join(at, name(2)), join(at, 'volume two')),
      /x\.tar\.002: volume 2 of \d is not there, but its content is in .*volume two: give that its name, x\.tar\.002/,
    ],
    [
      'renamed with its description',
      at => {
        renameSync(join(at, name(2)), join(at, name(9)))
        renameSync(join(at, beside(2)), join(at, beside(9)))
      },
      /x\.tar\.009: it is of another set: this one has \d volumes|x\.tar\.002: volume 2 of \d is not there/,
    ],
    [
      'described badly',
      at => void writeText(join(at, beside(2)), '{"schemaVersion":1}'),
      /x\.volume-002\.json.*expected sha256/,
    ],
  ]
  for (const [what, spoil, said] of cases) {
    const copy = copyOf(t)
    spoil(copy)
    const { ok, findings } = await verifyBundle(copy)
    t.match(findings.map(({ path, message }) => `${path}: ${message}`).join('\n'), said, what)
    t.equal(ok, false, what)
    const store = join(copy, 'store')
    await t.rejects(loadBundle(copy, { to: `oci:${store}` }), { code: /^VOLUME_/ }, what)
    t.notOk(existsSync(store), `${what}: nothing is loaded`)
    rmSync(copy, { recursive: true })
  }
})

function writeText(path: string, text: string): void {
  execFileSync('tee', [path], { input: text, stdio: ['pipe', 'ignore', 'inherit'] })
}

t.test('a flipped byte is found by verify, by --alone and by join, but its samples may not show it', async t => {
  const copy = copyOf(t)
  const bytes = readFileSync(join(copy, name(2)))
  bytes[20_000]! ^= 1
  await writeFile(join(copy, name(2)), bytes)
  t.match(await stowage(['verify', copy]), { code: 4, stdout: /DIGEST_MISMATCH|VOLUME_WRONG/ })
  t.match(await stowage(['verify', '--alone', copy]), { code: 4, stdout: /x\.tar\.002/ })
  const joined = join(copy, 'joined.tar')
  await t.rejects(joinVolumes([copy], joined), /x\.tar\.002/)
  t.notOk(existsSync(joined))
})

t.test('some volumes can be checked alone', async t => {
  const copy = copyOf(t)
  rmSync(join(copy, name(1)))
  rmSync(join(copy, name(3)))
  const { stdout, code } = await stowage(['verify', '--alone', copy])
  t.equal(code, 0)
  t.match(stdout, /x\.tar: volumes 2 and 4.* of \d are whole; 1 and 3 not here/)
  t.match(await stowage(['verify', copy]), { code: 4, stdout: /to check what is here: stowage verify --alone/ })
  t.match(await stowage(['load', copy, '--to', `oci:${join(copy, 'store')}`]), {
    code: 4,
    stderr: /x\.tar: volumes 1 and 3 of \d are missing\nhint: Name all directories/,
  })
  t.match(await stowage(['verify', '--alone', tar]), { code: 2, stderr: /only volumes can be checked alone/ })
})

t.test('volumes without descriptions are read by their numbers', async t => {
  const copy = copyOf(t)
  for (let number = 1; number <= count; number += 1) rmSync(join(copy, beside(number)))
  t.match(await verifyBundle(copy), { ok: true })
  rmSync(join(copy, name(count)))
  t.match(await stowage(['verify', join(copy, 'x.tar')]), { code: 4, stdout: /INVALID_TAR/ })
  rmSync(join(copy, name(2)))
  t.match(await stowage(['verify', join(copy, 'x.tar')]), { code: 4, stdout: /x\.tar\.002: volume 2 of the set/ })
})

t.test('split and join', async t => {
  const at = scratch(t)
  await splitBundle(tar, join(at, 's.tar'), { volumeSize: 3 * SIZE })
  t.ok(execFileSync('sh', ['-c', 'cat s.tar.0*'], { cwd: at, maxBuffer: 2 * total }).equals(readFileSync(tar)))
  t.match(await joinVolumes([at], join(at, 'joined.tar')), { size: total })
  t.ok(readFileSync(join(at, 'joined.tar')).equals(readFileSync(tar)))
  const piped = execFileSync(process.execPath, [commandFile(), 'join', set, '-o', '-'], {
    maxBuffer: 2 * total,
    stdio: 'pipe',
  })
  t.ok(piped.equals(readFileSync(tar)), 'to standard output')
  const directory = join(at, 'directory')
  mkdirSync(directory)
  execFileSync('tar', ['-xf', tar, '-C', directory])
  await splitBundle(directory, join(at, 'd.tar'), { volumeSize: SIZE })
  t.match(await verifyBundle(join(at, 'd.tar')), { ok: true })
  await splitBundle(join(set, 'x.tar'), join(at, 'again.tar'), { volumeSize: 2 * SIZE })
  t.ok(execFileSync('sh', ['-c', 'cat again.tar.0*'], { cwd: at, maxBuffer: 2 * total }).equals(readFileSync(tar)))
  t.match(await splitBundle(tar, join(at, 's.tar'), { volumeSize: 3 * SIZE }), { unchanged: true })
})

t.test('a volume that is lost, and one that is damaged, are made again from recovery data', async t => {
  const copy = copyOf(t)
  const protectedSet = await protectBundle(join(copy, 'x.tar'), { percent: 60 })
  t.equal(protectedSet.index, join(copy, 'x.tar.par2'))
  execFileSync('par2', ['verify', '-q', 'x.tar.par2'], { cwd: copy })
  t.ok(execFileSync('sh', ['-c', 'cat x.tar.0*'], { cwd: copy, maxBuffer: 2 * total }).equals(readFileSync(tar)))
  for (const each of [name(2), beside(2)]) rmSync(join(copy, each))
  damage(copy, 3, 1000)
  t.match(await stowage(['verify', copy]), { code: 4, stderr: /hint: Its recovery data may repair it/ })
  t.match(await repairBundle(copy), { ok: true, repair: { outcome: 'repaired' } })
  for (const each of readdirSync(set)) t.ok(readFileSync(join(copy, each)).equals(readFileSync(join(set, each))), each)
})

t.test('a damaged bundle is not split', async t => {
  const at = scratch(t)
  const bytes = readFileSync(tar)
  bytes[total - 300_000]! ^= 1
  await writeFile(join(at, 'bad.tar'), bytes)
  await t.rejects(splitBundle(join(at, 'bad.tar'), join(at, 'y.tar'), { volumeSize: SIZE }), {
    code: 'DIGEST_MISMATCH',
  })
  t.notOk(existsSync(join(at, 'y.volumes.sha256')))
  t.match(await stowage(['verify', join(at, 'y.tar')]), { code: 4 }, 'what was written does not pass for a bundle')
})

t.test('nothing that exists is overwritten', async t => {
  const copy = copyOf(t)
  const again = async (): Promise<unknown> =>
    await pack([`oci:${layout}:shop:1`], join(copy, 'x.tar'), { epoch: 0, volumeSize: SIZE })
  await t.rejects(again(), {
    code: 'OUTPUT_EXISTS',
    message: /x\.tar\.00\d exists already, and is a volume of another set/,
  })
  await t.rejects(pack(images, tar, { volumeSize: SIZE }), { code: 'OUTPUT_EXISTS' })
  t.same(readdirSync(copy).sort(), readdirSync(set).sort())
  for (const each of readdirSync(set)) t.ok(readFileSync(join(copy, each)).equals(readFileSync(join(set, each))), each)
  const same = await pack(images, join(copy, 'x.tar'), { epoch: 0, files, volumeSize: SIZE })
  t.equal(same.unchanged, true, 'but the same set is there already')
})

t.test('an interrupted pack is resumed from what is right, byte for byte', async t => {
  const spoils: readonly (readonly [string, (directory: string) => void])[] = [
    ['in the middle of a volume', at => renameShort(at, 2, 100_000)],
    ['without its description', at => rmSync(join(at, beside(2)))],
    ['with a damaged end', at => damage(at, 2, SIZE - 10)],
    ['with a damaged blob that began in the volume before', at => damage(at, 2, 10)],
    ['before the first byte', at => renameShort(at, 1, 0)],
  ]
  for (const [what, spoil] of spoils) {
    const copy = copyOf(t)
    for (let number = 3; number <= count; number += 1)
      for (const each of [name(number), beside(number)]) rmSync(join(copy, each))
    rmSync(join(copy, 'x.volumes.sha256'))
    spoil(copy)
    await pack(images, join(copy, 'x.tar'), { epoch: 0, files, volumeSize: SIZE })
    t.same(readdirSync(copy).sort(), readdirSync(set).sort(), what)
    for (const each of readdirSync(set))
      t.ok(readFileSync(join(copy, each)).equals(readFileSync(join(set, each))), `${what}: ${each}`)
    rmSync(copy, { recursive: true })
  }
})

function renameShort(at: string, number: number, size: number): void {
  for (let each = number; each <= 2; each += 1) rmSync(join(at, beside(each)))
  renameSync(join(at, name(number)), join(at, `${name(number)}.partial`))
  truncateSync(join(at, `${name(number)}.partial`), size)
  if (number === 1) rmSync(join(at, name(2)))
}

function damage(at: string, number: number, position: number): void {
  const bytes = readFileSync(join(at, name(number)))
  bytes[position]! ^= 1
  execFileSync('tee', [join(at, name(number))], { input: bytes, stdio: ['pipe', 'ignore', 'inherit'] })
}

t.test('a killed pack leaves no false whole, and is resumed', async t => {
  const at = scratch(t)
  const words = ['pack', ...images, '--volume-size', '64KiB', '-o', join(at, 'x.tar')]
  for (const wait of [250, 320, 400]) {
    const child = spawn(process.execPath, [commandFile(), ...words], { stdio: 'ignore' })
    await sleep(wait)
    child.kill('SIGKILL')
    await new Promise(resolve => child.once('close', resolve))
    const names = readdirSync(at)
    if (names.some(each => each.startsWith('x.tar.0')) && !names.includes('x.volumes.sha256'))
      t.equal((await stowage(['verify', join(at, 'x.tar')])).code === 0, false, `killed after ${wait} ms`)
  }
  t.match(await stowage(words), { code: 0 })
  t.match(await stowage(['verify', join(at, 'x.tar')]), { code: 0 })
  t.notOk(
    readdirSync(at).some(each => each.endsWith('.partial')),
    'and leaves nothing behind',
  )
})

t.test('the arguments are checked', async t => {
  const at = scratch(t)
  for (const [words, said] of [
    [['-o', join(at, 'x.tar.gz'), '--volume-size', '1M'], /cannot be cut into volumes: they are parts of a plain tar/],
    [['-o', join(at, 'x'), '--volume-size', '1M'], /cannot be cut into volumes/],
    [['-o', '-', '--volume-size', '1M'], /cannot be cut into volumes/],
    [['-o', `oci:${join(at, 'x')}`, '--volume-size', '1M'], /takes no --volume-size/],
    [
      ['-o', join(at, 'x.tar'), '--volume-size', '12X'],
      /"12X" is not the size of a volume\nhint: Write fat32, or a size/,
    ],
    [['-o', join(at, 'x.tar'), '--volume-size', '10'], /is not the size of a volume/],
  ] as const) {
    const { stderr, code } = await stowage(['pack', `oci:${layout}:shop:1`, ...words])
    t.match(stderr, said)
    t.equal(code, 2)
  }
  t.match(await stowage(['verify', set, tar]), { code: 2, stderr: /holds no volumes\nhint: Several paths/ })
  t.same(readdirSync(at), [])
})

t.test('on a terminal, verify and load wait for the medium that has the next volume', async t => {
  const [one, two] = [join(scratch(t), 'one'), join(scratch(t), 'two')]
  cpSync(set, one, { recursive: true })
  mkdirSync(two)
  for (const each of [name(2), beside(2)]) renameSync(join(one, each), join(two, each))
  let asked = false
  const run = await inTerminal(['verify', one], {
    width: 200,
    answer: text => {
      if (asked || !/x\.tar\.002 is not in \S+one\. Plug in the medium that has it,/.test(text)) return undefined
      asked = true
      return `${two}\n`
    },
  })
  t.equal(run.code, 0, run.text)
  t.match(run.text, /: OK \(/)
  const given = await inTerminal(['verify', one], { width: 200, until: text => text.includes('Ctrl-C stops') })
  t.equal(given.code, 130)
})
