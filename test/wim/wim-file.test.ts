import { createHash } from 'node:crypto'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import type { Dentry } from '../../src/wim/dentry.js'
import { openWim, type WimFile } from '../../src/wim/wim-file.js'
import {
  corruptBlob,
  directoryWim,
  extendedAttributeWim,
  flawedWim,
  flipByte,
  richWim,
  splitWim,
  WIM_FORMS,
  wimlib,
} from '../support/wims.js'

async function dentriesOf(
  wim: WimFile,
  image: number,
): Promise<{ path: string; dentry: Dentry; security: Buffer | undefined }[]> {
  const metadata = await wim.metadata(image)
  const paths: string[] = []
  const found = []
  for (const dentry of metadata.dentries) {
    const parent = dentry.parent === undefined ? undefined : paths[dentry.parent]
    const path = parent === undefined ? '/' : `${parent === '/' ? '' : parent}/${dentry.name}`
    paths.push(path)
    found.push({ path, dentry, security: metadata.security[dentry.security] })
  }
  return found
}

/** What `wimlib-imagex dir --detailed` says of each path. */
function detailsOf(wim: string, image: number): Map<string, string> {
  const blocks = wimlib('dir', wim, String(image), '--detailed').split(/^-{20,}$/m)
  return new Map(
    blocks.flatMap(block => {
      const path = /^Full Path\s+= "(.*)"$/m.exec(block)?.[1]
      return path === undefined ? [] : [[path, block]]
    }),
  )
}

const field = (block: string, name: string): string | undefined =>
  new RegExp(`^${name}\\s+= (.*)$`, 'm').exec(block)?.[1]

async function hashes(wim: WimFile, blobs: readonly number[], threads = 2): Promise<string[]> {
  const found: string[] = []
  let hash = createHash('sha1')
  for await (const { bytes, last } of wim.readBlobs(blobs, { threads })) {
    hash.update(bytes)
    if (!last) continue
    found.push(hash.digest('hex'))
    hash = createHash('sha1')
  }
  return found
}

const everyBlob = (wim: WimFile): number[] => {
  const { count, ranks } = wim.blobs()
  return Array.from({ length: count }, (_, n) => n).sort((a, b) => (ranks[a] ?? 0) - (ranks[b] ?? 0))
}

t.test('openWim() says of every form of a WIM what wimlib-imagex says', async t => {
  for (const form of WIM_FORMS) {
    const path = richWim(t, form)
    await using wim = await openWim(path)
    const told = wimlib('info', path)
    t.equal(
      wim.info.guid,
      field(told, 'GUID:')?.replace(/^0x/, '') ?? /GUID:\s+0x([0-9a-f]{32})/.exec(told)?.[1],
      `${form}: GUID`,
    )
    t.equal(
      wim.info.compression.toUpperCase(),
      /^Compression:\s+(\w+)/m.exec(told)?.[1]?.toUpperCase(),
      `${form}: compression`,
    )
    t.equal(
      wim.info.chunkSize,
      Number(/^Chunk Size:\s+(\d+)/m.exec(told)?.[1] ?? wim.info.chunkSize),
      `${form}: chunk size`,
    )
    t.equal(wim.info.pipable, form === 'pipable')
    t.equal(wim.info.solid, form.startsWith('solid'))
    t.same(
      wim.images().map(image => image.name),
      ['NanoServer', 'UtilityVM'],
    )
    t.match(wim.images()[0], {
      files: Number(/^File Count:\s+(\d+)/m.exec(told)?.[1]),
      directories: Number(/^Directory Count:\s+(\d+)/m.exec(told)?.[1]),
      size: Number(/^Total Bytes:\s+(\d+)/m.exec(told)?.[1]),
      windows: {
        architecture: 'amd64',
        version: '10.0.14300.1010',
        editionId: 'ServerDatacenterNano',
        languages: ['en-US'],
      },
    })
    t.match(await wim.xml(), /^<WIM>.*<NAME>NanoServer<\/NAME>/s)
  }
})

t.test('WimFile.metadata() has the dentries that wimlib-imagex dir --detailed lists', async t => {
  const path = richWim(t)
  await using wim = await openWim(path)
  for (const image of [1, 2]) {
    const details = detailsOf(path, image)
    const found = await dentriesOf(wim, image)
    t.same(found.map(({ path }) => path).sort(), [...details.keys()].sort(), `image ${image}: the same paths`)
    for (const { path, dentry, security } of found) {
      const told = details.get(path) ?? ''
      t.equal(dentry.attributes, Number(field(told, 'Attributes')), `${path}: attributes`)
      t.equal(dentry.shortName, field(told, 'Short Name')?.replace(/^"|"$/g, '') ?? '', `${path}: short name`)
      if ((dentry.attributes & 0x400) !== 0)
        t.equal(dentry.reparseTag, Number(field(told, 'Reparse Tag')), `${path}: tag`)
      const descriptor = field(told, 'Security Descriptor')?.replace(/^0x|\s/g, '')
      if (descriptor !== undefined) t.equal(security?.toString('hex'), descriptor, `${path}: security descriptor`)
      const time = field(told, 'Last Write Time')
      if (time?.includes('2016')) {
        t.equal(
          Number((dentry.writeTime - 116444736000000000n) / 10000000n),
          Date.parse(time) / 1000,
          `${path}: write time`,
        )
      }
    }
  }
})

t.test('WimFile.readBlobs() gives every blob of every form, each with its SHA-1', async t => {
  const archives = [...WIM_FORMS.map(form => richWim(t, form)), splitWim(t)[1] ?? '']
  for (const path of archives) {
    await using wim = await openWim(path)
    const list = everyBlob(wim)
    const { sha1, count } = wim.blobs()
    t.ok(count > 50)
    const expected = list.map(blob => sha1(blob))
    for (const threads of [1, 4]) t.same(await hashes(wim, list, threads), expected, `${path}: ${threads} threads`)
    const reversed = [...list].reverse()
    t.same(await hashes(wim, reversed), [...expected].reverse(), `${path}: backwards`)
    const [first = 0, second = 0] = list
    t.same(
      await hashes(wim, [second, first, first, second, second]),
      [second, first, first, second, second].map(sha1),
      `${path}: repeated`,
    )
  }
})

t.test('WimFile.readBlobs() gives what wimlib-imagex apply writes', async t => {
  const path = directoryWim(t)
  const target = join(t.testdir(), 'applied')
  mkdirSync(target)
  wimlib('apply', path, '1', target)
  await using wim = await openWim(path)
  for (const { path: name, dentry } of await dentriesOf(wim, 1)) {
    const blob = dentry.streams.find(stream => stream.name === '')?.blob
    if ((dentry.attributes & 0x10) !== 0) continue
    const expected = createHash('sha1')
      .update(readFileSync(join(target, name)))
      .digest('hex')
    if (blob === undefined) t.equal(statSync(join(target, name)).size, 0)
    else t.same(await hashes(wim, [blob]), [expected], name)
  }
})

t.test('WimFile.metadata() shows extended attributes and names that are not Unicode text', async t => {
  await using attributed = await openWim(extendedAttributeWim(t))
  const entry = (await dentriesOf(attributed, 1)).find(({ path }) => path === '/ea.txt')
  t.match(entry?.dentry.extendedAttributes.toString('latin1'), /user\.one\0first value/)
  await using odd = await openWim(flawedWim(t, 'lone-surrogate'))
  t.ok((await dentriesOf(odd, 1)).some(({ path }) => path === '/odd/lone-\ud800'))
})

t.test('openWim() opens a split WIM by any part, and names the parts that are not there', async t => {
  const parts = splitWim(t)
  t.ok(parts.length > 2)
  for (const part of parts) {
    await using wim = await openWim(part)
    t.equal(wim.info.totalParts, parts.length)
    t.equal(wim.images().length, 2)
  }
  const gone = parts[1] ?? ''
  renameSync(gone, join(dirname(gone), 'elsewhere'))
  await t.rejects(openWim(parts[0] ?? ''), { code: 'WIM_PART_MISSING', message: /part 2 is missing/ })
  unlinkSync(parts[0] ?? '')
  await t.rejects(openWim(parts[2] ?? ''), { code: 'WIM_PART_MISSING', message: /part 1, 2/ })
})

t.test('openWim() refuses what is not a WIM', async t => {
  const directory = t.testdir({
    empty: '',
    text: 'x'.repeat(500),
    magic: `MSWIM\0\0\0${'\0'.repeat(300)}`,
    short: 'MSWIM\0\0\0',
  })
  await t.rejects(openWim(join(directory, 'empty')), { code: 'NOT_A_WIM' })
  await t.rejects(openWim(join(directory, 'text')), { code: 'NOT_A_WIM', message: /text is not a WIM/ })
  await t.rejects(openWim(join(directory, 'short')), { code: 'NOT_A_WIM' })
  await t.rejects(openWim(join(directory, 'magic')), { code: 'WIM_CORRUPT' })
  await t.rejects(openWim(join(directory, 'none')), { code: 'FILE_NOT_FOUND' })
  await t.rejects(openWim(directory), { code: 'INVALID_ARGUMENT' })
})

t.test("openWim() says what differs from the integrity table, and gives libwim's own text with its errors", async t => {
  const path = directoryWim(t, { args: ['--check'] })
  flipByte(path, 5000)
  await t.rejects(openWim(path, { checkIntegrity: true }), {
    code: 'WIM_CORRUPT',
    message: /tree\.wim: the \d+ bytes at offset 208 have SHA-1 [\da-f]{40}, but the integrity table says [\da-f]{40}$/,
  })
  const marked = directoryWim(t)
  const bytes = readFileSync(marked)
  bytes.writeUInt32LE(bytes.readUInt32LE(16) | 4, 16) // its flag of a WIM that is read-only
  writeFileSync(marked, bytes)
  await t.rejects(openWim(marked, { writeAccess: true }), {
    code: 'PERMISSION_DENIED',
    cause: { name: 'WimlibError', code: 'WIMLIB_ERR_WIM_IS_READONLY' },
  })
})

t.test('openWim() and what follows survive a WIM that is cut anywhere', async t => {
  const path = richWim(t, 'xpress')
  const whole = readFileSync(path)
  const cut = join(dirname(path), 'cut.wim')
  for (const share of [0, 0.001, 0.1, 0.3, 0.6, 0.9, 0.99, 0.9999]) {
    writeFileSync(cut, whole.subarray(0, Math.floor(whole.length * share)))
    await t.rejects(openWim(cut), { code: /^(NOT_A_WIM|WIM_CORRUPT)$/ }, `${share} of it`)
  }
})

t.test('WimFile.readBlobs() stops at a blob that fails its hash, and names it', async t => {
  for (const form of ['none', 'lzx', 'xpress', 'lzms', 'solid', 'pipable'] as const) {
    const path = richWim(t, form)
    const { sha1 } = corruptBlob(path)
    await using wim = await openWim(path)
    const stop = await hashes(wim, everyBlob(wim)).then(
      () => undefined,
      (error: unknown) => error as { code: string; message: string },
    )
    t.equal(stop?.code, 'WIM_CORRUPT', form)
    if (form === 'none') t.match(stop?.message, sha1, 'the hash it should have')
  }
})

t.test(
  'WimFile.metadata() and readBlobs() survive flipped bytes: an error or the right bytes, never anything else',
  async t => {
    const path = directoryWim(t, { args: ['--compress=LZX'] })
    const whole = readFileSync(path)
    const flipped = join(dirname(path), 'flipped.wim')
    let seed = 12345
    const random = (limit: number): number => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff
      return seed % limit
    }
    let failures = 0
    for (let round = 0; round < 400; round += 1) {
      const bytes = Buffer.from(whole)
      const structure = round % 2 === 0 ? random(208) : whole.length - 1 - random(3000)
      bytes[structure] = (bytes[structure] ?? 0) ^ (1 << random(8))
      writeFileSync(flipped, bytes)
      try {
        await using wim = await openWim(flipped)
        for (const image of wim.images()) await dentriesOf(wim, image.index)
        const list = everyBlob(wim)
        t.same(
          await hashes(wim, list),
          list.map(blob => wim.blobs().sha1(blob)),
        )
      } catch (error) {
        failures += 1
        t.match(error, { code: /^(NOT_A_WIM|WIM_|UNSUPPORTED|NO_SPACE)/ }, `byte ${structure}`)
      }
    }
    t.ok(failures > 50, `${failures} of 400 were noticed`)
  },
)

t.test('WimFile closes twice, refuses work when closed, and lets reading that has begun end', async t => {
  const path = richWim(t)
  const wim = await openWim(path)
  const list = everyBlob(wim)
  const expected = list.map(blob => wim.blobs().sha1(blob))
  const reading = hashes(wim, list)
  await wim[Symbol.asyncDispose]()
  await wim[Symbol.asyncDispose]()
  t.same(await reading, expected)
  t.throws(() => wim.images(), { code: 'INVALID_ARGUMENT', message: /closed/ })
  await t.rejects(wim.metadata(1), { code: 'INVALID_ARGUMENT' })
})

t.test('WimFile.readBlobs() stops when told to', async t => {
  await using wim = await openWim(richWim(t))
  const controller = new AbortController()
  const reading = (async () => {
    for await (const _piece of wim.readBlobs(everyBlob(wim), { signal: controller.signal })) controller.abort()
  })()
  await t.rejects(reading, { code: 'ABORTED' })
})

t.test(
  'the addon lives through collected readers, ended worker threads and a process that exits in the middle',
  async t => {
    const path = richWim(t)
    const addon = join(import.meta.dirname, '../../build/Release/stowage.node')
    const script = join(t.testdir(), 'lifetime.cjs')
    writeFileSync(
      script,
      `
    const { Worker, isMainThread, workerData } = require('node:worker_threads')
    const addon = require(${JSON.stringify(addon)})
    const path = ${JSON.stringify(path)}
    const open = () => new Promise((resolve, reject) => {
      new addon.WimJob('open', { paths: [path], flags: 0 }, (_events, _question, ended, wim, error) => {
        if (ended) error ? reject(error) : resolve(wim)
      })
    })
    async function start() {
      const wim = await open()
      const { ranks } = wim.blobs()
      const stream = new addon.BlobStream(wim, Uint32Array.from(ranks.keys()), 2)
      await stream.next()
      return stream
    }
    async function job() {
      const wim = await open()
      require('node:fs').writeFileSync(path + '.out', '')
      const blobs = Uint32Array.from(wim.blobs().ranks.keys())
      const job = new addon.LayerJob(wim, blobs, { path: path + '.out', offset: 0, compression: 'gzip', level: 6, threads: 2 }, () => {})
      job.push(Buffer.alloc(0), new Uint32Array(blobs.length))
      return job
    }
    async function main() {
      for (let n = 0; n < 20; n += 1) { await start(); (await start()).next(); await job(); global.gc?.() }
      if (!isMainThread) return process.exit(workerData)
      for (let n = 0; n < 4; n += 1) await new Promise(done => new Worker(__filename, { workerData: n }).on('exit', done))
      const worker = new Worker(__filename, { workerData: 0 })
      setTimeout(() => worker.terminate().then(() => { start(); job(); console.log('alive'); setTimeout(() => process.exit(0), 20) }), 60)
    }
    main()
  `,
    )
    const told = execFileSync(process.execPath, ['--expose-gc', script], { encoding: 'utf8', timeout: 120_000 })
    t.equal(told.trim(), 'alive')
    t.ok(readdirSync(dirname(path)).includes('rich-lzx.wim'))
  },
)

t.test('libwim prints nothing of its own when the XML is damaged', t => {
  const path = directoryWim(t)
  const bytes = readFileSync(path)
  bytes.fill(
    0xff,
    bytes.lastIndexOf(Buffer.from('<IMAGE', 'utf16le')),
    bytes.lastIndexOf(Buffer.from('<IMAGE', 'utf16le')) + 40,
  )
  writeFileSync(path, bytes)
  const script = `
    const { WimJob } = require(process.argv[1])
    new WimJob('open', { paths: [process.argv[2]], flags: 4 }, (_e, _q, ended, _r, error) => ended && console.log(error.code))`
  const addon = join(import.meta.dirname, '../../build/Release/stowage.node')
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script, addon, path], { encoding: 'utf8' })
  t.equal(stdout, 'WIMLIB_ERR_XML\n')
  t.equal(stderr, '')
  t.end()
})
