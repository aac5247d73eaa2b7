import t, { type Test } from 'tap'
import { readVerified } from '../../src/blob/verified.js'
import { openRegistry, type RegistryOptions } from '../../src/registry/client.js'
import { layeredImage } from '../support/images.js'
import { type Fault, pushWithSkopeo, startFaultyProxy, startRegistry, startServer } from '../support/registry.js'

const QUICK: RegistryOptions = { backoff: 1, silence: 500, env: {}, home: '/nonexistent' }

const registry = await startRegistry(t)
const image = await layeredImage(1, { size: 3_000_000 })
await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
const layer = image.layers[0]!
const blobPath = `/v2/team/shop/blobs/${layer.digest}`

/** Reads the layer through a proxy that does what `fault` says to each request for it. */
async function readThrough(t: Test, fault: Fault, options: RegistryOptions = QUICK) {
  const proxy = await startFaultyProxy(t, registry, (request, response, count) =>
    request.method === 'GET' && request.url === blobPath ? fault(request, response, count) : undefined,
  )
  await using client = await openRegistry(proxy.domain, options)
  const read = readVerified(layer, client.blob('team/shop', layer), layer.size)
  const bytes = await read.catch((error: unknown) => error)
  const requests = proxy.requests.filter(({ line }) => line === `GET ${blobPath}`)
  return { bytes, requests, ranges: requests.map(({ range }) => range) }
}

t.test('a blob whose connection is cut goes on where it was', async t => {
  const { bytes, ranges } = await readThrough(t, (_request, _response, count) =>
    count < 3 ? { cutAfter: 700_000 } : undefined,
  )
  t.ok(Buffer.from(image.blobs.get(layer.digest)).equals(bytes as Buffer))
  t.equal(ranges.length, 4)
  t.equal(ranges[0], undefined)
  t.match(ranges.slice(1), [/^bytes=\d+-\d+$/, /^bytes=\d+-\d+$/, /^bytes=\d+-\d+$/])
  const starts = ranges.slice(1).map(range => Number(/\d+/.exec(range ?? '')?.[0]))
  t.ok(
    starts.every((start, n) => start > (starts[n - 1] ?? 0)),
    'each from further on',
  )
})

t.test('a connection that falls silent is left and the blob goes on', async t => {
  const { bytes, ranges } = await readThrough(t, (_request, _response, count) =>
    count === 0 ? { stallAfter: 500_000 } : undefined,
  )
  t.ok(Buffer.from(image.blobs.get(layer.digest)).equals(bytes as Buffer))
  t.equal(ranges.length, 2)
})

t.test('a registry that knows no ranges is read again from the beginning', async t => {
  const { bytes } = await readThrough(t, (request, _response, count) => {
    delete request.headers.range
    return count === 0 ? { cutAfter: 500_000 } : undefined
  })
  t.ok(Buffer.from(image.blobs.get(layer.digest)).equals(bytes as Buffer))
})

t.test('what passes is tried again, what does not is told at once', async t => {
  for (const status of [408, 425, 429, 500, 502, 503, 504]) {
    const { bytes, requests } = await readThrough(t, (_request, response, count) => {
      if (count > 1) return undefined
      response.writeHead(status, { 'retry-after': '0' }).end('<html>busy</html>')
      return 'answered'
    })
    t.ok(Buffer.isBuffer(bytes), String(status))
    t.equal(requests.length, 3, String(status))
  }
  for (const [status, code] of [
    [400, 'REGISTRY_REFUSED'],
    [403, 'UNAUTHORIZED'],
    [404, 'BLOB_MISSING'],
    [410, 'REGISTRY_REFUSED'],
  ] as const) {
    const { bytes, requests } = await readThrough(t, (_request, response) => {
      response.writeHead(status).end(JSON.stringify({ errors: [{ code: 'SOME_CODE', message: 'so it says' }] }))
      return 'answered'
    })
    t.match(bytes, { code }, String(status))
    if (status !== 404) t.match((bytes as Error).message, /SOME_CODE, so it says/)
    t.equal(requests.length, 1, String(status))
  }
})

t.test('what never works ends with an error that says so', async t => {
  const gone = await readThrough(
    t,
    (_request, response) => {
      response.destroy()
      return 'answered'
    },
    { ...QUICK, retries: 2 },
  )
  t.match(gone.bytes, { code: 'REGISTRY_UNREACHABLE' })
  const busy = await readThrough(
    t,
    (_request, response) => {
      response.writeHead(503).end()
      return 'answered'
    },
    { ...QUICK, retries: 2 },
  )
  t.match(busy.bytes, { code: 'REGISTRY_REFUSED', message: /status 503/ })
  t.equal(busy.requests.length, 3)
})

t.test('bytes that are not the blob never pass for it', async t => {
  const wrong = await readThrough(t, (_request, response) => {
    response.writeHead(200, { 'content-length': layer.size }).end(Buffer.alloc(layer.size, 7))
    return 'answered'
  })
  t.match(wrong.bytes, { code: 'DIGEST_MISMATCH' })
  const long = await readThrough(t, (_request, response) => {
    response.writeHead(200).end(Buffer.alloc(layer.size + 1, 7))
    return 'answered'
  })
  t.match(long.bytes, { code: 'SIZE_MISMATCH' })
  const announced = await readThrough(t, (_request, response) => {
    response.writeHead(200, { 'content-length': 5 }).end('short')
    return 'answered'
  })
  t.match(announced.bytes, { code: 'SIZE_MISMATCH', message: /has 5/ })
  const elsewhere = await readThrough(t, (_request, _response, count) => {
    if (count === 0) return { cutAfter: 500_000 }
    return { headers: { 'content-range': `bytes 0-${layer.size - 1}/${layer.size}` }, status: 206 }
  })
  t.match(elsewhere.bytes, { code: 'REGISTRY_PROTOCOL', message: /from byte/ })
  const packed = await readThrough(t, () => ({ headers: { 'content-encoding': 'gzip' } }))
  t.ok(Buffer.isBuffer(packed.bytes), 'a header that says gzip of bytes that are none changes nothing')
})

t.test('a manifest is checked against its digest', async t => {
  const proxy = await startFaultyProxy(t, registry, (request, response) => {
    if (!request.url?.includes('/manifests/')) return undefined
    response
      .writeHead(200, {
        'content-type': 'application/vnd.oci.image.manifest.v1+json',
        'docker-content-digest': image.root.digest,
      })
      .end('{}')
    return 'answered'
  })
  await using client = await openRegistry(proxy.domain, QUICK)
  await t.rejects(client.manifest('team/shop', '2.3'), { code: 'DIGEST_MISMATCH' })
  await t.rejects(client.manifest('team/shop', image.root.digest), { code: 'DIGEST_MISMATCH' })
})

const LOGIN = { DOCKER_AUTH_CONFIG: '' }
const loginAt = (host: string, entry: unknown = { username: 'ada', password: 'secret' }): RegistryOptions => ({
  ...QUICK,
  env: { ...LOGIN, DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [host]: entry } }) },
})

t.test('the token service is asked once, with the credentials, and its token shown to the registry alone', async t => {
  const asked: { url: string; authorization: string | undefined; method: string | undefined }[] = []
  const elsewhere: (string | undefined)[] = []
  const store = await startServer(t, (request, response) => {
    elsewhere.push(request.headers.authorization)
    response.end(image.blobs.get(layer.digest))
  })
  const service = await startServer(t, (request, response) => {
    asked.push({ url: request.url ?? '', authorization: request.headers.authorization, method: request.method })
    response.end(JSON.stringify({ token: 'opensesame', expires_in: 300 }))
  })
  const host = await startServer(t, (request, response) => {
    if (request.headers.authorization !== 'Bearer opensesame') {
      response
        .writeHead(401, {
          'www-authenticate': `Bearer realm="http://${service}/token",service="us",scope="repository:team/shop:pull"`,
        })
        .end()
    } else {
      response.writeHead(307, { location: `http://${store}/signed?key=1` }).end()
    }
  })
  await using client = await openRegistry(host, loginAt(host))
  for (let n = 0; n < 2; n += 1) {
    t.equal((await readVerified(layer, client.blob('team/shop', layer), layer.size)).length, layer.size)
  }
  t.same(asked, [
    {
      url: '/token?service=us&scope=repository%3Ateam%2Fshop%3Apull&account=ada',
      method: 'GET',
      authorization: `Basic ${Buffer.from('ada:secret').toString('base64')}`,
    },
  ])
  t.same(elsewhere, [undefined, undefined], 'where it redirects to, nothing is shown')
})

t.test('an identity token is exchanged as OAuth has it', async t => {
  let form = ''
  const service = await startServer(t, (request, response) => {
    request.on('data', (piece: Buffer) => (form += piece.toString()))
    request.on('end', () => response.end(JSON.stringify({ access_token: 'opensesame' })))
  })
  const host = await startServer(t, (request, response) => {
    if (request.headers.authorization === 'Bearer opensesame') response.end(JSON.stringify({ tags: ['1', '2'] }))
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${service}/token",service="us"` }).end()
  })
  await using client = await openRegistry(host, loginAt(host, { identitytoken: 'refresh' }))
  const tags = []
  for await (const tag of client.tags('team/shop')) tags.push(tag)
  t.same(tags, ['1', '2'])
  t.same(Object.fromEntries(new URLSearchParams(form)), {
    grant_type: 'refresh_token',
    refresh_token: 'refresh',
    client_id: 'stowage',
    scope: 'repository:team/shop:pull',
    service: 'us',
  })
})

t.test(
  'a token that has ended is asked for anew; one that is never taken ends with UNAUTHORIZED, naming no secret',
  async t => {
    let tokens = 0
    let open = 1
    const service = await startServer(t, (_request, response) =>
      response.end(JSON.stringify({ token: `number${++tokens}`, expires_in: 300 })),
    )
    const host = await startServer(t, (request, response) => {
      if (request.headers.authorization === `Bearer number${open}`) response.end(JSON.stringify({ tags: [] }))
      else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${service}/"` }).end()
    })
    await using client = await openRegistry(host, loginAt(host))
    const list = async () => {
      for await (const _tag of client.tags('team/shop'));
    }
    await list()
    open = 2
    await list()
    t.equal(tokens, 2)
    open = -1
    const error = await list().catch((error: unknown) => error)
    t.match(error, { code: 'UNAUTHORIZED', message: /DOCKER_AUTH_CONFIG/ })
    t.notMatch(`${String(error)} ${JSON.stringify(error)}`, /secret|number/)
  },
)

t.test('redirects end: in a circle, to a file, to nowhere', async t => {
  const host = await startServer(t, (request, response) => {
    const location = {
      '/v2/circle/tags/list?n=1000': request.url,
      '/v2/file/tags/list?n=1000': 'file:///etc/passwd',
      '/v2/no/tags/list?n=1000': 'http://[',
    }[request.url ?? '']
    response.writeHead(302, { location: location ?? '/' }).end()
  })
  await using client = await openRegistry(host, QUICK)
  for (const repository of ['circle', 'file', 'no']) {
    await t.rejects(
      async () => {
        for await (const _tag of client.tags(repository));
      },
      { code: 'REGISTRY_PROTOCOL' },
      repository,
    )
  }
})

t.test('pages of tags are read to the last, and stay with the registry', async t => {
  const host = await startServer(t, (request, response) => {
    const page = Number(new URL(request.url ?? '', 'http://x').searchParams.get('page') ?? 0)
    const next =
      page < 3 ? { link: `<http://elsewhere.invalid/v2/team/shop/tags/list?page=${page + 1}>; rel="next"` } : {}
    response.writeHead(200, next).end(JSON.stringify({ tags: [`tag${page}`] }))
  })
  await using client = await openRegistry(host, QUICK)
  const tags = []
  for await (const tag of client.tags('team/shop')) tags.push(tag)
  t.same(tags, ['tag0', 'tag1', 'tag2', 'tag3'])
})

t.test('an aborted read ends with ABORTED, in the middle of waiting too', async t => {
  const proxy = await startFaultyProxy(t, registry, (_request, response) => {
    response.writeHead(503, { 'retry-after': '30' }).end()
    return 'answered'
  })
  await using client = await openRegistry(proxy.domain, QUICK)
  const started = Date.now()
  await t.rejects(client.manifest('team/shop', '2.3', { signal: AbortSignal.timeout(100) }), { code: 'ABORTED' })
  t.ok(Date.now() - started < 5000)
})
