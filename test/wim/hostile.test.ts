import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import type { Outcome, Report, Task } from '../fuzz/read-all.js'
import { type CraftedDentry, type CraftedImage, craftWim, DIRECTORY, directory, file } from '../fuzz/crafted-wim.js'
import { LARGER } from '../support/emulation.js'
import { moduleFile } from '../support/module-file.js'
import { directoryWim, splitWim, wimlib } from '../support/wims.js'

const CHILD = moduleFile('test/fuzz/read-all')
const MIB = 1 << 20
/** A process that has read some small WIMs has about 250 MB, most of it for compiling TypeScript. */
const MOST_MEMORY = 600 * MIB * LARGER
/** Milliseconds of one round; the machine may be busy. */
const MOST_TIME = 5000
/** Of addresses, in KiB: node alone reserves some of them. With more memory than this the process ends. */
const MOST_ADDRESSES = 8 * 1024 * 1024

/** What became of each task, all done by one process. */
async function readAll(t: Test, tasks: readonly Task[]): Promise<ReadonlyMap<string, Outcome>> {
  const scratch = mkdtempSync(join(tmpdir(), 'stowage-hostile-'))
  t.teardown(() => rmSync(scratch, { recursive: true, force: true }))
  const list = join(scratch, 'tasks.json')
  writeFileSync(list, JSON.stringify(tasks))
  const command = [
    '-c',
    `ulimit -v ${MOST_ADDRESSES} -c 0; exec "$@"`,
    'bash',
    process.execPath,
    ...process.execArgv,
    CHILD,
    list,
  ]
  const child = spawn('bash', command, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 150_000 })
  let [out, err] = ['', '']
  child.stdout.on('data', piece => (out += String(piece)))
  child.stderr.on('data', piece => (err = (err + String(piece)).slice(-20_000)))
  const [code, signal] = await new Promise<[number | null, string | null]>(end =>
    child.on('close', (...how) => end(how)),
  )
  if (!t.same([code, signal], [0, null], `the process ends as it should: ${err}`)) return new Map()
  t.same(err.split('\n').slice(-20), [...tasks.map(({ name }) => name), ''].slice(-20), 'and nothing in it prints')
  const { outcomes, peak } = JSON.parse(out) as Report // printed by read-all.ts
  t.ok(peak < MOST_MEMORY, `no more than ${Math.round(peak / MIB)} MiB`)
  for (const { name, untyped, slowest } of outcomes) {
    t.same(untyped, [], `${name}: every error is typed`)
    t.ok(slowest < MOST_TIME, `${name}: a round takes no longer than ${Math.round(slowest)} ms`)
  }
  return new Map(outcomes.map(outcome => [outcome.name, outcome]))
}

const FORMS = {
  none: ['--compress=none'],
  xpress: ['--compress=XPRESS'],
  lzx: ['--compress=LZX', '--check'],
  lzms: ['--compress=LZMS'],
  solid: ['--solid', '--solid-chunk-size=32K'],
  pipable: ['--pipable'],
}
const words = (n: number): Buffer => Buffer.from(Array.from({ length: 900 }, (_, i) => `${(i * n) % 977}`).join(' '))
const noise = Buffer.from(Array.from({ length: 3000 }, (_, n) => ((n * n * 31) >> 3) & 255))
const SMALL = { 'a/text': words(7), 'a/deep/er/text': words(11), 'a/copy': words(7), noise, empty: Buffer.alloc(0) }

/** A directory with nothing but a small WIM of this form, or its parts. */
function small(t: Test, form: keyof typeof FORMS | 'split'): string {
  if (form === 'split') return dirname(splitSmall(t)[0] ?? '')
  const wim = directoryWim(t, { files: SMALL, args: FORMS[form] })
  return alone(wim)
}

function alone(wim: string): string {
  const directory = join(dirname(wim), 'alone')
  mkdirSync(directory)
  copyFileSync(wim, join(directory, basename(wim)))
  return directory
}

function splitSmall(t: Test): string[] {
  // libwim splits by MiB at the least, and never within a blob.
  return splitWim(t)
}

const forms = [...Object.keys(FORMS), 'split'] as (keyof typeof FORMS | 'split')[]

t.test('openWim(), verify() and entries() take a WIM cut short for what it is', { timeout: 200_000 }, async t => {
  const tasks = forms.map((name): Task => ({
    name,
    directory: small(t, name),
    change: { type: 'cut', step: name === 'split' ? 262_144 : 512 },
  }))
  for (const [form, { rounds, ends }] of await readAll(t, tasks)) {
    t.ok(rounds > 4, `${form}: ${rounds} rounds`)
    t.equal(ends['ok'], undefined, `${form}: none is whole: ${JSON.stringify(ends)}`)
  }
})

t.test('openWim(), verify() and entries() take bytes changed by chance', { timeout: 200_000 }, async t => {
  const tasks = forms.map((name, n): Task => ({
    name,
    directory: small(t, name),
    change: { type: 'flip', count: name === 'split' ? 30 : 300, seed: 77 + n },
  }))
  const halves = await Promise.all([
    readAll(
      t,
      tasks.filter((_, n) => n % 2 === 0),
    ),
    readAll(
      t,
      tasks.filter((_, n) => n % 2 === 1),
    ),
  ])
  for (const [form, { rounds, ends }] of [...halves[0], ...halves[1]]) {
    t.ok(rounds >= (form === 'split' ? 30 : 300), `${form}: ${rounds} rounds`)
    const { ok = 0, ...wrong } = ends
    t.ok(
      Object.values(wrong).reduce((sum, times) => sum + times, 0) > ok,
      `${form}: most are seen to be wrong: ${JSON.stringify(ends)}`,
    )
  }
})

/** A WIM as `change` leaves it, who is told where the entries of its blob table stand. */
function changed(t: Test, form: keyof typeof FORMS, change: (wim: Buffer, entries: readonly number[]) => void): string {
  const directory = small(t, form)
  const path = join(directory, 'tree.wim')
  const wim = readFileSync(path)
  const header = form === 'pipable' ? wim.length - 208 : 0
  const [table, size] = [Number(wim.readBigUInt64LE(header + 0x38)), wim.readUIntLE(header + 0x30, 6)]
  change(
    wim,
    Array.from({ length: Math.floor(size / 50) }, (_, n) => table + n * 50),
  )
  writeFileSync(path, wim)
  return directory
}

const isMetadata = (wim: Buffer, entry: number): boolean => (wim.readUInt8(entry + 7) & 2) !== 0
const HUGE = [1n << 63n, (1n << 63n) - 1n, (1n << 64n) - 1n, 1n << 62n, 1n << 40n]

t.test('openWim() and verify() bear sizes, offsets and counts that no file can have', { timeout: 200_000 }, async t => {
  const lies: Record<string, string> = {}
  for (const form of ['none', 'lzx', 'solid', 'pipable'] as const) {
    for (const [n, huge] of HUGE.entries()) {
      lies[`${form}: offset of a blob, ${n}`] = changed(
        t,
        form,
        (wim, entries) => void wim.writeBigUInt64LE(huge, (entries.find(entry => !isMetadata(wim, entry)) ?? 0) + 8),
      )
      lies[`${form}: size of a blob, ${n}`] = changed(
        t,
        form,
        (wim, entries) => void wim.writeBigUInt64LE(huge, (entries.find(entry => !isMetadata(wim, entry)) ?? 0) + 16),
      )
      lies[`${form}: size of the metadata, ${n}`] = changed(
        t,
        form,
        (wim, entries) => void wim.writeBigUInt64LE(huge, (entries.find(entry => isMetadata(wim, entry)) ?? 0) + 16),
      )
    }
    const header = (wim: Buffer): number => (form === 'pipable' ? wim.length - 208 : 0)
    for (const size of [0xffffffff, 0x80000000, 1 << 30, 3, 1]) {
      lies[`${form}: chunks of ${size} bytes`] = changed(
        t,
        form,
        wim => void wim.writeUInt32LE(size, header(wim) + 0x14),
      )
    }
    for (const count of [0xffffffff, 0x10000, 2]) {
      lies[`${form}: ${count} images`] = changed(t, form, wim => void wim.writeUInt32LE(count, header(wim) + 0x2c))
    }
    for (const [what, at] of [
      ['blob table', 0x30],
      ['XML', 0x48],
      ['integrity table', 0x7c],
    ] as const) {
      lies[`${form}: a huge ${what}`] = changed(
        t,
        form,
        wim => void wim.writeBigUInt64LE(1n << 62n, header(wim) + at + 16),
      )
      lies[`${form}: a ${what} past the end`] = changed(
        t,
        form,
        wim => void wim.writeBigUInt64LE(1n << 62n, header(wim) + at + 8),
      )
    }
    lies[`${form}: the most parts`] = changed(t, form, wim => void wim.writeUInt32LE(0xffff0001, header(wim) + 0x28))
  }
  const outcomes = await readAll(
    t,
    Object.entries(lies).map(([name, directory]): Task => ({ name, directory, change: { type: 'none' } })),
  )
  t.equal(outcomes.size, Object.keys(lies).length)
  for (const [what, { ends }] of outcomes) {
    if (/of a blob|of the metadata|past the end/.test(what)) t.equal(ends['ok'], undefined, `${what} is seen`)
  }
})

t.test('openWim(), verify() and entries() bear trees that no tool writes', { timeout: 200_000 }, async t => {
  // Two names a level for the same directory: 2^40 names, and libwim would make them all.
  let doubling: CraftedDentry[] = [file('x')]
  for (let level = 40; level >= 1; level -= 1) {
    doubling = [directory('a', doubling), { name: 'b', attributes: DIRECTORY, childrenOf: 2 * level - 1 }]
  }
  let deep: CraftedDentry[] = [file('x')]
  for (let level = 0; level < 10_000; level += 1) deep = [directory('d', deep)]
  let long: CraftedDentry[] = Array.from({ length: 3000 }, (_, n) => ({
    name: `file ${n}`,
    sha1: n.toString(16).padStart(40, '1'),
  }))
  for (let level = 0; level < 120; level += 1) long = [directory('n'.repeat(250), long)]
  const images: Readonly<Record<string, readonly CraftedImage[]>> = {
    doubling: [{ tree: doubling }],
    'a directory in itself': [
      { tree: [directory('a', [file('x'), { name: 'b', attributes: DIRECTORY, childrenOf: 1 }])] },
    ],
    'the root in a directory': [
      { tree: [directory('a', [file('x'), { name: 'b', attributes: DIRECTORY, childrenOf: 0 }])] },
    ],
    deep: [{ tree: deep }],
    'missing blobs below long paths': [{ tree: long }],
    'one metadata for many images': Array.from({ length: 500 }, (_, n) => ({
      name: `${n}`,
      tree: Array.from({ length: 500 }, (_, m) => file(`${m}`, 'same')),
    })),
  }
  const scratch = t.testdir(Object.fromEntries(Object.keys(images).map(name => [name, {}])))
  const tasks = Object.entries(images).map(([name, list]): Task => {
    craftWim(join(scratch, name, 'x.wim'), list)
    return { name, directory: join(scratch, name), change: { type: 'none' } }
  })
  const outcomes = await readAll(t, tasks)
  const ends = Object.fromEntries([...outcomes].map(([name, outcome]) => [name, outcome.ends]))
  t.match(ends, {
    doubling: { WIM_CORRUPT: 1 },
    'a directory in itself': { WIM_CORRUPT: 1 },
    'the root in a directory': { WIM_CORRUPT: 1 },
    deep: { WIM_CORRUPT: 1 },
    'missing blobs below long paths': { WIM_CORRUPT: 1 },
    'one metadata for many images': { ok: 1 },
  })
  t.match(outcomes.get('missing blobs below long paths')?.messages[0], /does not hold the blob with SHA-1 1+/)
  t.match(outcomes.get('deep')?.messages.join('\n'), /paths longer than any system allows/)
  t.match(outcomes.get('doubling')?.messages.join('\n'), /directories that (share dentries|overlap)/)
})

t.test('openWim() takes no XML data and no blob table that grow without measure', { timeout: 200_000 }, async t => {
  // 700 MiB of zeros, compressed as the WIM's own format has it: 1 MB.
  const zeros = t.testdir({ tree: {} })
  writeFileSync(join(zeros, 'tree/zero'), '')
  truncateSync(join(zeros, 'tree/zero'), 700 * MIB)
  wimlib('capture', join(zeros, 'tree'), join(zeros, 'z.wim'), 'zeros', '--compress=XPRESS', '--chunk-size=64K')
  rmSync(join(zeros, 'tree'), { recursive: true })
  const wim = readFileSync(join(zeros, 'z.wim'))
  const [table, size] = [Number(wim.readBigUInt64LE(0x38)), wim.readUIntLE(0x30, 6)]
  const entries = Array.from({ length: size / 50 }, (_, n) => table + n * 50)
  const entry = entries.find(at => wim.readBigUInt64LE(at + 16) === BigInt(700 * MIB)) ?? 0
  const tasks = (
    [
      ['XML', 0x48],
      ['blob table', 0x30],
    ] as const
  ).map(([name, at]): Task => {
    const lying = Buffer.from(wim)
    wim.copy(lying, at, entry, entry + 24)
    mkdirSync(join(zeros, name))
    writeFileSync(join(zeros, name, 'x.wim'), lying)
    return { name, directory: join(zeros, name), change: { type: 'none' } }
  })
  for (const [what, { ends }] of await readAll(t, tasks)) t.same(ends, { WIM_CORRUPT: 1 }, what)
})
