import { copyFile, cp, mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createRecoverySet, measure, planRecovery } from '../../src/recovery/create-set.js'
import { readRecoverySet, recoveryFiles, type RecoverySet } from '../../src/recovery/read-set.js'
import { examineFiles, repairFiles } from '../../src/recovery/repair-set.js'
import { bytesOf, flip, overwrite, par2, writeFiles } from '../support/recovery.js'
import { scratch } from '../support/scratch.js'

/** Blocks of 4096 bytes: 366, 13, 1 and 1, 381 in all. */
const SIZES = { 'x.tar.001': 1_495_040 + 4000, 'blobs/sha256/ab': 50_000, 'blobs/sha256/cd': 4096, 'a b ü': 1 }
const NAMES = Object.keys(SIZES)
const BLOCK = 4096

/** A directory of files with a set of 10 %, 39 blocks, `set.par2`. */
async function protectedFiles(t: Test): Promise<string> {
  const directory = scratch(t)
  writeFiles(directory, SIZES)
  await createRecoverySet(directory, await measure(directory, NAMES), 10, join(directory, 'set.par2'))
  return directory
}

async function setIn(directory: string): Promise<RecoverySet> {
  const set = await readRecoverySet(await recoveryFiles(join(directory, 'set.par2')))
  if (!set) throw new Error('there is no set')
  return set
}

/** Makes `set.par2` with par2, which takes its base path and its files only as absolute paths. */
function createWithPar2(directory: string, amount: string): number | null {
  const [set, ...files] = ['set.par2', ...NAMES].map(name => join(directory, name))
  return par2(directory, 'create', '-B', directory, `-s${BLOCK}`, amount, set ?? '', ...files)
}

/** Whether every file has the bytes that it was written with. */
async function isWhole(directory: string): Promise<boolean> {
  for (const [name, size] of Object.entries(SIZES)) {
    const bytes = await readFile(join(directory, name)).catch(() => undefined)
    if (!bytes?.equals(bytesOf(name, size))) return false
  }
  return true
}

async function repair(directory: string) {
  const set = await setIn(directory)
  return await repairFiles(set, directory, await examineFiles(set, directory))
}

/** What happens to bundles, each within what 38 blocks repair. */
const DAMAGE: Readonly<Record<string, (directory: string) => Promise<void>>> = {
  'random flips': async directory => await flip(join(directory, 'x.tar.001'), 0, 5000, 77_777, 1_000_000, 1_499_039),
  'a hole': async directory => await overwrite(join(directory, 'x.tar.001'), 400_000, Buffer.alloc(100_000)),
  'a truncated tail': async directory => await truncate(join(directory, 'x.tar.001'), 1_400_000),
  'bytes at the end': async directory => await writeFile(join(directory, 'x.tar.001'), 'more', { flag: 'a' }),
  'an empty file': async directory => await truncate(join(directory, 'blobs/sha256/ab'), 0),
  'a lost file': async directory => await rm(join(directory, 'blobs/sha256/ab')),
  'a lost directory': async directory => await rm(join(directory, 'blobs'), { recursive: true }),
  'all of it at once': async directory => {
    await rm(join(directory, 'blobs'), { recursive: true })
    await rm(join(directory, 'a b ü'))
    await truncate(join(directory, 'x.tar.001'), 1_495_040)
    await flip(join(directory, 'x.tar.001'), 9, 123_456)
  },
}

t.test('par2 verify and par2 repair take what createRecoverySet() wrote', async t => {
  for (const [what, damage] of Object.entries(DAMAGE)) {
    const directory = await protectedFiles(t)
    t.equal(par2(directory, 'verify', '-B', '.', 'set.par2'), 0, 'par2 finds it whole')
    await damage(directory)
    t.equal(par2(directory, 'verify', '-B', '.', 'set.par2'), 1, `${what}: par2 sees it and says that it can repair it`)
    t.equal(par2(directory, 'repair', '-B', '.', 'set.par2'), 0, `${what}: par2 repairs it`)
    t.ok(await isWhole(directory), what)
  }
})

t.test('repairFiles() repairs the same with what par2 create wrote', async t => {
  const made = scratch(t)
  writeFiles(made, SIZES)
  t.equal(createWithPar2(made, '-r10'), 0)
  for (const [what, damage] of Object.entries(DAMAGE)) {
    const directory = scratch(t)
    await cp(made, directory, { recursive: true })
    await damage(directory)
    await repair(directory)
    t.ok(await isWhole(directory), what)
    t.match(await examineFiles(await setIn(directory), directory), { files: [], missing: [] })
  }
})

t.test('repairFiles() repairs the same with our own, and says what was damaged', async t => {
  for (const [what, damage] of Object.entries(DAMAGE)) {
    const directory = await protectedFiles(t)
    await damage(directory)
    await repair(directory)
    t.ok(await isWhole(directory), what)
    t.equal(par2(directory, 'verify', '-B', '.', 'set.par2'), 0, `${what}: par2 agrees`)
    t.same(
      (await readdir(directory)).filter(name => name.startsWith('.') || name.endsWith('.partial')),
      [],
      'and nothing else is left',
    )
  }
  const directory = await protectedFiles(t)
  await DAMAGE['all of it at once']?.(directory)
  const { files, blocks } = await repair(directory)
  t.equal(blocks, 13 + 1 + 1 + 3)
  t.strictSame(
    files.find(({ name }) => name === 'x.tar.001'),
    { name: 'x.tar.001', damaged: 3, blocks: 366, found: 1_495_040, size: 1_499_040 },
  )
  t.match(
    files.find(({ name }) => name === 'a b ü'),
    { damaged: 1, blocks: 1, found: undefined },
  )
})

t.test('createRecoverySet() makes the very blocks that par2 makes, whatever its memory and its threads', async t => {
  const directory = await protectedFiles(t)
  const ours = await setIn(directory)
  const theirs = scratch(t)
  writeFiles(theirs, SIZES)
  t.equal(createWithPar2(theirs, `-c${ours.recovery.length}`), 0)
  const blocksOf = async (set: RecoverySet) =>
    await Promise.all(
      set.recovery.map(async ({ exponent, range: { path, offset, size } }) => {
        const block = (await readFile(path)).subarray(offset, offset + size)
        return `${exponent} ${block.toString('base64')}`
      }),
    )
  const expected = await setIn(theirs)
  t.equal(ours.id, expected.id)
  t.same(await blocksOf(ours), await blocksOf(expected))

  const before = await readFile(join(directory, 'set.vol000+39.par2'))
  for (const memory of [1, 2_000_000]) {
    // Blocks of 40,000 bytes, so that with little memory each is made in ten slices
    const options = { blockSize: 40_000, memory }
    await createRecoverySet(directory, await measure(directory, NAMES), 25, join(directory, 'set.par2'), options)
    t.equal(par2(directory, 'verify', '-B', '.', 'set.par2'), 0)
    await DAMAGE['a lost directory']?.(directory)
    const set = await setIn(directory)
    await repairFiles(set, directory, await examineFiles(set, directory), { memory })
    t.ok(await isWhole(directory), `with ${memory} bytes`)
  }
  await createRecoverySet(directory, await measure(directory, NAMES), 10, join(directory, 'set.par2'))
  t.ok(before.equals(await readFile(join(directory, 'set.vol000+39.par2'))), 'the same files give the same bytes')
  t.same(
    (await readdir(directory)).filter(name => name.startsWith('set.')).sort(),
    ['set.par2', 'set.vol000+39.par2'],
    'and a set that is replaced leaves nothing',
  )
})

t.test(
  'repairFiles() repairs as many blocks as there are recovery blocks, and says how many one more lacks',
  async t => {
    const directory = await protectedFiles(t)
    const path = join(directory, 'x.tar.001')
    const first = Array.from({ length: 39 }, (_, n) => n * 2 * BLOCK + n)
    await flip(path, ...first)
    t.match(await repair(directory), { blocks: 39 })
    t.ok(await isWhole(directory))

    await flip(path, ...first, 200 * BLOCK, 300 * BLOCK)
    const damaged = await readFile(path)
    await t.rejects(repair(directory), {
      code: 'BUNDLE_INVALID',
      message: '41 blocks are damaged, 39 recovery blocks are there: 2 more are needed',
    })
    t.ok(damaged.equals(await readFile(path)), 'the file was not touched')
    t.equal(par2(directory, 'verify', '-B', '.', 'set.par2'), 2, 'par2 says so as well')
  },
)

t.test('a block that is whole in another place needs no recovery block', async t => {
  const directory = scratch(t)
  writeFiles(directory, { 'one.bin': 400_000 })
  await copyFile(join(directory, 'one.bin'), join(directory, 'two.bin'))
  const files = await measure(directory, ['one.bin', 'two.bin'])
  await createRecoverySet(directory, files, 1, join(directory, 'set.par2'))
  await rm(join(directory, 'two.bin'))
  const condition = await examineFiles(await setIn(directory), directory)
  t.match(condition, { missing: [], files: [{ name: 'two.bin', damaged: 98 }] })
  await repairFiles(await setIn(directory), directory, condition)
  t.ok((await readFile(join(directory, 'two.bin'))).equals(bytesOf('one.bin', 400_000)))
})

t.test('readRecoverySet() uses what is whole of PAR2 files that are damaged themselves', async t => {
  const directory = await protectedFiles(t)
  const volume = join(directory, 'set.vol000+39.par2')
  const { size } = await stat(volume)
  await rm(join(directory, 'set.par2'))
  await flip(volume, 70, 5000)
  t.match(await setIn(directory), { blocks: 381, recovery: { length: 39 } }, 'its first half is gone, its end is not')
  const block = (await setIn(directory)).recovery[7]?.range.offset ?? 0
  await flip(volume, block + 5)
  t.match(await setIn(directory), { recovery: { length: 38 }, damaged: 1 })
  await truncate(volume, size - 9000)
  await overwrite(volume, 1000, Buffer.alloc(8000))
  t.equal(await readRecoverySet([volume]), undefined, 'no copy of the descriptions is left')
  t.equal(await readRecoverySet([]), undefined)
  await writeFile(join(directory, 'set.par2'), 'PAR2\0PKT and no more')
  t.equal(await readRecoverySet([join(directory, 'set.par2')]), undefined)
})

t.test('repairFiles() writes through no link, and what it cannot repair it leaves', async t => {
  const directory = await protectedFiles(t)
  const outside = scratch(t)
  await mkdir(join(outside, 'sha256'))
  await rm(join(directory, 'blobs'), { recursive: true })
  await symlink(outside, join(directory, 'blobs'))
  await t.rejects(repair(directory), { code: 'UNSUPPORTED', message: /blobs cannot be repaired: it is a link/ })
  t.same(await readdir(join(outside, 'sha256')), [])
})

t.test('planRecovery() makes about 2,000 blocks, and says what PAR2 cannot number', t => {
  const one = (size: number) => planRecovery([{ name: 'x.tar', size }], 5)
  t.match(one(1), { blockSize: 4096, blocks: 1, recoveryBlocks: 1 })
  t.match(one(4_000_000), { blockSize: 4096, blocks: 977, recoveryBlocks: 49 })
  t.match(one(1e9), { blockSize: 503_808, blocks: 1985, recoveryBlocks: 100 })
  const large = one(1e12)
  t.ok(large.largest <= 2 ** 32 - 1, 'no file is too large for FAT32')
  t.ok(large.size > 5e10)
  const files = Array.from({ length: 30_000 }, (_, n) => ({ name: `blobs/${n}`, size: 1 }))
  t.match(planRecovery(files, 5), { blocks: 30_000 })
  const more = [...files, ...files.map(({ size }, n) => ({ name: `more/${n}`, size }))]
  t.throws(() => planRecovery(more, 5), {
    code: 'UNSUPPORTED',
    message: /at most 32768 blocks, .* these 60000 files take 60000/,
    hint: /as one tar/,
  })
  for (const percent of [0, -1, 101, NaN]) t.throws(() => planRecovery(files, percent), { code: 'INVALID_ARGUMENT' })
  t.end()
})
