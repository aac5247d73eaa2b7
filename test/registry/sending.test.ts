import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { BlobPlace } from '../../src/blob/blob-store.js'
import { verified } from '../../src/blob/verified.js'
import { describe } from '../../src/oci/descriptor.js'
import { digestFromHex } from '../../src/oci/digest.js'
import { RegistryConnection } from '../../src/registry/connection.js'
import { findRegistry } from '../../src/registry/endpoint.js'
import { uploadBlob } from '../../src/registry/upload.js'
import { makeCertificate } from '../support/certificate.js'
import { noise } from '../support/images.js'
import { type Fault, startFaultyProxy, startRegistry, startServer } from '../support/registry.js'

const registry = await startRegistry(t)
const MIB = 1024 * 1024
const ADDON = join(import.meta.dirname, '../../build/Release/stowage.node')
/** Large blobs that go at a time: the addon counts the processors of the machine, whichever of them this process may use. */
const AT_ONCE = Math.max(4, cpus().length + 2)

function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'stowage-send-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

interface Upload {
  readonly domain: string
  readonly size: number
  /** Bytes of the file before the blob. */
  readonly offset?: number
  /** What is done to the file before it is sent. */
  readonly spoil?: (path: string) => void
  readonly signal?: AbortSignal
  readonly silence?: number
  readonly env?: NodeJS.ProcessEnv
}

/** Uploads a blob from a file; `reads` is how often its bytes were asked for the long way. */
async function upload(t: Test, { domain, size, offset = 0, spoil, signal, silence = 3000, env = {} }: Upload) {
  const bytes = noise(size, `${t.name} ${size}`)
  const blob = describe('application/octet-stream', bytes)
  const place: BlobPlace = { file: join(directory(t), 'blob'), offset }
  writeFileSync(
    place.file,
    Buffer.concat([Buffer.alloc(offset, 'before'), bytes, Buffer.from(offset > 0 ? 'behind' : '')]),
  )
  spoil?.(place.file)
  let reads = 0
  async function* read() {
    reads += 1
    yield readFileSync(place.file).subarray(offset, offset + size)
  }
  await using connection = new RegistryConnection(await findRegistry(domain, { env }), {
    backoff: 1,
    env,
    silence,
  })
  const error: unknown = await uploadBlob(connection, 'up/load', blob, () => verified(blob, read()), {
    firstWait: 1,
    place,
    signal,
  }).then(
    () => undefined,
    (failure: unknown) => failure,
  )
  const there = await fetch(`http://${registry.domain}/v2/up/load/blobs/${blob.digest}`)
  const whole = there.status === 200 && Buffer.from(await there.arrayBuffer()).equals(bytes)
  return { error, whole, reads }
}

t.test('over TLS a blob goes from its file to the registry too, and a refusal in the middle is heard', async t => {
  const certificate = makeCertificate(t)
  const env = { SSL_CERT_FILE: certificate.file }
  const proxy = await startFaultyProxy(t, registry, () => undefined, certificate)
  for (const size of [1, 5 * MIB + 1])
    t.match(await upload(t, { domain: proxy.domain, size, offset: 7, env }), {
      error: undefined,
      whole: true,
      reads: 0,
    })
  const refusing = await startFaultyProxy(
    t,
    registry,
    (request, response) => {
      if (request.method !== 'PUT') return undefined
      response.writeHead(403, { 'content-length': 0, connection: 'close' }).end()
      return 'answered'
    },
    certificate,
  )
  t.match(await upload(t, { domain: refusing.domain, size: 40 * MIB, env }), { error: { code: 'UNAUTHORIZED' } })
})

t.test('a blob goes from its file to the registry, and nothing of it passes the thread that asked', async t => {
  for (const size of [1, 63, 64, MIB - 1, MIB, MIB + 1, 9_000_001]) {
    t.match(
      await upload(t, { domain: registry.domain, size }),
      { error: undefined, whole: true, reads: 0 },
      `${size} bytes`,
    )
    t.match(
      await upload(t, { domain: registry.domain, size: size + 7, offset: 512 }),
      { error: undefined, whole: true, reads: 0 },
      'out of the middle of a file',
    )
  }
})

t.test('many go at a time, each as it is', async t => {
  const sizes = Array.from({ length: 12 }, (_, n) => 3 * MIB + n * 77_777)
  const all = await Promise.all(sizes.map(async size => await upload(t, { domain: registry.domain, size })))
  t.same(
    all.map(({ whole, reads }) => [whole, reads]),
    sizes.map(() => [true, 0]),
  )
})

t.test('a file that is not the blob is told as that, and no registry that looks has the blob', async t => {
  for (const [code, spoil] of [
    ['DIGEST_MISMATCH', path => writeFileSync(path, noise(5 * MIB, 'another'))],
    ['SIZE_MISMATCH', path => truncateSync(path, 5 * MIB - 1)],
    ['FILE_NOT_FOUND', path => rmSync(path)],
  ] satisfies [string, (path: string) => void][]) {
    t.match(await upload(t, { domain: registry.domain, size: 5 * MIB, spoil }), { error: { code }, whole: false })
  }
})

t.test('where the registry does not say what it has, the file is hashed here', async t => {
  const forgetful: Fault = (request, response) => {
    if (request.method !== 'PUT') return undefined
    request.resume().once('end', () => response.writeHead(201).end())
    return 'answered'
  }
  const proxy = await startFaultyProxy(t, registry, forgetful)
  t.match(await upload(t, { domain: proxy.domain, size: 2 * MIB }), { error: undefined, reads: 1 })
  const spoil = (path: string): void => writeFileSync(path, noise(2 * MIB, 'another'))
  t.match(await upload(t, { domain: proxy.domain, size: 2 * MIB, spoil }), {
    error: { code: 'DIGEST_MISMATCH' },
    reads: 1,
  })
})

t.test('one that is cut off or was too large goes again in pieces', async t => {
  const faults: Fault[] = [
    (request, response) => {
      if (request.method !== 'PUT' || request.headers['content-length'] === '0') return undefined
      request.once('data', () => response.destroy())
      return 'answered'
    },
    (request, response) => {
      if (request.method !== 'PUT' || request.headers['content-length'] === '0') return undefined
      response.writeHead(413, { connection: 'close' }).end('too much')
      return 'answered'
    },
  ]
  for (const fault of faults) {
    const proxy = await startFaultyProxy(t, registry, fault)
    t.match(await upload(t, { domain: proxy.domain, size: 6 * MIB }), { error: undefined, whole: true, reads: 1 })
  }
})

t.test('a word before the answer, as proxies give it, is not an answer: the blob goes on', async t => {
  for (const word of ['writeContinue', 'writeProcessing'] as const) {
    let puts = 0
    const proxy = await startFaultyProxy(t, registry, (request, response) => {
      if (request.method !== 'PUT') return undefined
      puts += 1
      response[word]()
      return undefined
    })
    t.match(
      await upload(t, { domain: proxy.domain, size: 9 * MIB, silence: 1000 }),
      { error: undefined, whole: true, reads: 0 },
      word,
    )
    t.equal(puts, 1)
  }
})

t.test('an answer that comes byte by byte is one', async t => {
  const domain = await startServer(t, (request, response) => {
    if (request.method === 'POST')
      return void response.writeHead(202, { location: '/v2/up/load/blobs/uploads/1' }).end()
    if (request.url === '/v2/') return void response.end()
    const { socket } = request
    socket.setNoDelay(true)
    const said = 'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'
    request.resume().once(
      'end',
      () =>
        void (async () => {
          for (const letter of said) await new Promise(resolve => socket.write(letter, () => setImmediate(resolve)))
        })(),
    )
  })
  t.match(await upload(t, { domain, size: MIB }), {
    error: { code: 'REGISTRY_REFUSED', message: /status 400/ },
    reads: 1,
  })
})

t.test('a registry that takes nothing more, or falls silent, is given up', async t => {
  const domain = await startServer(t, (request, response) => {
    if (request.method === 'POST')
      return void response.writeHead(202, { location: '/v2/up/load/blobs/uploads/1' }).end()
    if (request.url === '/v2/') return void response.end()
    request.pause()
  })
  t.match(await upload(t, { domain, size: 8 * MIB, silence: 200 }), {
    error: { code: 'REGISTRY_UNREACHABLE' },
    whole: false,
  })
})

t.test('aborted in the middle it ends soon', async t => {
  const stop = new AbortController()
  const domain = await startServer(t, (request, response) => {
    if (request.method === 'POST')
      return void response.writeHead(202, { location: '/v2/up/load/blobs/uploads/1' }).end()
    if (request.url === '/v2/') return void response.end()
    request.once('readable', () => stop.abort()) // and reads no more
  })
  t.match(await upload(t, { domain, size: 8 * MIB, silence: 60_000, signal: stop.signal }), {
    error: { code: 'ABORTED' },
    whole: false,
  })
})

/** A registry that reads no blob before it is let to, and then says of none that it has it before it is let to. */
async function lazyRegistry(t: Test) {
  const puts: { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse }[] = []
  const domain = await startServer(t, (incoming, outgoing) => {
    if (incoming.method === 'PUT') puts.push({ incoming, outgoing })
    else outgoing.writeHead(incoming.method === 'POST' ? 202 : 200, { location: '/v2/up/load/blobs/uploads/1' }).end()
  })
  const begun = () => puts.filter(({ incoming }) => incoming.readableLength > 0 || incoming.readableFlowing === true)
  return {
    domain,
    asked: () => puts.length,
    begun: () => begun().length,
    ended: () => puts.filter(({ incoming }) => incoming.readableEnded).length,
    /** One of those that have begun. */
    readOne: () => begun()[0]?.incoming.resume(),
    read: () => puts.forEach(({ incoming }) => incoming.resume()),
    file: () =>
      puts.forEach(({ incoming: { url = '' }, outgoing }) => {
        outgoing
          .writeHead(201, { 'docker-content-digest': new URL(url, 'http://x').searchParams.get('digest') ?? '' })
          .end()
      }),
  }
}

/** Sends more blobs than go at a time, of 12 MB: none has all of itself on its way before the other side reads. */
async function sendMany(t: Test, domain: string) {
  const all = AT_ONCE + 3
  const file = join(directory(t), 'blob')
  writeFileSync(file, '')
  truncateSync(file, 12_000_000)
  const connection = new RegistryConnection(await findRegistry(domain, { env: {} }), { backoff: 1, env: {} })
  t.teardown(async () => await connection[Symbol.asyncDispose]())
  const never = () => {
    throw new Error('the registry says what it has')
  }
  const uploads = Promise.all(
    Array.from({ length: all }, async (_, n) => {
      const blob = {
        mediaType: 'application/octet-stream',
        digest: digestFromHex(n.toString(16).padStart(64, '0')),
        size: 12_000_000,
      }
      return await uploadBlob(connection, 'up/load', blob, never, { place: { file, offset: 0 } })
    }),
  )
  uploads.catch(() => undefined) // thrown where the test waits for it
  return { all, uploads }
}

async function until(t: Test, what: string, milliseconds: number, holds: () => boolean): Promise<void> {
  for (let left = milliseconds; left > 0 && !holds(); left -= 20) await sleep(20)
  t.ok(holds(), what)
}

t.test(
  'a few large blobs are on their way at a time, and the next goes while the registry files what it has',
  async t => {
    const registry = await lazyRegistry(t)
    const { all, uploads } = await sendMany(t, registry.domain)
    await until(t, 'all have asked', 2000, () => registry.asked() === all)
    await sleep(200)
    t.equal(registry.begun(), AT_ONCE)
    registry.readOne()
    await until(
      t,
      'one is there and not yet filed: one more goes, and did not wait for long',
      1500,
      () => registry.begun() === AT_ONCE + 1,
    )
    await sleep(100)
    t.equal(registry.begun(), AT_ONCE + 1, 'and no other')
    registry.read()
    await until(t, 'all are there before the first is filed', 8000, () => registry.ended() === all)
    registry.file()
    t.same(new Set(await uploads), new Set(['uploaded']))
  },
)

t.test(
  'where the line is slow none waits for the others: a registry that waits for the first byte would think it gone',
  async t => {
    const registry = await lazyRegistry(t)
    const { all, uploads } = await sendMany(t, registry.domain)
    await until(t, 'all go though none is through', 8000, () => registry.begun() === all)
    registry.read()
    await until(t, 'and arrive', 8000, () => registry.ended() === all)
    registry.file()
    await uploads
  },
)

t.test('a process that exits while blobs wait for their turn does not wait with them', async t => {
  const registry = await lazyRegistry(t)
  const all = AT_ONCE + 20
  const file = join(directory(t), 'blob')
  writeFileSync(file, '')
  truncateSync(file, 12_000_000)
  const child = spawn(
    process.execPath,
    [
      '-e',
      `
    const { BlobSendJob } = require(${JSON.stringify(ADDON)})
    const head = Buffer.from('PUT /v2/up/load HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 12000000\\r\\n\\r\\n')
    const [address, port] = ${JSON.stringify(registry.domain)}.split(':')
    const request = { addresses: [address], port: Number(port), connectTimeout: 3000, silence: 60_000, head }
    const blob = { path: ${JSON.stringify(file)}, offset: 0, size: 12_000_000 }
    globalThis.jobs = []
    const starting = setInterval(() => jobs.push(new BlobSendJob(blob, request, () => {})) === ${all} && clearInterval(starting), 7) // so that at no time all look up
    process.stdin.on('data', () => process.exit(7))`,
    ],
    { stdio: ['pipe', 'ignore', 'inherit'] },
  )
  await until(t, 'all have asked', 2500, () => registry.asked() === all)
  const exited = once(child, 'exit')
  const from = Date.now()
  child.stdin?.write('exit')
  t.same(await exited, [7, null])
  t.ok(Date.now() - from < 1500, `${Date.now() - from} ms`)
})
