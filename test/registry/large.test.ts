import { createServer as createSocket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { BlobDirectory } from '../../src/blob/directory.js'
import { fetchFrom } from '../../src/blob/blob-store.js'
import { openRegistrySource } from '../../src/transport/registry/source.js'
import { layeredImage } from '../support/images.js'
import { type Fault, pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'

// Blobs of this size have a connection of their own, and are written where they land
const registry = await startRegistry(t)
const image = await layeredImage(1, { size: 9_000_000 })
await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
const layer = image.layers[0]!
const path = `/v2/team/shop/blobs/${layer.digest}`

/** Puts the layer into a directory through a proxy that does what `fault` says to each request for it. */
async function putThrough(t: Test, fault: Fault, signal?: AbortSignal) {
  const proxy = await startFaultyProxy(t, registry, (request, response, count) =>
    request.method === 'GET' && request.url === path ? fault(request, response, count) : undefined,
  )
  await using source = await openRegistrySource(`${proxy.domain}/team/shop:2.3`, {
    backoff: 1,
    silence: 700,
    env: {},
    home: '/nonexistent',
  })
  await source.images()
  const directory = new BlobDirectory(t.testdir())
  const error = await directory
    .put(layer, offset => fetchFrom(source, layer, offset, { signal }), { signal })
    .then(
      () => undefined,
      (failure: unknown) => failure,
    )
  const bytes = error === undefined ? await readFile(directory.path(layer.digest)) : undefined
  const asked = proxy.requests.filter(({ line }) => line === `GET ${path}`)
  return {
    error,
    whole: bytes?.equals(image.blobs.get(layer.digest)) ?? false,
    ranges: asked.map(({ range }) => range),
    asked,
  }
}

t.test('a large blob that is cut, falls silent or is broken off hard goes on where it was', async t => {
  const faults: Readonly<Record<string, Fault>> = {
    'cut twice': (_request, _response, count) => (count < 2 ? { cutAfter: 3_000_000 } : undefined),
    silent: (_request, _response, count) => (count === 0 ? { stallAfter: 2_500_000 } : undefined),
    'broken off': (_request, response, count) => {
      if (count > 0) return undefined
      setTimeout(() => response.destroy(), 30)
      return undefined
    },
    'cut in the head': (_request, response, count) => {
      if (count > 1) return undefined
      response.socket?.end('HTTP/1.1 200 OK\r\ncontent-le')
      return 'answered'
    },
    'busy first': (_request, response, count) => {
      if (count > 1) return undefined
      response.writeHead(503, { 'retry-after': '0' }).end('<html>later</html>')
      return 'answered'
    },
  }
  for (const [name, fault] of Object.entries(faults)) {
    const { error, whole } = await putThrough(t, fault)
    t.equal(error, undefined, name)
    t.ok(whole, name)
  }
})

t.test('an answer in chunks, without a length, is read as well', async t => {
  const { error, whole } = await putThrough(t, () => ({ headers: { 'content-length': undefined } }))
  t.equal(error, undefined)
  t.ok(whole)
})

t.test('what is not the large blob never gets its name', async t => {
  const body = (
    response: Parameters<Fault>[1],
    status: number,
    headers: Record<string, string | number>,
    bytes: Uint8Array,
  ) => {
    response.writeHead(status, headers).end(bytes)
    return 'answered' as const
  }
  const wrong: Readonly<Record<string, readonly [Fault, object]>> = {
    'other bytes': [
      (_request, response) => body(response, 200, { 'content-length': layer.size }, Buffer.alloc(layer.size, 7)),
      { code: 'DIGEST_MISMATCH' },
    ],
    'too long': [
      (_request, response) => body(response, 200, { 'content-length': layer.size + 1 }, Buffer.alloc(layer.size + 1)),
      { code: 'SIZE_MISMATCH' },
    ],
    'too short': [
      (_request, response) => body(response, 200, { 'content-length': 5 }, Buffer.from('short')),
      { code: 'SIZE_MISMATCH' },
    ],
    'another part': [
      (_request, _response, count) =>
        count === 0
          ? { cutAfter: 3_000_000 }
          : { headers: { 'content-range': `bytes 0-${layer.size - 1}/${layer.size}` }, status: 206 },
      { code: 'REGISTRY_PROTOCOL' },
    ],
    gone: [(_request, response) => body(response, 404, {}, Buffer.from('')), { code: 'BLOB_MISSING' }],
    forbidden: [(_request, response) => body(response, 403, {}, Buffer.from('')), { code: 'UNAUTHORIZED' }],
    'moved in a circle': [
      (request, response) => body(response, 307, { location: request.url ?? '' }, Buffer.from('')),
      { code: 'REGISTRY_PROTOCOL', message: /redirects more than 10 times/ },
    ],
    'moved to a file': [
      (_request, response) => body(response, 307, { location: 'file:///etc/passwd' }, Buffer.from('')),
      { code: 'REGISTRY_PROTOCOL' },
    ],
    'never there': [
      (_request, response) => {
        response.destroy()
        return 'answered'
      },
      { code: 'REGISTRY_UNREACHABLE' },
    ],
    'no http': [
      (_request, response) => {
        response.socket?.end('SSH-2.0-OpenSSH_9.2\r\n')
        return 'answered'
      },
      { code: 'REGISTRY_UNREACHABLE' },
    ],
  }
  for (const [name, [fault, expected]] of Object.entries(wrong)) {
    const { error } = await putThrough(t, fault)
    t.match(error, expected, name)
  }
})

t.test('a large blob that was moved elsewhere is fetched there, without what is for the registry', async t => {
  const seen: string[] = []
  const elsewhere = createSocket(socket => {
    socket.once('data', (head: Buffer) => {
      seen.push(head.toString())
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${layer.size}\r\n\r\n`)
      socket.end(image.blobs.get(layer.digest))
    })
  })
  await new Promise<void>(resolve => elsewhere.listen(0, '127.0.0.1', resolve))
  t.teardown(() => void elsewhere.close())
  const { port } = elsewhere.address() as AddressInfo
  const { error, whole } = await putThrough(t, (_request, response) => {
    response.writeHead(307, { location: `http://127.0.0.1:${port}/signed?for=you` }).end()
    return 'answered'
  })
  t.equal(error, undefined)
  t.ok(whole)
  t.equal(seen.length, 1)
  t.match(seen[0], /^GET \/signed\?for=you HTTP\/1\.1\r\n/)
  t.notMatch(seen[0], /authorization/i)
})

t.test('an aborted large blob ends at once, in the middle and in silence', async t => {
  for (const fault of [() => ({ stallAfter: 4_000_000 }), () => ({ stallAfter: 0 })]) {
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 200)
    t.match((await putThrough(t, fault, controller.signal)).error, { code: 'ABORTED' })
  }
})

t.test('the blob stands in its directory as it came when nothing fails, asked for once', async t => {
  const { error, whole, ranges } = await putThrough(t, () => undefined)
  t.equal(error, undefined)
  t.ok(whole)
  t.same(ranges, [undefined])
})
