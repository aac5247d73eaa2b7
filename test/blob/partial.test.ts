import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Bytes } from '../../src/blob/blob-store.js'
import { BlobDirectory } from '../../src/blob/directory.js'
import { claimPartial } from '../../src/blob/partial.js'
import { StowageError } from '../../src/errors.js'
import { describe } from '../../src/oci/descriptor.js'
import { hexOf } from '../../src/oci/digest.js'
import { noise } from '../support/images.js'

const bytes = noise(3_000_000, 'partial')
const blob = describe('x', bytes)
const machine = (name: string) => createHash('sha256').update(name).digest('hex').slice(0, 8)
/** More than any process is numbered, so that none of these lives. */
const gone = 99_999_999

function left(t: { testdir(): string }, files: Readonly<Record<string, number>>): string {
  const directory = join(t.testdir(), 'blobs', 'sha256')
  mkdirSync(directory, { recursive: true })
  for (const [who, size] of Object.entries(files))
    writeFileSync(join(directory, `${hexOf(blob.digest)}.${who}-1.partial`), bytes.subarray(0, size))
  return directory
}

t.test('what a process that is gone left is taken over, the longest of it, in whole pages', async t => {
  const directory = left(t, {
    [`${machine(hostname())}-${gone}`]: 1_500_000,
    [`${machine(hostname())}-${gone - 1}`]: 4096,
  })
  using claimed = await claimPartial(directory, blob)
  t.equal(claimed.held, Math.floor(1_500_000 / 4096) * 4096)
})

t.test('what another process writes just now is left alone, on this machine and on others', async t => {
  const directory = left(t, {
    [`${machine(hostname())}-${process.ppid}`]: 1_000_000,
    [`${machine('another')}-${gone}`]: 1_000_000,
  })
  {
    using claimed = await claimPartial(directory, blob)
    t.equal(claimed.held, 0)
  }
  t.equal(readdirSync(directory).length, 3)
  const old = readdirSync(directory).find(name => name.includes(machine('another')))!
  utimesSync(join(directory, old), new Date(0), new Date(0))
  using claimed = await claimPartial(directory, blob)
  t.ok(claimed.held > 0, 'but what another machine has not touched for long')
})

t.test('two that want the same blob at a time do not write to one file', async t => {
  const directory = left(t, {})
  using one = await claimPartial(directory, blob)
  using other = await claimPartial(directory, blob)
  t.not(one.path, other.path)
})

t.test('once the blob is whole nothing is left of other tries', async t => {
  const directory = left(t, {
    [`${machine(hostname())}-${gone}`]: 1_500_000,
    [`${machine(hostname())}-${gone - 1}`]: 1_000_000,
  })
  const blobs = new BlobDirectory(join(directory, '..', '..'))
  const offsets: number[] = []
  await blobs.put(blob, async function* (offset) {
    offsets.push(offset)
    yield bytes.subarray(offset)
  })
  t.ok((offsets[0] ?? 0) > 1_400_000)
  t.same(readdirSync(directory), [hexOf(blob.digest)])
})

t.test('of a small blob that is interrupted nothing is left, as no other try goes on with it', async t => {
  const root = t.testdir()
  const small = noise(300_000, 'small')
  async function* interrupted(): Bytes {
    yield small.subarray(0, 100_000)
    throw new StowageError('REGISTRY_UNREACHABLE', 'gone')
  }
  await t.rejects(new BlobDirectory(root).put(describe('x', small), interrupted), { code: 'REGISTRY_UNREACHABLE' })
  t.same(readdirSync(join(root, 'blobs', 'sha256')), [])
})
