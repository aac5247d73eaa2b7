/** Progress, cancelling, questions, and many calls at once. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { StowageError } from '../../src/errors.js'
import type { WimProgress } from '../../src/wim/progress.js'
import { createWim, openWim } from '../../src/wim/wim-file.js'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import { moduleFile } from '../support/module-file.js'
import { directoryWim, richWim, wimlib } from '../support/wims.js'

const ADDON = join(import.meta.dirname, '../../build/Release/stowage.node')

/** 24 MB that take LZX a while. */
function bigTree(t: Test): string {
  const root = t.testdir({ source: {} })
  for (let n = 0; n < 12; n += 1) writeFileSync(join(root, 'source', `${n}.txt`), text(`big ${n}`, 2_000_000))
  return root
}

t.test("onProgress gets typed events in libwim's order, with totals that are reached", async t => {
  const root = bigTree(t)
  const told: WimProgress[] = []
  const onProgress = (event: WimProgress): void => void told.push(event)
  const path = join(root, 'x.wim')
  await using wim = await createWim({ compression: 'xpress' })
  await wim.addImage(join(root, 'source'), { onProgress })
  t.same(
    told.map(({ type }) => type),
    ['scan-begin', 'scan-end'],
  )
  t.match(told[1], { source: join(root, 'source'), target: '/', directories: 1, files: 12, size: 24_000_000 })
  told.length = 0
  await wim.write(path, { integrityTable: true, onProgress })
  const writes = told.filter(event => event.type === 'write-streams')
  t.ok(writes.length > 1)
  t.match(writes.at(-1), {
    totalBytes: 24_000_000,
    completedBytes: 24_000_000,
    totalStreams: 12,
    completedStreams: 12,
    compression: 'xpress',
  })
  for (const [n, event] of writes.entries())
    t.ok(event.completedBytes >= (writes[n - 1]?.completedBytes ?? 0), 'never falls')
  t.same(
    [...new Set(told.map(({ type }) => type))],
    ['write-streams', 'write-metadata-begin', 'write-metadata-end', 'calculate-integrity'],
  )
  told.length = 0
  await using opened = await openWim(path, { checkIntegrity: true, onProgress })
  t.match(told.at(-1), { type: 'verify-integrity', path })
  told.length = 0
  await opened.extract(1, join(root, 'out'), { onProgress })
  t.equal(told[0]?.type, 'extract-image-begin')
  t.match(told.at(-1), { type: 'extract-image-end', target: join(root, 'out'), completedBytes: 24_000_000, path })
  told.length = 0
  await opened.split(join(root, 'x.swm'), 3_000_000, { onProgress })
  t.ok(told.some(event => event.type === 'split-end-part' && event.partNumber === 2))
  told.length = 0
  const file = join(root, 'source', '0.txt')
  await opened.update(
    1,
    [
      { type: 'add', source: file, target: '/0.txt', verbose: true },
      { type: 'delete', path: '/1.txt' },
    ],
    {
      sendProgress: true,
      onProgress,
    },
  )
  t.match(
    told.find(event => event.type === 'update-begin-command'),
    { command: 'add', paths: [file, '/0.txt'], totalCommands: 2 },
  )
  t.ok(told.some(event => event.type === 'scan-dentry' && event.path === file && event.status === 'ok'))
  t.ok(told.some(event => event.type === 'replace-file' && event.path === '/0.txt'))
})

t.test('verbose names every file, and nobody who did not ask is told', async t => {
  const root = t.testdir({ source: {} })
  for (let n = 0; n < 9000; n += 1) writeFileSync(join(root, 'source', `f${n}`), '')
  const names: string[] = []
  const onProgress = (event: WimProgress): void => void (event.type === 'scan-dentry' && names.push(event.path))
  await using wim = await createWim()
  await wim.addImage(join(root, 'source'), { onProgress })
  t.equal(names.length, 0)
  await wim.addImage(join(root, 'source'), { verbose: true, onProgress })
  t.equal(names.length, 9001, 'more than may wait at once')
})

t.test('aborting ends every long call within a second, and leaves nothing that looks whole', async t => {
  const root = bigTree(t)
  const path = join(root, 'x.wim')
  wimlib('capture', join(root, 'source'), path, '--compress=none')
  const aborted = async (label: string, call: (signal: AbortSignal) => Promise<unknown>, after = 60): Promise<void> => {
    const controller = new AbortController()
    let abortedAt = 0
    setTimeout(() => {
      abortedAt = performance.now()
      controller.abort()
    }, after)
    await t.rejects(call(controller.signal), { code: 'ABORTED' }, label)
    t.ok(performance.now() - abortedAt < 1000, `${label}: within a second`)
  }
  await using wim = await openWim(path)
  await wim.setOutput({ compression: 'lzx' })
  await aborted('write', signal => wim.write(join(root, 'out.wim'), { recompress: true, threads: 1, signal }))
  await aborted('solid', signal => wim.write(join(root, 'out.wim'), { solid: true, threads: 1, signal }))
  const first = new AbortController()
  let ahead: Promise<unknown> = Promise.resolve()
  await new Promise<void>(resolve => {
    const onProgress = (): void => resolve()
    ahead = wim.write(join(root, 'out.wim'), { recompress: true, threads: 1, signal: first.signal, onProgress })
    ahead.catch(() => undefined)
  })
  await aborted('waiting in line', signal => wim.extract(1, join(root, 'never'), { signal }), 10)
  first.abort()
  await t.rejects(ahead, { code: 'ABORTED' }, 'the call that had its turn')
  t.same(readdirSync(root).sort(), ['source', 'x.wim'])
  t.equal(wim.images().length, 1, 'the process is well, and the object answers')
  const before = statSync(path).size
  {
    await using changed = await openWim(path)
    await changed.addImage(join(root, 'source'), { name: 'again' })
    await changed.setOutput({ compression: 'lzx' })
    await aborted('overwrite', signal => changed.overwrite({ rebuild: true, recompress: true, threads: 1, signal }))
  }
  t.equal(statSync(path).size, before)
  t.same(readdirSync(root).sort(), ['source', 'x.wim'])
  wimlib('verify', path)
  const done = new AbortController()
  done.abort()
  await t.rejects(openWim(path, { signal: done.signal }), { code: 'ABORTED' })
})

t.test('an append that is aborted leaves the file as it was', async t => {
  const root = bigTree(t)
  const path = directoryWim(t)
  const before = wimlib('info', path)
  {
    await using wim = await openWim(path)
    await wim.addImage(join(root, 'source'), { name: 'more' })
    const controller = new AbortController()
    const onProgress = (event: WimProgress): void =>
      void (event.type === 'write-streams' && event.completedBytes > 2_000_000 && controller.abort())
    await t.rejects(wim.overwrite({ threads: 1, signal: controller.signal, onProgress }), { code: 'ABORTED' })
  } // closing waits for the file to be put right
  t.equal(wimlib('info', path), before)
  wimlib('verify', path)
})

t.test('exclude is asked for each file, may take its time, and may fail', async t => {
  const root = t.testdir({ source: { keep: 'a', drop: 'b', sub: { drop: 'c', keep: 'd' } } })
  await using wim = await createWim()
  const asked: string[] = []
  await wim.addImage(join(root, 'source'), {
    exclude: async path => {
      asked.push(path.slice(join(root, 'source').length))
      await new Promise(resolve => setTimeout(resolve, 5))
      return path.endsWith('/drop')
    },
  })
  t.same(asked.sort(), ['', '/drop', '/keep', '/sub', '/sub/drop', '/sub/keep'])
  const paths: string[] = []
  for await (const { path } of wim.entries()) paths.push(path)
  t.same(paths, ['/', '/keep', '/sub', '/sub/keep'])
  const failure = new RangeError('mine')
  const thrown: unknown = await wim
    .addImage(join(root, 'source'), {
      name: 'x',
      exclude: () => {
        throw failure
      },
    })
    .catch((error: unknown) => error)
  t.equal(thrown, failure, 'what the caller throws comes back to him')
  t.equal(wim.images().length, 1)
  const told: unknown = await wim
    .addImage(join(root, 'source'), {
      name: 'y',
      onProgress: () => {
        throw failure
      },
    })
    .catch((error: unknown) => error)
  t.equal(told, failure)
  await wim.update(1, [{ type: 'add', source: join(root, 'source'), target: '/more' }], {
    exclude: path => path.endsWith('/keep'),
  })
  await t.rejects(
    async () => {
      for await (const _ of wim.entries(1, { path: '/more/keep' })) {
        /* not there */
      }
    },
    { code: 'FILE_NOT_FOUND' },
  )
})

t.test('onError decides whether a file that cannot be read ends the capture', t => {
  const root = mkdtempSync(join(tmpdir(), 'stowage-on-error-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  mkdirSync(join(root, 'source', 'secret'), { recursive: true })
  writeFileSync(join(root, 'source', 'readable'), 'a')
  execFileSync('chmod', ['000', join(root, 'source', 'secret')])
  const script = `
    const { WimJob } = require(${JSON.stringify(ADDON)})
    const run = (name, args, answer) => new Promise((resolve, reject) => {
      const job = new WimJob(name, args, (_events, question, ended, result, error) => {
        if (question) job.answer(answer(question))
        if (ended) error ? reject(error) : resolve(result)
      })
    })
    run('create', { compression: 0 }).then(async wim => {
      const add = answer => run('addImage', { wim, sources: [{ source: process.argv[1], target: '/' }], flags: 0 }, answer)
      console.log(await add(question => (console.log(question.type, question.code, question.path), false)).catch(error => error.code))
      console.log(await add(() => true))
    })`
  // Root without what lets it read everything: another user might not be let into the checkout
  const unprivileged = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : []
  const words = [...unprivileged, process.execPath, '-e', script, join(root, 'source')]
  const { stdout, stderr } = spawnSync(words[0] ?? '', words.slice(1), { encoding: 'utf8' })
  execFileSync('chmod', ['755', join(root, 'source', 'secret')])
  t.equal(stderr, '')
  const lines = stdout.trim().split('\n')
  t.equal(lines[0], `error WIMLIB_ERR_OPENDIR ${join(root, 'source', 'secret')}`)
  t.same(lines.slice(-2), ['WIMLIB_ERR_OPENDIR', '1'], 'refused without leave, done with it')
  t.end()
})

t.test(
  'calls on one WIM are done in order, calls on several side by side, and exports both ways never deadlock',
  async t => {
    const root = t.testdir({ source: { a: incompressible('a', 100_000).toString('hex') } })
    await using one = await openWim(richWim(t))
    await using two = await openWim(directoryWim(t))
    const order: number[] = []
    await Promise.all([
      one.extract(1, join(root, 'a')).then(() => order.push(1)),
      one.countBlobs().then(() => order.push(2)),
      one.deleteImage(2).then(() => order.push(3)),
      one.resources().then(() => order.push(4)),
    ])
    t.same(order, [1, 2, 3, 4])
    await Promise.all([
      one.exportImage(1, two, { name: 'there' }),
      two.exportImage(1, one, { name: 'back' }),
      one
        .exportImage(1, one, { name: 'itself' })
        .catch((error: StowageError) => t.equal(error.code, 'INVALID_ARGUMENT')),
    ])
    t.same(
      two.images().map(({ name }) => name),
      ['tree', 'there'],
    )
    const wims = await Promise.all(Array.from({ length: 8 }, async () => openWim(richWim(t, 'solid'))))
    await Promise.all(
      wims.map(async (wim, n) => {
        await wim.extract(1, join(root, `many${n}`))
        await wim[Symbol.asyncDispose]()
      }),
    )
    execFileSync('diff', ['-r', '--no-dereference', join(root, 'many0'), join(root, 'many7')])
  },
)

t.test('info and images answer while a job is under way', async t => {
  const root = bigTree(t)
  await using wim = await createWim()
  await wim.addImage(join(root, 'source'), { name: 'x' })
  const writing = wim.write(join(root, 'x.wim'))
  const [from, images] = [performance.now(), wim.images()]
  t.equal(images[0]?.name, 'x')
  t.equal(wim.info.imageCount, 1)
  t.ok(performance.now() - from < 200, 'without waiting for it')
  await writing
})

t.test('closing while busy waits, closing twice is fine, and a closed WIM says so', async t => {
  const root = t.testdir({})
  const wim = await openWim(richWim(t))
  const busy = wim.extract(1, join(root, 'out'))
  await wim[Symbol.asyncDispose]()
  await busy
  t.ok(readdirSync(join(root, 'out')).length > 0)
  await wim[Symbol.asyncDispose]()
  await t.rejects(wim.extract(1, join(root, 'again')), { code: 'INVALID_ARGUMENT', message: /closed/ })
  t.throws(() => wim.images(), { code: 'INVALID_ARGUMENT' })
  await using other = await openWim(directoryWim(t))
  await t.rejects(other.exportImage(1, wim), { code: 'INVALID_ARGUMENT' })
})

t.test('a WIM that is closed is let go of at once: what it referred to can be changed', async t => {
  await using wim = await openWim(directoryWim(t))
  for (let n = 0; n < 20; n += 1) {
    const other = await createWim()
    await wim.exportImage(1, other)
    await t.rejects(wim.update(1, [{ type: 'delete', path: '/nothing', force: true }]), {
      code: 'BUSY',
      hint: /close the WIM/,
    })
    await other.property(1, 'NAME')
    await other[Symbol.asyncDispose]()
    await wim.update(1, [{ type: 'delete', path: '/nothing', force: true }])
  }
})

t.test('jobs live through lost references, ended worker threads and a process that ends in the middle', async t => {
  const root = bigTree(t)
  const script = join(root, 'lifetime.cjs')
  writeFileSync(
    script,
    `
    const { Worker, isMainThread, workerData } = require('node:worker_threads')
    const { WimJob } = require(${JSON.stringify(ADDON)})
    const source = ${JSON.stringify(join(root, 'source'))}
    const run = (name, args) => new Promise((resolve, reject) => {
      new WimJob(name, args, (_events, _question, ended, result, error) => ended && (error ? reject(error) : resolve(result)))
    })
    async function write(solid) {
      const wim = await run('create', { compression: 2 })
      await run('addImage', { wim, sources: [{ source, target: '/' }], flags: 0 })
      const path = ${JSON.stringify(join(root, 'out'))} + Math.random()
      new WimJob('write', { wim, path, image: -1, flags: solid ? 0x1000 : 0, threads: 1, level: 0 }, () => {})
    }
    async function ask() {
      const wim = await run('create', { compression: 0 })
      new WimJob('addImage', { wim, sources: [{ source, target: '/' }], flags: 0x4000 }, () => {}) // nobody answers
    }
    async function main() {
      await write(false); await write(true); await ask()
      global.gc?.()
      if (!isMainThread) return setTimeout(() => process.exit(workerData), 30)
      for (let n = 0; n < 2; n += 1) await new Promise(done => new Worker(__filename, { workerData: n }).on('exit', done))
      const worker = new Worker(__filename, { workerData: 0 })
      setTimeout(() => worker.terminate().then(() => { console.log('alive'); if (process.argv[2] === 'exit') process.exit(0); process.kill(process.pid, 'SIGTERM') }), 20)
    }
    process.on('SIGTERM', () => process.exit(0))
    main()
  `,
  )
  for (const way of ['exit', 'signal']) {
    const { status, signal, stdout } = spawnSync(process.execPath, ['--expose-gc', script, way], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    t.same([status, signal, stdout.trim()], [0, null, 'alive'], way)
  }
})

t.test('a job that waits for an aborted one keeps the process from ending', t => {
  const root = bigTree(t)
  wimlib('capture', join(root, 'source'), join(root, 'x.wim'), '--compress=none')
  const script = `
    const { openWim } = await import(${JSON.stringify(moduleFile('src/wim/wim-file'))})
    const wim = await openWim('x.wim')
    await wim.setOutput({ compression: 'lzx' })
    const signal = AbortSignal.timeout(60)
    await wim.write('out.wim', { solid: true, threads: 1, signal }).catch(({ code }) => console.log(code))
    await wim.verify()
    console.log('verified')`
  const words = [...process.execArgv, '--input-type=module', '-e', script]
  const { stdout, stderr } = spawnSync(process.execPath, words, { cwd: root, encoding: 'utf8' })
  t.equal(stdout, 'ABORTED\nverified\n', stderr)
  t.end()
})

t.test('a process whose last job was aborted ends by itself within two seconds', t => {
  const root = bigTree(t)
  const script = `
    const { WimJob } = require(${JSON.stringify(ADDON)})
    const source = ${JSON.stringify(join(root, 'source'))}
    new WimJob('create', { compression: 3 }, (_e, _q, ended, wim) => ended && new WimJob(
      'addImage', { wim, sources: [{ source, target: '/' }], flags: 0 }, (_e, _q, ended) => {
        if (!ended) return
        const job = new WimJob('write', { wim, path: source + '.wim', image: -1, flags: 0x1000, threads: 1, level: 100 }, () => {})
        setTimeout(() => { job.cancel(); job.unref(); console.log(Date.now()) }, 300)
      }))`
  const { status, stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 60_000 })
  t.equal(status, 0)
  t.ok(Date.now() - Number(stdout) < 2000, `${Date.now() - Number(stdout)} ms`)
  t.end()
})

t.test('what an operation is not made for is refused', t => {
  mkdirSync(t.testdirName, { recursive: true })
  const script = `
    const { WimJob } = require(${JSON.stringify(ADDON)})
    const tell = (...args) => { try { new WimJob(...args, (_e, _q, ended, _r, error) => ended && console.log(error.code, error.message)) } catch (error) { console.log(error.name) } }
    tell('open', { paths: ['a\\0b'], flags: 0 })
    tell('open', { paths: 7, flags: 0 })
    tell('open', { paths: [], flags: 0 })
    tell('nothing', {})
    tell('open', { paths: [() => {}], flags: 0 })
    tell('extract', { wim: {}, image: 1, target: 'x', flags: 0 })`
  const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
  t.equal(stdout.split('\n').filter(line => /^(INVALID_ARGUMENT|TypeError)/.test(line)).length, 6, stdout)
  t.end()
})
