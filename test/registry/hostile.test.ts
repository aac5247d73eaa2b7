/** A registry that means ill, or is broken: what it points at gets no secrets, and what it says without end has one. */
import { createServer as createSocket, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { readPlatforms } from '../../src/blob/platforms.js'
import { readVerified } from '../../src/blob/verified.js'
import { describe } from '../../src/oci/descriptor.js'
import { OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST } from '../../src/oci/media-type.js'
import { openRegistry, RegistryClient, type RegistryOptions } from '../../src/registry/client.js'
import { RegistryConnection } from '../../src/registry/connection.js'
import { makeImage, makeLayer, MemoryBlobs, noise } from '../support/images.js'
import { startServer } from '../support/registry.js'

const BASIC = `Basic ${Buffer.from('ada:secret').toString('base64')}`
const QUICK: RegistryOptions = { backoff: 1, silence: 300, retries: 2, env: {}, home: '/nonexistent' }
const loginAt = (host: string): RegistryOptions => ({
  ...QUICK,
  env: { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [host]: { username: 'ada', password: 'secret' } } }) },
})
const bytes = Buffer.from(noise(300_000, 'hostile'))
const blob = describe(OCI_LAYER, bytes)

async function* read() {
  yield bytes
}

async function listOf(client: RegistryClient): Promise<readonly string[]> {
  const tags: string[] = []
  for await (const tag of client.tags('team/shop')) tags.push(tag)
  return tags
}

/** A server that is asked for a token, and what it was shown. */
async function tokenService(t: Test): Promise<{ readonly host: string; readonly shown: (string | undefined)[] }> {
  const shown: (string | undefined)[] = []
  const host = await startServer(t, (request, response) => {
    shown.push(request.headers.authorization)
    response.end(JSON.stringify({ token: 'stolen' }))
  })
  return { host, shown }
}

t.test('an upload goes where the registry wants it, and what is for the registry does not go with it', async t => {
  const shown: (string | undefined)[] = []
  let came = 0
  const elsewhere = await startServer(t, (request, response) => {
    shown.push(request.headers.authorization)
    request.on('data', (piece: Buffer) => (came += piece.length))
    request.on('end', () => response.writeHead(201).end())
  })
  const host = await startServer(t, (request, response) => {
    request.resume()
    if (request.headers.authorization !== BASIC)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="lab"' }).end()
    else response.writeHead(202, { location: `http://${elsewhere}/take?it=1` }).end()
  })
  await using client = await openRegistry(host, loginAt(host))
  t.equal(await client.putBlob('team/shop', blob, read), 'uploaded')
  t.equal(came, bytes.length)
  t.same(shown, [undefined])
})

t.test('who is pointed at and asks who we are is told nothing', async t => {
  const { host: thief, shown } = await tokenService(t)
  for (const challenge of [`Bearer realm="http://${thief}/token"`, 'Basic realm="lab"']) {
    const asked: (string | undefined)[] = []
    const elsewhere = await startServer(t, (request, response) => {
      asked.push(request.headers.authorization)
      request.resume()
      response.writeHead(401, { 'www-authenticate': challenge }).end()
    })
    const host = await startServer(t, (request, response) => {
      request.resume()
      if (request.headers.authorization !== BASIC)
        response.writeHead(401, { 'www-authenticate': 'Basic realm="lab"' }).end()
      else response.writeHead(request.method === 'POST' ? 202 : 307, { location: `http://${elsewhere}/away` }).end()
    })
    await using client = await openRegistry(host, loginAt(host))
    await t.rejects(readVerified(blob, client.blob('team/shop', blob), blob.size), {
      code: 'REGISTRY_REFUSED',
      message: /401/,
    })
    await t.rejects(client.putBlob('team/shop', blob, read), { code: 'REGISTRY_REFUSED' })
    t.ok(
      asked.length >= 2 && asked.every(authorization => authorization === undefined),
      'it was asked, and shown nothing',
    )
  }
  t.same(shown, [])
})

t.test('a token service that redirects takes the password nowhere', async t => {
  const { host: thief, shown } = await tokenService(t)
  const service = await startServer(t, (_request, response) =>
    response.writeHead(307, { location: `http://${thief}/token` }).end(),
  )
  const host = await startServer(t, (_request, response) =>
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${service}/token"` }).end(),
  )
  await using client = await openRegistry(host, loginAt(host))
  await t.rejects(listOf(client), { code: 'UNAUTHORIZED' })
  t.ok(shown.length > 0 && shown.every(authorization => authorization === undefined))
})

t.test('a token service that is not a place of the web, or says nothing, ends', async t => {
  for (const realm of ['file:///etc/passwd', 'ftp://elsewhere/', '/token', '']) {
    const host = await startServer(t, (_request, response) =>
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end(),
    )
    await using client = await openRegistry(host, loginAt(host))
    await t.rejects(listOf(client), { code: 'REGISTRY_PROTOCOL' }, realm)
  }
  const silent = await startServer(t, () => undefined)
  const host = await startServer(t, (_request, response) =>
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${silent}/token"` }).end(),
  )
  await using client = await openRegistry(host, { ...loginAt(host), silence: 60_000 })
  const started = Date.now()
  await t.rejects(client.manifest('team/shop', '1', { signal: AbortSignal.timeout(200) }), { code: 'ABORTED' })
  t.ok(Date.now() - started < 5000, 'an abort does not wait for it')
})

t.test('401 for ever, and a wait of a year, end at once', async t => {
  const { host: service } = await tokenService(t)
  let requests = 0
  const never = await startServer(t, (_request, response) => {
    requests += 1
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${service}/token"` }).end()
  })
  await using client = await openRegistry(never, loginAt(never))
  await t.rejects(listOf(client), { code: 'UNAUTHORIZED' })
  t.ok(requests <= 4, String(requests)) // one more finds out which of http and https it speaks
  for (const wait of ['31536000', new Date(Date.now() + 31536000_000).toUTCString()]) {
    const busy = await startServer(t, (_request, response) => response.writeHead(429, { 'retry-after': wait }).end())
    await using patient = await openRegistry(busy, QUICK)
    await t.rejects(listOf(patient), { code: 'REGISTRY_REFUSED', message: /429/, hint: /wait, or log in/ })
  }
})

t.test('a list whose pages lead in a circle is not a list', async t => {
  let pages = 0
  const host = await startServer(t, (request, response) => {
    pages += 1
    const referrers = request.url?.includes('/referrers/') ?? false
    const next = new URL(request.url ?? '', 'http://x').searchParams.get('page') === 'b' ? 'a' : 'b'
    response.writeHead(200, { link: `<?page=${next}>; rel="next"`, 'content-type': OCI_INDEX })
    response.end(
      JSON.stringify(referrers ? { schemaVersion: 2, manifests: [] } : { tags: ['1'], repositories: ['team/shop'] }),
    )
  })
  await using client = await openRegistry(host, QUICK)
  await t.rejects(listOf(client), { code: 'REGISTRY_PROTOCOL', message: /form a loop/ })
  await t.rejects(client.referrers('team/shop', blob.digest), { code: 'REGISTRY_PROTOCOL', message: /form a loop/ })
  t.ok(pages < 10, String(pages))
})

t.test('a registry that took another blob than was sent is told to be wrong', async t => {
  const other = describe(OCI_LAYER, Buffer.from('other')).digest
  const host = await startServer(t, (request, response) => {
    request.resume()
    if (request.method === 'POST') response.writeHead(202, { location: '/v2/team/shop/blobs/uploads/1' }).end()
    else request.on('end', () => response.writeHead(201, { 'docker-content-digest': other }).end())
  })
  await using client = await openRegistry(host, QUICK)
  await t.rejects(client.putBlob('team/shop', blob, read), { code: 'DIGEST_MISMATCH', message: new RegExp(other) })
})

t.test('a foreign layer is not fetched from files, nor from this machine, for a registry elsewhere', async t => {
  let asked = 0
  const own = await startServer(t, (_request, response) => {
    asked += 1
    response.end(bytes)
  })
  const endpoint = {
    domain: 'registry.example',
    host: 'registry.example',
    scheme: 'https',
    tls: { ca: [], cert: undefined, key: undefined, file: '', keyFile: '', hollow: [] },
  } as const
  await using client = new RegistryClient(new RegistryConnection(endpoint, QUICK), 1)
  for (const url of [
    'file:///etc/passwd',
    `http://${own}/layer`,
    `http://localhost:${own.split(':')[1]}/`,
    'http://[::1]/',
    'gopher://elsewhere/',
    'http://',
  ]) {
    await t.rejects(readVerified(blob, client.external(url, blob), blob.size), { code: 'REGISTRY_PROTOCOL' }, url)
  }
  t.equal(asked, 0)
  await using near = await openRegistry(own, QUICK)
  t.equal(
    (await readVerified(blob, near.external(`http://${own}/layer`, blob), blob.size)).length,
    blob.size,
    'but for one that is here itself',
  )
})

/** A server that says these lines to whoever comes, whatever it is asked. */
async function sayTo(t: Test, say: (socket: Socket) => void): Promise<string> {
  const server = createSocket(socket => {
    socket.on('error', () => undefined)
    socket.once('data', first => {
      if (first[0] === 0x16)
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n') // a TLS greeting
      else say(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const sockets = new Set<Socket>()
  server.on('connection', socket => sockets.add(socket))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('answers that contradict themselves, or have no end, never pass for a blob and end', async t => {
  const size = blob.size
  const large = { ...blob, size: 5 * 1024 * 1024 } // over a connection of its own
  const cases: Readonly<Record<string, (socket: Socket) => void>> = {
    'two lengths': socket =>
      void socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\nContent-Length: 5\r\n\r\n12345`),
    'a length that is none': socket => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n'),
    'a length and chunks': socket =>
      void socket.end(
        `HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n`,
      ),
    'headers without end': socket => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(`x-more: ${'y'.repeat(1000)}\r\n`));
      }
      socket.write('HTTP/1.1 200 OK\r\n')
      socket.on('drain', more)
      more()
    },
    'no length, and bytes without end': socket => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(64 * 1024)));
      }
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.on('drain', more)
      more()
    },
    'no HTTP at all': socket => void socket.end('SSH-2.0-OpenSSH_9.9\r\n'),
    silence: () => undefined,
  }
  for (const [name, say] of Object.entries(cases)) {
    for (const wanted of [blob, large]) {
      const host = await sayTo(t, say)
      await using client = await openRegistry(host, QUICK)
      const error = await readVerified(wanted, client.blob('team/shop', wanted), wanted.size).catch(
        (error: unknown) => error,
      )
      t.match(
        error,
        { name: 'StowageError', code: /^(REGISTRY_UNREACHABLE|REGISTRY_PROTOCOL|SIZE_MISMATCH|DIGEST_MISMATCH)$/ },
        `${name}, ${wanted.size} bytes`,
      )
    }
  }
})

t.test('indexes that name one another many times are read once each, with --platform too', async t => {
  const blobs = new MemoryBlobs()
  let below = makeImage([await makeLayer({ a: 'b' })], { blobs, platform: { os: 'linux', architecture: 'amd64' } }).root
  for (let depth = 0; depth < 7; depth += 1) {
    below = blobs.add(
      OCI_INDEX,
      Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: Array.from({ length: 20 }, () => below) }),
      ),
    )
  }
  let fetched = 0
  const counting = {
    has: blobs.has.bind(blobs),
    fetch: (wanted: typeof below) => ((fetched += 1), blobs.fetch(wanted)),
  }
  await readImage(counting, below)
  t.ok(fetched < 20, String(fetched))
  fetched = 0
  const image = await readPlatforms(counting, below, { platforms: ['linux/amd64'] })
  t.equal(image.platforms.length, 1)
  t.ok(fetched < 40, String(fetched))
})

t.test('an image that gives one blob two sizes is refused before anything is fetched', async t => {
  const blobs = new MemoryBlobs()
  const layer = await makeLayer({ a: 'b' })
  const { config, layers } = makeImage([layer, layer], { blobs })
  const lying = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [{ ...layers[0], size: 7 }, layers[1]] }
  const root = blobs.add(OCI_MANIFEST, Buffer.from(JSON.stringify(lying)))
  await t.rejects(readImage(blobs, root), { code: 'INVALID_MANIFEST', message: /7 bytes/ })
  for (const size of [-1, 1.5, 2 ** 53, 1e300, '5', null]) {
    const odd = blobs.add(OCI_MANIFEST, Buffer.from(JSON.stringify({ ...lying, layers: [{ ...layers[0], size }] })))
    await t.rejects(readImage(blobs, odd), { code: 'INVALID_MANIFEST', message: /size/ }, String(size))
  }
  const huge = blobs.add(
    OCI_MANIFEST,
    Buffer.from(JSON.stringify({ ...lying, config: { ...config, mediaType: OCI_CONFIG, size: 2 ** 30 } })),
  )
  await t.rejects(readImage(blobs, huge), {
    code: 'INVALID_MANIFEST',
    message: /manifests and configs of 107374\d+ bytes or more; the limit/,
  })
})
