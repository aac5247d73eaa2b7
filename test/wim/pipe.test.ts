/** WIMs that come out of a pipe: what libwim gets of them, and when it gets nothing. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { binding } from '../../src/wim/binding.js'
import { extractFromPipe } from '../../src/wim/pipe.js'
import type { WimProgress } from '../../src/wim/progress.js'
import type { Outcome, Report, Task } from '../fuzz/apply-all.js'
import { type CraftedDentry, craftPipableWim, DIRECTORY, directory, file, symlink } from '../fuzz/crafted-wim.js'
import { moduleFile } from '../support/module-file.js'
import { sampleTree, treeState } from '../support/wim-compare.js'
import { blobsOf, directoryWim, wimlib } from '../support/wims.js'

const CHILD = moduleFile('test/fuzz/apply-all')
const MIB = 1 << 20
/** A process that has applied some small WIMs has about 250 MB, most of it for compiling TypeScript. */
const MOST_MEMORY = 600 * MIB
/** Milliseconds of one round; the machine may be busy. */
const MOST_TIME = 5000
/** Of addresses, in KiB: node alone reserves some of them. With more memory than this the process ends. */
const MOST_ADDRESSES = 8 * 1024 * 1024

/** What became of each task, all done by one process. */
async function applyAll(t: Test, tasks: readonly Omit<Task, 'target'>[]): Promise<ReadonlyMap<string, Outcome>> {
  const scratch = mkdtempSync(join(tmpdir(), 'stowage-pipe-'))
  t.teardown(() => rmSync(scratch, { recursive: true, force: true }))
  const list = join(scratch, 'tasks.json')
  writeFileSync(list, JSON.stringify(tasks.map((task): Task => ({ ...task, target: join(scratch, 'target') }))))
  const limited = `ulimit -v ${MOST_ADDRESSES} -c 0; exec "$@"`
  const child = spawn('bash', ['-c', limited, 'bash', process.execPath, ...process.execArgv, CHILD, list], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 150_000,
  })
  let [out, err] = ['', '']
  child.stdout.on('data', piece => (out += String(piece)))
  child.stderr.on('data', piece => (err = (err + String(piece)).slice(-20_000)))
  const ended = await once(child, 'close')
  if (!t.same(ended, [0, null], `the process ends as it should: ${err}`)) return new Map()
  t.same(err.split('\n'), [...tasks.map(({ name }) => name), ''], 'and nothing in it prints')
  const { outcomes, peak, descriptors } = JSON.parse(out) as Report // printed by apply-all.ts
  t.ok(peak < MOST_MEMORY, `no more than ${Math.round(peak / MIB)} MiB`)
  t.ok(descriptors <= 0, `${descriptors} descriptors are left open`)
  for (const { name, untyped, slowest } of outcomes) {
    t.same(untyped, [], `${name}: every error is typed`)
    t.ok(slowest < MOST_TIME, `${name}: a round takes no longer than ${Math.round(slowest)} ms`)
  }
  return new Map(outcomes.map(outcome => [outcome.name, outcome]))
}

async function withFile<T>(path: string, flags: string, use: (fd: number) => Promise<T>): Promise<T> {
  const fd = openSync(path, flags)
  try {
    return await use(fd)
  } finally {
    closeSync(fd)
  }
}

const FORMS = {
  none: ['--compress=none'],
  xpress: ['--compress=XPRESS', '--chunk-size=4K'],
  lzx: ['--compress=LZX', '--check'],
  lzms: ['--compress=LZMS'],
}

/** A pipable WIM of a few KB, in a directory of its own. */
function small(t: Test, form: keyof typeof FORMS): string {
  const words = (n: number): Buffer => Buffer.from(Array.from({ length: 900 }, (_, i) => `${(i * n) % 977}`).join(' '))
  const files = { 'a/text': words(7), 'a/deep/er/text': words(11), noise: Buffer.from(incompressible('noise', 2000)) }
  return directoryWim(t, { files, args: ['--pipable', ...FORMS[form]] })
}

t.test('extractFromPipe() - applies pipable WIMs of every compression as wimlib-imagex does', async t => {
  const root = t.testdir({ tree: {} })
  sampleTree(join(root, 'tree'))
  // Metadata of more than one chunk.
  for (let n = 0; n < 100; n += 1)
    writeFileSync(join(root, 'tree/hollow', `${n} ${'long'.repeat(60)}`), text(`${n}`, 50))
  for (const [form, args] of Object.entries(FORMS)) {
    const wim = join(root, `${form}.wim`)
    wimlib('capture', join(root, 'tree'), wim, 'one', '--pipable', ...args)
    wimlib('append', join(root, 'tree'), wim, 'two')
    execFileSync('sh', ['-c', `wimlib-imagex apply - two ${form}-theirs < ${form}.wim`], { cwd: root, stdio: 'ignore' })
    const theirs = treeState(join(root, `${form}-theirs`))
    t.ok(Object.keys(theirs).length > 100)
    await withFile(wim, 'r', fd => extractFromPipe({ fd }, 'two', join(root, `${form}-file`)))
    t.same(treeState(join(root, `${form}-file`)), theirs, `${form}: from a file`)
    const cat = spawn('cat', [wim], { stdio: ['ignore', 'pipe', 'ignore'] })
    await extractFromPipe(cat.stdout, 2, join(root, `${form}-pipe`))
    t.same(treeState(join(root, `${form}-pipe`)), theirs, `${form}: from a pipe`)
  }
})

t.test('extractFromPipe() - takes the parts of a split WIM one after the other', async t => {
  const noise = (name: string): Buffer => Buffer.from(incompressible(name, MIB))
  const root = t.testdir({ tree: { a: noise('a'), b: noise('b'), c: noise('c') } })
  wimlib('capture', join(root, 'tree'), join(root, 'x.wim'), '--pipable', '--compress=none')
  wimlib('split', join(root, 'x.wim'), join(root, 'x.swm'), '1.5')
  const count = readdirSync(root).filter(name => name.endsWith('.swm')).length
  t.ok(count > 2, `${count} parts`)
  const parts = Array.from({ length: count }, (_, n) => `x${n === 0 ? '' : n + 1}.swm`)
  const events: WimProgress[] = []
  const input = Readable.from(parts.map(name => readFileSync(join(root, name))))
  await extractFromPipe(input, 1, join(root, 'ours'), { onProgress: event => events.push(event) })
  execFileSync('diff', ['-r', join(root, 'tree'), join(root, 'ours')])
  t.match(
    events.filter(({ type }) => type === 'extract-part-begin'),
    parts.map((_, n) => ({ partNumber: n + 1, totalParts: parts.length })),
  )
})

t.test('extractFromPipe() - applies a WIM made by hand, and not one whose directories share dentries', async t => {
  const root = t.testdir()
  let doubling: CraftedDentry[] = [file('x')]
  for (let level = 40; level >= 1; level -= 1) {
    doubling = [directory('a', doubling), { name: 'b', attributes: DIRECTORY, childrenOf: 2 * level - 1 }]
  }
  let long: CraftedDentry[] = Array.from({ length: 3000 }, (_, n) => ({ name: `file ${n}` }))
  for (let level = 0; level < 120; level += 1) long = [directory('n'.repeat(250), long)]
  const trees = {
    good: [directory('a', [file('x'), file('y')]), symlink('l', 'a\\x')],
    doubling: doubling,
    'a directory in itself': [directory('a', [file('x'), { name: 'b', attributes: DIRECTORY, childrenOf: 1 }])],
    'the root in a directory': [directory('a', [file('x'), { name: 'b', attributes: DIRECTORY, childrenOf: 0 }])],
    'long paths': long,
  }
  const tasks = Object.entries(trees).map(([name, tree]) => {
    const path = join(root, `${name}.wim`)
    craftPipableWim(path, [
      { name: 'good', tree: trees.good },
      { name: 'bad', tree },
    ])
    return { name, path, change: { type: 'none' } } as const
  })
  wimlib('verify', join(root, 'good.wim'))
  await withFile(join(root, 'good.wim'), 'r', fd => extractFromPipe({ fd }, 'bad', join(root, 'good')))
  t.equal(readFileSync(join(root, 'good/l'), 'utf8'), 'content of x')
  const outcomes = await applyAll(t, tasks)
  t.match(Object.fromEntries([...outcomes].map(([name, { ends, message }]) => [name, `${ends.join()} ${message}`])), {
    good: /^ok $/,
    doubling: /^WIM_CORRUPT .*in the pipe: the metadata of image 2 has a directory that contains itself/,
    'a directory in itself': /^WIM_CORRUPT .*in the pipe: the metadata of image 2 has a directory that contains itself/,
    'the root in a directory':
      /^WIM_CORRUPT .*in the pipe: the metadata of image 2 has a directory that contains itself/,
    'long paths': /^WIM_CORRUPT .*in the pipe: the metadata of image 2 has paths longer than any system allows/,
  })
})

t.test('extractFromPipe() - takes no more memory than the bytes that come are worth', { timeout: 200_000 }, async t => {
  const root = t.testdir({ tree: { zeros: '' } })
  truncateSync(join(root, 'tree/zeros'), 100 * MIB)
  const good = join(root, 'good.wim')
  const { xml, metadata } = craftPipableWim(good, [{ tree: [file('x')] }])
  const tasks: Omit<Task, 'target'>[] = []
  const lie = (name: string, change: (wim: Buffer) => Uint8Array | undefined): void => {
    const wim = readFileSync(good)
    const path = join(root, `${tasks.length}.wim`)
    writeFileSync(path, change(wim) ?? wim)
    tasks.push({ name, path, change: { type: 'none' } })
  }
  for (const [what, at] of [
    ['XML data', xml],
    ['metadata', metadata[0] ?? 0],
  ] as const) {
    for (const size of [
      0n,
      1n << 26n,
      0xffff_ffffn,
      1n << 32n,
      1n << 40n,
      1n << 62n,
      (1n << 63n) - 1n,
      (1n << 64n) - 1n,
    ]) {
      lie(`${what} of ${size} bytes`, wim => void wim.writeBigUInt64LE(size, at + 8))
      lie(`compressed ${what} of ${size} bytes`, wim => {
        wim.writeUInt32LE(0x40002, 0x10)
        wim.writeUInt32LE(32768, 0x14)
        wim.writeBigUInt64LE(size, at + 8)
        wim.writeUInt32LE(6, at + 36)
        return undefined
      })
    }
    lie(`solid ${what}`, wim => void wim.writeUInt32LE(0x12, at + 36))
    lie(`compressed ${what} without a compression`, wim => void wim.writeUInt32LE(6, at + 36))
    lie(`no ${what}`, wim => void wim.writeUInt32LE(0, at))
  }
  for (const size of [0, 3, 1 << 30]) {
    lie(`chunks of ${size} bytes`, wim => {
      wim.writeUInt32LE(0x80002, 0x10)
      wim.writeUInt32LE(size, 0x14)
      return undefined
    })
  }
  // What should be metadata is 100 MiB of zeros, in chunks of 2 MiB that take some hundred bytes each.
  wimlib('capture', join(root, 'tree'), join(root, 'zeros.wim'), '--pipable', '--compress=LZX', '--chunk-size=2M')
  const zeros = readFileSync(join(root, 'zeros.wim'))
  const [blob] = blobsOf(join(root, 'zeros.wim'))
  const begin = (blob?.offset ?? 0) - 40
  const resource = Buffer.from(zeros.subarray(begin, begin + 40 + (blob?.size ?? 0)))
  t.ok(resource.length < MIB / 2, `${resource.length} bytes`)
  resource.writeUInt32LE(resource.readUInt32LE(36) | 2, 36)
  const xmlEnd = zeros.indexOf(Buffer.from('d8b93d44a29b9b2b', 'hex'), 250)
  const rest = Buffer.alloc(MIB)
  lie('metadata that grow without measure', () => Buffer.concat([zeros.subarray(0, xmlEnd), resource, rest]))
  lie('XML data that grow without measure', () => Buffer.concat([zeros.subarray(0, 208), resource, rest]))
  const outcomes = await applyAll(t, tasks)
  t.equal(outcomes.size, tasks.length)
  for (const [name, { ends, message }] of outcomes) {
    const code = name === `chunks of ${1 << 30} bytes` ? 'UNSUPPORTED' : 'WIM_CORRUPT'
    t.same(ends, [code], `${name}: ${message}`)
  }
  t.match(
    outcomes.get('metadata that grow without measure')?.message,
    /metadata of image 1 grows to \d+ bytes from \d+,/,
  )
  t.match(outcomes.get('XML data that grow without measure')?.message, /the XML data has 104857600 bytes/)
})

t.test('extractFromPipe() - takes a WIM cut short for what it is', { timeout: 200_000 }, async t => {
  const forms = Object.keys(FORMS) as (keyof typeof FORMS)[]
  const wims = new Map(forms.map(form => [form, small(t, form)]))
  const tasks = [...wims].map(([name, path]) => ({ name, path, change: { type: 'cut', step: 512 } }) as const)
  for (const [form, { ends }] of await applyAll(t, tasks)) {
    const wim = wims.get(form as keyof typeof FORMS) ?? ''
    // Behind the last blob there is nothing that is needed.
    const end = Math.max(...blobsOf(wim).map(({ offset, size }) => offset + size))
    const needed = Math.ceil(end / 512)
    t.ok(needed > 8, `${form}: ${ends.length} rounds`)
    t.same(new Set(ends.slice(0, needed)), new Set(['WIM_CORRUPT']), form)
    t.same(ends.slice(needed), ends.slice(needed).fill('ok'), form)
  }
})

t.test('extractFromPipe() - bears bytes changed by chance', { timeout: 200_000 }, async t => {
  const tasks = (Object.keys(FORMS) as (keyof typeof FORMS)[]).map(
    (name, n) => ({ name, path: small(t, name), change: { type: 'flip', count: 150, seed: 31 + n } }) as const,
  )
  for (const [form, { ends }] of await applyAll(t, tasks)) {
    t.equal(ends.length, 150)
    t.ok(ends.filter(end => end === 'WIM_CORRUPT').length > 50, `${form}: ${JSON.stringify(ends)}`)
  }
})

const descriptors = (): readonly string[] => readdirSync('/proc/self/fd')

/** Waits until no more descriptors are open than were before. */
async function noMoreThan(t: Test, before: number, message: string): Promise<void> {
  const patience = Date.now() + 1000
  while (descriptors().length > before && Date.now() < patience) await setTimeout(20)
  t.equal(descriptors().length, before, message)
}

/** Gives some bytes, and then nothing, without an end. */
function silentAfter(bytes: Uint8Array): Readable {
  const stream = new Readable({ read: () => undefined })
  if (bytes.length > 0) stream.push(bytes)
  return stream
}

t.test('extractFromPipe() - ends within a second when it is aborted while nothing comes', async t => {
  const wim = small(t, 'lzx')
  const root = t.testdir()
  const bytes = readFileSync(wim)
  // Past the header of the XML data: the next resource.
  const metadata = bytes.indexOf(Buffer.from('d8b93d44a29b9b2b', 'hex'), 250)
  const blob =
    blobsOf(wim)
      .map(({ offset }) => offset)
      .sort((a, b) => a - b)[0] ?? 0
  await withFile(wim, 'r', fd => extractFromPipe({ fd }, 1, join(root, 'first')))
  const before = descriptors().length
  for (const size of [0, 100, 220, metadata + 50, blob - 20, blob + 20]) {
    // Stays open: only the abort ends it.
    const { read, write } = binding().openPipe()
    writeSync(write, bytes, 0, size)
    const controller = new AbortController()
    const job = extractFromPipe({ fd: read }, 1, join(root, `${size}`), { signal: controller.signal })
    const ended = t.rejects(job, { code: 'ABORTED' })
    await setTimeout(300)
    const asked = Date.now()
    controller.abort()
    await ended
    t.ok(Date.now() - asked < 1000, `${Date.now() - asked} ms after ${size} bytes`)
    await noMoreThan(t, before + 2, `and with it the threads, after ${size} bytes`)
    closeSync(read)
    closeSync(write)
  }
})

t.test('extractFromPipe() - leaves the descriptor to its caller, and none behind', async t => {
  const wim = small(t, 'lzx')
  const root = t.testdir()
  await withFile(wim, 'r', fd => extractFromPipe({ fd }, 1, join(root, 'first')))
  const before = descriptors().length
  for (const [image, code] of [
    [1, undefined],
    [9, 'IMAGE_NOT_FOUND'],
  ] as const) {
    await withFile(wim, 'r', async fd => {
      const ended = extractFromPipe({ fd }, image, join(root, `image ${image}`))
      if (code) await t.rejects(ended, { code })
      else await ended
      t.ok(fstatSync(fd).isFile())
    })
    t.equal(descriptors().length, before)
  }
  // libwim gives up, and nobody waits for what would have come.
  const asked = Date.now()
  const begin = readFileSync(wim).subarray(0, 1100)
  await t.rejects(extractFromPipe(silentAfter(begin), 9, join(root, 'x')), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(extractFromPipe(silentAfter(Buffer.alloc(300)), 1, join(root, 'x')), { code: 'NOT_A_WIM' })
  t.ok(Date.now() - asked < 1000)
  await noMoreThan(t, before, 'after it gave up')
  const cat = spawn('cat', [wim, '-'], { stdio: ['pipe', 'pipe', 'ignore'] })
  await extractFromPipe(cat.stdout, 1, join(root, 'whole'))
  cat.stdin.end()
  await once(cat, 'exit')
  execFileSync('diff', ['-r', join(root, 'first'), join(root, 'whole')])
})

t.test('extractFromPipe() - says what the system says of reading', async t => {
  const root = t.testdir({ file: '', directory: {} })
  const refuses = (fd: number, found: { code?: string; message: RegExp }): Promise<unknown> =>
    t.rejects(extractFromPipe({ fd }, 1, join(root, 'x')), found)
  const isDirectory = { code: 'INVALID_ARGUMENT', message: /read the WIM in the pipe: Is a directory/ }
  await withFile(join(root, 'directory'), 'r', fd => refuses(fd, isDirectory))
  await withFile(join(root, 'file'), 'a', fd =>
    refuses(fd, { message: /read the WIM in the pipe: Bad file descriptor/ }),
  )
  await refuses(99_999, { code: 'IO_ERROR', message: /Bad file descriptor/ })
})
