import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mergeHives, type MergedHive } from '../../../src/windows/hive/merge-hives.js'
import { makeHive, type MadeKey, type MadeValue, plainHive, readHive } from '../../support/hives.js'

const text = (value: string): MadeValue => ({ type: 1, data: Buffer.from(`${value}\0`, 'utf16le') })
const number = (value: number): MadeValue => ({ type: 4, data: Buffer.from([value, 0, 0, 0]) })
const binary = (size: number): MadeValue => ({ type: 3, data: Buffer.alloc(size, 'abcdefg') })

async function merged(directory: string, base: MadeKey, delta: MadeKey): Promise<MergedHive & { path: string }> {
  const [below, above, path] = ['base', 'delta', 'merged'].map(name => join(directory, name)) as [
    string,
    string,
    string,
  ]
  const result = await mergeHives(
    { name: 'SOFTWARE', bytes: readFileSync(makeHive(below, base)) },
    { name: 'Hives/Software_Delta', bytes: readFileSync(makeHive(above, delta)) },
  )
  writeFileSync(path, result.bytes)
  return { ...result, path }
}

const BASE: MadeKey = {
  values: { root: text('root') },
  keys: {
    Kept: { values: { text: text('kept'), number: number(1) }, keys: { Below: { values: { '': binary(20_000) } } } },
    Changed: { values: { one: number(1), Two: text('two'), three: binary(40_000) }, keys: { Below: {} } },
    Deleted: { values: { x: number(1) }, keys: { Below: { values: { y: number(2) } } } },
    Local: { values: { old: number(1) }, keys: { Below: { values: { kept: number(1) } }, Gone: {} } },
    Tree: { values: { old: number(1) }, keys: { Below: { values: { gone: number(1) } } } },
  },
}

const DELTA: MadeKey = {
  keys: {
    Added: { values: { big: binary(50_000), small: number(3) }, keys: { Deep: { keys: { Deeper: {} } } } },
    changed: { values: { TWO: text('second'), four: number(4) }, deleted: ['ONE', 'never was'] },
    Deleted: { layer: 'tombstone' },
    Local: { layer: 'supersedeLocal', values: { new: number(2) }, keys: { Gone: { layer: 'tombstone' } } },
    Tree: {
      layer: 'supersedeTree',
      values: { new: number(2) },
      keys: { Fresh: { layer: 'supersedeTree' }, Nothing: { layer: 'tombstone' } },
    },
    'Never was': { layer: 'tombstone' },
  },
}

const RESULT: MadeKey = {
  values: { root: text('root') },
  keys: {
    ...BASE.keys,
    Added: DELTA.keys?.['Added'] ?? {},
    Changed: {
      values: { TWO: text('second'), three: binary(40_000), four: number(4) },
      keys: { Below: {} },
    },
    Local: { values: { new: number(2) }, keys: { Below: { values: { kept: number(1) } } } },
    Tree: { values: { new: number(2) }, keys: { Fresh: {} } },
  },
}

t.test('mergeHives() gives the hive that a container sees, as hivex and reglookup read it', async t => {
  const { path, changes, bytes } = await merged(t.testdir(), BASE, DELTA)
  const { Deleted: _gone, ...keys } = RESULT.keys ?? {}
  t.same(readHive(path), plainHive({ ...RESULT, keys }))
  t.same(changes, { keysAdded: 4, keysDeleted: 3, keysChanged: 0, valuesSet: 6, valuesDeleted: 3 })
  t.equal(bytes.length % 4096, 0)
  const listed = execFileSync('reglookup', ['-s', path], { encoding: 'utf8' })
  t.match(listed, /^\/Changed\/TWO,SZ,second/m)
  t.match(listed, /^\/Local\/Below,KEY,,[^,]*,S-1-5-32-544,S-1-5-18,/m, 'keys have their owner and group')
  t.notMatch(listed, /Deleted|Gone|Nothing/)
})

t.test('mergeHives() returns the base itself if a delta changes nothing', async t => {
  const { bytes } = await merged(t.testdir(), BASE, { keys: { KEPT: { values: { NUMBER: number(1) } } } })
  t.ok(bytes.equals(readFileSync(join(t.testdirName, 'base'))))
})

t.test('mergeHives() writes lists of lists, which hivex searches', async t => {
  const many = (prefix: string, count: number): Record<string, MadeKey> =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`${prefix}${n}`, {}]))
  const { path } = await merged(t.testdir(), { keys: many('key', 400) }, { keys: many('other', 300) })
  t.same(readHive(path), plainHive({ keys: { ...many('key', 400), ...many('other', 300) } }))
})

t.test('mergeHives() of random hives gives what a model says', async t => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const random = randomOf(seed)
    const [base, delta] = [randomKey(random, 0, false), randomKey(random, 0, true)]
    const { path } = await merged(t.testdir(), base, delta)
    t.same(readHive(path), plainHive(modelOf(base, delta)), `seed ${seed}`)
  }
})

t.test('mergeHives() throws for hives that are cut, lie, or loop', async t => {
  const directory = t.testdir()
  const [good, other] = [makeHive(join(directory, 'a'), BASE), makeHive(join(directory, 'b'), DELTA)].map(path =>
    readFileSync(path),
  ) as [Buffer, Buffer]
  const merge = async (bytes: Buffer): Promise<unknown> =>
    await mergeHives({ name: 'base', bytes: good }, { name: 'delta', bytes })
  await t.rejects(merge(other.subarray(0, 4096)), { code: 'LAYER_CORRUPT' })
  await t.rejects(merge(other.subarray(0, 8192)), { code: 'LAYER_CORRUPT' })
  await t.rejects(merge(rewritten(other, bytes => bytes.writeUInt32LE(7, 8))), { code: 'LAYER_UNSUPPORTED' })
  await t.rejects(merge(rewritten(other, bytes => bytes.writeUInt32LE(9, 24))), { code: 'LAYER_UNSUPPORTED' })
  await t.rejects(merge(rewritten(other, bytes => bytes.writeUInt32LE(0xfffffff8, 36))), { code: 'LAYER_CORRUPT' })
  // The root's list of subkeys leads to the root
  const root = 4096 + other.readUInt32LE(36) + 4
  const list = 4096 + other.readUInt32LE(root + 28) + 4
  const loop = Buffer.from(other)
  loop.writeUInt32LE(loop.readUInt32LE(36), list + 4)
  await t.rejects(merge(loop), { code: 'LAYER_CORRUPT', message: /two parents/ })
  const random = randomOf(99)
  let refused = 0
  for (let n = 0; n < 400; n += 1) {
    const bytes = Buffer.from(other)
    for (let byte = 0; byte < 4; byte += 1) bytes[4096 + random(bytes.length - 4096)] = random(256)
    await merge(bytes).catch((error: { code?: string }) => {
      refused += 1
      if (error.code !== 'LAYER_CORRUPT') throw error as Error
    })
  }
  t.ok(refused > 0, 'of random damage, some is found, and none ends in another error')
})

/** Changes the base block, and makes its checksum right again. */
function rewritten(hive: Buffer, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(hive)
  change(bytes)
  let sum = 0
  for (let at = 0; at < 508; at += 4) sum ^= bytes.readUInt32LE(at)
  bytes.writeInt32LE(sum, 508)
  return bytes
}

function randomOf(seed: number): (limit: number) => number {
  let state = seed
  return limit => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state >>> 8) % limit
  }
}

const SEMANTICS = ['merge', 'merge', 'merge', 'tombstone', 'supersedeLocal', 'supersedeTree'] as const

function randomKey(random: (limit: number) => number, depth: number, delta: boolean, inTree = false): MadeKey {
  const values: Record<string, MadeValue> = {}
  const keys: Record<string, MadeKey> = {}
  const deleted: string[] = []
  const drawn = delta && depth > 0 ? (SEMANTICS[random(SEMANTICS.length)] ?? 'merge') : 'merge'
  const layer = inTree && drawn !== 'tombstone' ? 'supersedeTree' : drawn
  if (layer === 'tombstone') return { layer }
  for (const name of ['a', 'b', 'c', 'ünï']) {
    const kind = random(4)
    if (kind === 0) values[name] = number(random(3))
    if (kind === 1) values[name] = binary([0, 3, 5, random(8) === 0 ? 20_000 : 100][random(4)] ?? 0)
    if (kind === 2 && delta) deleted.push(name)
  }
  for (const name of depth < 3 ? ['K', 'L', 'M', 'Ñ'] : [])
    if (random(3) > 0) keys[name] = randomKey(random, depth + 1, delta, layer === 'supersedeTree')
  return { values, keys, deleted, layer }
}

function modelOf(base: MadeKey, delta: MadeKey): MadeKey {
  const values = delta.layer === 'merge' ? { ...base.values } : {}
  for (const name of delta.deleted ?? []) delete values[name]
  Object.assign(values, delta.values)
  const keys: Record<string, MadeKey> = delta.layer === 'supersedeTree' ? {} : { ...base.keys }
  for (const [name, key] of Object.entries(delta.keys ?? {})) {
    if (key.layer === 'tombstone') delete keys[name]
    else keys[name] = modelOf(keys[name] ?? {}, key)
  }
  return { values, keys }
}
