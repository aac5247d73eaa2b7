import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { copyQueued, type QueuedBlob } from '../../src/blob/queue.js'
import { StowageError } from '../../src/errors.js'
import { digestOf } from '../../src/oci/digest.js'

/** Blobs of these sizes that are under way for some turns of the event loop, and a record of that. */
function watched(blobs: readonly (readonly [size: number, host?: string])[]) {
  const begun: number[] = []
  const busy = new Map<string, number>()
  const most = new Map<string, number>()
  const jobs = blobs.map(([size, host]): QueuedBlob => ({
    blob: { mediaType: 'x', digest: digestOf(Buffer.from(`${size} ${host}`)), size },
    host,
    async copy() {
      begun.push(size)
      for (const key of ['all', host ?? '']) {
        busy.set(key, (busy.get(key) ?? 0) + 1)
        most.set(key, Math.max(most.get(key) ?? 0, busy.get(key) ?? 0))
      }
      await sleep(5)
      for (const key of ['all', host ?? '']) busy.set(key, (busy.get(key) ?? 0) - 1)
    },
  }))
  return { jobs, begun, most }
}

t.test('the biggest blobs begin first, so many at a time', async t => {
  const { jobs, begun, most } = watched([[3], [9], [1], [7], [5], [8]])
  await copyQueued(jobs, { jobs: 2 })
  t.same(begun, [9, 8, 7, 5, 3, 1])
  t.equal(most.get('all'), 2)
})

t.test('one host is never asked for more than ten at a time, and others do not wait for it', async t => {
  const { jobs, begun, most } = watched([
    ...Array.from({ length: 20 }, (_, n) => [100 + n, 'one'] as const),
    [5, 'two'],
    [4],
  ])
  await copyQueued(jobs, { jobs: 14 })
  t.equal(most.get('one'), 10)
  t.equal(begun.length, 22)
  t.ok(begun.indexOf(5) < 12 && begun.indexOf(4) < 12, 'smaller ones of other places go in between')
})

t.test('of large blobs on this machine, as many as it has processors, unless it is said how many', async t => {
  const large = Array.from({ length: 12 }, (_, n) => [2 ** 20 + n] as const)
  const small = Array.from({ length: 12 }, (_, n) => [n] as const)
  for (const [jobs, most] of [
    [undefined, Math.max(2, availableParallelism())],
    [5, 5],
  ] as const) {
    const { jobs: blobs, most: seen } = watched(large)
    await copyQueued(blobs, { jobs })
    t.equal(seen.get('all'), Math.min(most, 10))
  }
  const { jobs, begun, most } = watched([...large, ...small])
  await copyQueued(jobs)
  t.equal(begun.length, 24)
  t.equal(most.get('all'), 10, 'small ones do not wait for large ones')
})

t.test('at the first error the others are stopped and waited for, and that error is thrown', async t => {
  const ended: string[] = []
  const blob = (size: number) => ({ mediaType: 'x', digest: digestOf(Buffer.from(String(size))), size })
  const failing: QueuedBlob = {
    blob: blob(9),
    host: undefined,
    copy: async () => {
      throw new StowageError('BLOB_MISSING', 'not there')
    },
  }
  const slow: QueuedBlob = {
    blob: blob(8),
    host: undefined,
    async copy(signal) {
      await sleep(60_000, undefined, { signal }).catch(() => sleep(20))
      ended.push('slow')
    },
  }
  const never: QueuedBlob = { blob: blob(1), host: undefined, copy: async () => void ended.push('never') }
  await t.rejects(copyQueued([slow, failing, never], { jobs: 2 }), { code: 'BLOB_MISSING' })
  t.same(ended, ['slow'])
})

t.test('aborting stops what is under way and begins nothing more', async t => {
  const controller = new AbortController()
  const { jobs, begun } = watched(Array.from({ length: 10 }, (_, n) => [n]))
  controller.abort()
  await t.rejects(copyQueued(jobs, { signal: controller.signal }), { code: 'ABORTED' })
  t.same(begun, [])
})
