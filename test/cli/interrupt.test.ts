import { execFileSync, spawn } from 'node:child_process'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { blobPath } from '../../src/oci/layout.js'
import { sumsAgree } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { makeImage, makeLayer, writeLayout } from '../support/images.js'
import { scratch } from '../support/scratch.js'

// Large enough that the signal comes while layers are being written
const size = 40_000_000
const layers = await Promise.all(
  Array.from({ length: 6 }, async (_, n) => await makeLayer({ data: Buffer.alloc(size, `layer ${n}`) }, 'none')),
)
const image = makeImage(layers)
const layout = join(t.testdir(), 'layout')
await writeLayout(layout, { 'big:1': image })

/** Sends `signal` when more than `after` bytes are done: with 90 million the third layer is under way. */
async function interrupted(words: readonly string[], cwd: string, signal: NodeJS.Signals, after = 90_000_000) {
  let sent = false
  return await stowage([...words, '--progress', 'json'], {
    cwd,
    onStderr(child, text) {
      const bytes = [...text.matchAll(/"done":(\d+)/g)].at(-1)?.[1] ?? '0'
      if (sent || Number(bytes) <= after) return
      sent = true
      child.kill(signal)
    },
  })
}

t.test('SIGINT leaves a directory marked INCOMPLETE, and the same command goes on', async t => {
  const root = t.testdir()
  const words = ['pack', `oci:${layout}`, '-o', 'site', '--jobs', '1']
  const { code, stderr } = await interrupted(words, root, 'SIGINT')
  t.equal(code, 130)
  t.match(stderr, /stowage: interrupted before the end\nhint: .*Run the same command again to resume/)
  t.same((await readdir(join(root, 'site'))).sort(), ['INCOMPLETE', 'blobs'])
  t.match(await readFile(join(root, 'site/INCOMPLETE'), 'utf8'), /not complete/)
  t.match(await stowage(['verify', 'site'], { cwd: root }), { code: 4, stdout: /INCOMPLETE/ })
  t.match(await stowage(['load', 'site', '--to', 'oci:s'], { cwd: root }), { code: 4, stderr: /not complete/ })
  const kept = (await readdir(join(root, 'site/blobs/sha256'))).sort()
  t.ok(
    kept.some(name => !name.endsWith('.partial')),
    'what was finished stays',
  )
  t.ok(kept.filter(name => name.endsWith('.partial')).length <= 1, 'and what was begun')
  const { ino } = await stat(join(root, 'site', blobPath(image.layers[0]!.digest)))
  t.match(await stowage(words, { cwd: root }), { code: 0 })
  t.equal(
    (await stat(join(root, 'site', blobPath(image.layers[0]!.digest)))).ino,
    ino,
    'the finished layer is not written again',
  )
  t.match(await stowage(['verify', 'site'], { cwd: root }), { code: 0 })
  t.ok(sumsAgree(join(root, 'site')))
})

t.test('SIGTERM leaves nothing of a tar that looks whole, and the same command goes on', async t => {
  const root = t.testdir()
  const words = ['pack', `oci:${layout}`, '-o', 'site.tar', '--jobs', '1']
  t.match(await interrupted(words, root, 'SIGTERM', 1), {
    code: 143,
    stderr: /interrupted before the end\nhint: Nothing is left of site\.tar\.\n$/,
  })
  t.same(await readdir(root), [], 'in the first layer, there is nothing to go on with')
  const { code, stderr } = await interrupted(words, root, 'SIGTERM')
  t.equal(code, 143)
  t.match(
    stderr,
    /interrupted before the end\nhint: What was copied so far stays in site\.tar\.partial \([\d.]+MB\), which stowage prune \. removes\. Run the same command again to resume\.\n/,
  )
  t.same(await readdir(root), ['site.tar.partial'])
  t.match(await stowage(words, { cwd: root }), { code: 0 })
  t.match(await stowage(['verify', 'site.tar'], { cwd: root }), { code: 0 })
})

t.test('SIGKILL leaves nothing that looks whole, and the same command succeeds', async t => {
  for (const output of ['site', 'site.tar']) {
    const root = t.testdir()
    const words = ['pack', `oci:${layout}`, '-o', output]
    t.match(await interrupted(words, root, 'SIGKILL'), { code: -1 })
    if (output === 'site') t.match(await stowage(['verify', output], { cwd: root }), { code: 4, stdout: /INCOMPLETE/ })
    else t.same(await readdir(root), ['site.tar.partial'])
    t.match(await stowage(words, { cwd: root }), { code: 0 })
    t.match(await stowage(['verify', output], { cwd: root }), { code: 0 })
    t.same(await readdir(root), [output])
  }
})

t.test('SIGINT during load names nothing, and the same command succeeds', async t => {
  const root = t.testdir()
  await stowage(['pack', `oci:${layout}`, '-o', 'site'], { cwd: root })
  const words = ['load', 'site', '--to', 'oci:store']
  t.match(await interrupted(words, root, 'SIGINT'), { code: 130 })
  t.notOk((await readdir(join(root, 'store'))).includes('index.json'))
  t.match(await stowage(words, { cwd: root }), { code: 0 })
})

t.test('SIGINT during verify ends it at once', async t => {
  const root = t.testdir()
  await stowage(['pack', `oci:${layout}`, '-o', 'site'], { cwd: root })
  t.match(await interrupted(['verify', 'site'], root, 'SIGINT', 0), { code: 130, stdout: '' })
})

t.test('two commands that write the same tar do not mix their bytes', async t => {
  const root = t.testdir()
  const words = ['pack', `oci:${layout}`, '-o', 'site.tar']
  const results = await Promise.all([stowage(words, { cwd: root }), stowage(words, { cwd: root })])
  t.ok(results.some(({ code }) => code === 0))
  t.match(await stowage(['verify', 'site.tar'], { cwd: root }), { code: 0 })
})

t.test('SIGINT ends a command whose pipe has no writer, or one that writes nothing, at once', async t => {
  for (const writer of ['none', 'silent']) {
    const pipe = join(scratch(t), 'pipe')
    execFileSync('mkfifo', [pipe])
    const silent = writer === 'silent' ? spawn('sh', ['-c', 'exec sleep 60 > "$0"', pipe]) : undefined
    t.teardown(() => silent?.kill())
    const start = Date.now()
    const { code, stderr } = await stowage(['verify', pipe], {
      onSpawn: child => void setTimeout(() => child.kill('SIGINT'), 3000),
    })
    t.equal(code, 130, stderr)
    t.ok(Date.now() - start < 30_000, `${writer}: not when something comes`)
  }
})

t.test('SIGINT ends pack -o - whose reader has stalled', async t => {
  const pipe = join(scratch(t), 'pipe')
  execFileSync('mkfifo', [pipe])
  const reader = spawn('sh', ['-c', 'exec sleep 60 < "$0"', pipe])
  t.teardown(() => reader.kill())
  const start = Date.now()
  const { code, stderr } = await stowage(['pack', `oci:${layout}`, '-o', '-'], {
    output: pipe,
    onSpawn: child => void setTimeout(() => child.kill('SIGINT'), 8000),
  })
  t.equal(code, 130, stderr)
  t.ok(Date.now() - start < 30_000)
})
