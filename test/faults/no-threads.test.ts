import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { directoryWim } from '../support/wims.js'

const ADDON = join(import.meta.dirname, '../../build/Release/stowage.node')
const CHILD = join(import.meta.dirname, 'no-threads-child.mjs')

const root = t.testdir({ tree: { file: 'x'.repeat(100_000) } })
const preload = join(root, 'no-threads.so')
execFileSync('cc', ['-shared', '-fPIC', '-o', preload, join(import.meta.dirname, 'no-threads.c'), '-ldl'])
const wim = directoryWim(t, { files: { file: Buffer.from('a file') } })
const layer = join(root, 'layer.tar')
execFileSync('tar', ['-C', join(root, 'tree'), '-cf', layer, 'file'])

interface Seen {
  readonly errors: readonly string[]
  /** Milliseconds that the slowest failure took. */
  readonly slowest: number
  readonly images: number
  readonly layer: number
  readonly reader: number
  readonly blob: string
}

function child(name: string, env: NodeJS.ProcessEnv): { readonly seen: Seen; readonly status: number | null } {
  const scratch = join(root, name)
  mkdirSync(scratch)
  const flag = join(scratch, 'flag')
  const words = ['--expose-gc', CHILD, ADDON, flag, wim, layer, join(scratch, 'out')]
  const { stdout, stderr, status } = spawnSync(process.execPath, words, {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', LD_PRELOAD: preload, STOWAGE_NO_THREADS: flag, ...env },
    timeout: 60_000,
  })
  return { seen: JSON.parse(stdout || `{"errors":[${JSON.stringify(stderr.slice(0, 800))}]}`) as Seen, status }
}

/** What a process does once threads can be started again: everything. */
function recovers(t: Test, { seen, status }: ReturnType<typeof child>): void {
  t.equal(status, 0, 'the process lives, and exits as it should')
  t.equal(seen.images, 1)
  t.equal(seen.layer, 1 << 20)
  t.equal(seen.reader, statSync(layer).size)
  t.equal(
    seen.blob,
    createHash('sha256')
      .update(Buffer.alloc(3 << 20))
      .digest('hex'),
  )
}

t.test('a WIM that cannot be opened because no thread can be started leaves nothing behind', async t => {
  const ran = child('one', { ONLY: 'open' })
  recovers(t, ran)
  t.same(ran.seen.errors.length, 1)
  t.match(ran.seen.errors[0], /^open: WIM_ERROR cannot start a thread/)
  t.ok(ran.seen.slowest < 250, `nothing waits for a thread that never was (${ran.seen.slowest} ms)`)
})

t.test('jobs fail while no thread can be started, and the process goes on to work', async t => {
  const ran = child('many', {})
  recovers(t, ran)
  t.equal(ran.seen.errors.length, 17)
  for (const error of ran.seen.errors) t.match(error, /^\w+: WIM_ERROR cannot start a thread/)
})

for (const spare of [1, 2, 3, 4]) {
  t.test(`jobs fail or work when no more than ${spare} of their threads can be started`, async t => {
    const ran = child(`spare-${spare}`, { STOWAGE_SPARE_THREADS: String(spare) })
    recovers(t, ran)
    t.equal(ran.seen.errors.length, 17)
    for (const error of ran.seen.errors) t.match(error, /^\w+: (?:none|WIM_ERROR cannot start a thread)/)
  })
}
