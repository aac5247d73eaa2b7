import t, { type Test } from 'tap'
import { verified } from '../../src/blob/verified.js'
import { RegistryConnection } from '../../src/registry/connection.js'
import { findRegistry } from '../../src/registry/endpoint.js'
import { formatRateLimit, isLow, parseRateLimit } from '../../src/registry/rate-limit.js'
import { uploadBlob } from '../../src/registry/upload.js'
import { describe, type Descriptor } from '../../src/oci/descriptor.js'
import { openRegistry } from '../../src/registry/client.js'
import { noise } from '../support/images.js'
import { type Fault, startFaultyProxy, startRegistry, startServer } from '../support/registry.js'

const registry = await startRegistry(t)
const MIB = 1024 * 1024

async function connectionTo(domain: string): Promise<RegistryConnection> {
  return new RegistryConnection(await findRegistry(domain, { env: {} }), { backoff: 1, env: {}, silence: 3000 })
}

/** Puts `size` bytes there through a proxy that does what `fault` says; gives the requests, and the error if there was one. */
async function uploadThrough(t: Test, size: number, fault: Fault, large: number) {
  const proxy = await startFaultyProxy(t, registry, fault)
  await using connection = await connectionTo(proxy.domain)
  const bytes = noise(size, `${t.name} ${size}`)
  const blob = describe('application/octet-stream', bytes)
  let reads = 0
  async function* read() {
    reads += 1
    for (let at = 0; at < size; at += 100_000) yield bytes.subarray(at, at + 100_000)
  }
  const error = await uploadBlob(connection, 'up/load', blob, () => verified(blob, read()), {
    firstWait: 1,
    large,
  }).then(
    () => undefined,
    (failure: unknown) => failure,
  )
  const there = await fetch(`http://${registry.domain}/v2/up/load/blobs/${blob.digest}`)
  const whole = there.status === 200 && Buffer.from(await there.arrayBuffer()).equals(bytes)
  return { error, whole, reads, lines: proxy.requests.map(({ line }) => line.split(' ')[0]) }
}

t.test('a large blob goes up in pieces', async t => {
  const { error, whole, reads, lines } = await uploadThrough(t, 40 * MIB, () => undefined, MIB)
  t.equal(error, undefined)
  t.ok(whole)
  t.equal(reads, 1)
  t.same(lines.filter(method => method === 'PATCH').length, 3)
})

t.test('a piece that breaks off is sent again, alone', async t => {
  let patches = 0
  const { error, whole, reads } = await uploadThrough(
    t,
    40 * MIB,
    (request, response) => {
      if (request.method !== 'PATCH') return undefined
      patches += 1
      if (patches !== 2) return undefined
      request.once('data', () => response.destroy())
      return 'answered'
    },
    MIB,
  )
  t.equal(error, undefined)
  t.ok(whole)
  t.equal(reads, 1, 'the blob was read once')
  t.equal(patches, 4)
})

t.test('a piece that arrived though its answer was lost is not sent twice', async t => {
  let patches = 0
  const { error, whole } = await uploadThrough(
    t,
    20 * MIB,
    (request, _response) => {
      if (request.method !== 'PATCH') return undefined
      patches += 1
      return patches === 1 ? { status: 502 } : undefined
    },
    MIB,
  )
  t.equal(error, undefined)
  t.ok(whole)
  t.equal(patches, 2)
})

t.test('one request that is cut off, or is too large for what stands between, is followed by pieces', async t => {
  for (const status of [413, 502]) {
    const { error, whole, lines } = await uploadThrough(
      t,
      3 * MIB,
      (request, response) => {
        if (request.method !== 'PUT' || Number(request.headers['content-length']) === 0) return undefined
        request.resume()
        request.once('end', () => response.writeHead(status).end())
        return 'answered'
      },
      100 * MIB,
    )
    t.equal(error, undefined, String(status))
    t.ok(whole)
    t.ok(lines.includes('PATCH'))
  }
})

t.test('a registry that takes no pieces gets the blob in one request', async t => {
  const { error, whole, lines } = await uploadThrough(
    t,
    3 * MIB,
    (request, response) => {
      if (request.method !== 'PATCH') return undefined
      request.resume()
      request.once('end', () => response.writeHead(405).end())
      return 'answered'
    },
    MIB,
  )
  t.equal(error, undefined)
  t.ok(whole)
  t.same(lines.filter(method => method === 'PATCH').length, 1)
})

t.test('what cannot be read is not there afterwards', async t => {
  await using connection = await connectionTo(registry.domain)
  for (const large of [MIB, 100 * MIB]) {
    const bytes = noise(2 * MIB, `unreadable ${large}`)
    const blob: Descriptor = { ...describe('x', bytes), digest: describe('x', noise(9, String(large))).digest }
    async function* read() {
      yield bytes
    }
    await t.rejects(
      uploadBlob(connection, 'up/load', blob, () => verified(blob, read()), { firstWait: 1, large }),
      { code: 'DIGEST_MISMATCH' },
    )
    t.equal((await fetch(`http://${registry.domain}/v2/up/load/blobs/${blob.digest}`)).status, 404)
  }
})

t.test('what a registry still allows is told before it is nothing, and in the error after', async t => {
  t.same(
    parseRateLimit(name => ({ 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '7;w=21600' })[name]),
    { limit: 100, remaining: 7, window: 21600 },
  )
  t.equal(
    parseRateLimit(() => undefined),
    undefined,
  )
  t.equal(formatRateLimit({ limit: 100, remaining: 7, window: 21600 }), '7 of 100 pulls in 6 hours are left')
  t.same(
    [7, 50].map(remaining => isLow({ limit: 100, remaining, window: undefined })),
    [true, false],
  )
  let left = 35
  const domain = await startServer(t, (request, response) => {
    if (request.url === '/v2/') return void response.end('{}')
    left -= 30
    response.setHeader('ratelimit-limit', '60;w=3600').setHeader('ratelimit-remaining', `${Math.max(left, 0)};w=3600`)
    if (left < 0)
      response
        .writeHead(429, { 'retry-after': '3600' })
        .end('{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}')
    else response.setHeader('content-type', 'application/json').end('{"name":"a/b","tags":["1"]}')
  })
  const told: string[] = []
  await using client = await openRegistry(domain, { env: {}, backoff: 1, onNotice: sentence => told.push(sentence) })
  const tags = async () => {
    const found: string[] = []
    for await (const tag of client.tags('a/b')) found.push(tag)
    return found
  }
  t.same(await tags(), ['1'])
  t.match(told, [/: 5 of 60 pulls in an hour are left$/])
  await t.rejects(tags(), {
    code: 'REGISTRY_REFUSED',
    message: /429: TOOMANYREQUESTS, slow down/,
    hint: /0 of 60 pulls/,
  })
  t.equal(told.length, 1, 'once')
})
