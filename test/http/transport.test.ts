import { setMaxListeners } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openRegistry, type RegistryClient } from '../../src/registry/client.js'
import { Web } from '../../src/http/web.js'
import { makeCertificate } from '../support/certificate.js'
import { layeredImage } from '../support/images.js'
import { type Fault, pushWithSkopeo, startFaultyProxy, startRegistry, startServer } from '../support/registry.js'

const registry = await startRegistry(t)
const image = await layeredImage(1)
await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
const manifest = image.blobs.get(image.root.digest)
const text = Buffer.from(manifest).toString()
const tls = makeCertificate(t)

/** Both roads that small requests take: node:http, and undici with TLS. */
for (const road of ['plain http', 'TLS'] as const) {
  const open = async (domain: string, retries = 3): Promise<RegistryClient> =>
    await openRegistry(domain, {
      backoff: 1,
      silence: 400,
      retries,
      env: { SSL_CERT_FILE: tls.file },
      home: '/nonexistent',
    })

  /** What asking for the manifest, and for its blobs' uploads, ends with where `fault` meets the requests for `path`. */
  const meet = async (t: Test, path: string, fault: Fault, ask: (client: RegistryClient) => Promise<unknown>) => {
    const proxy = await startFaultyProxy(
      t,
      registry,
      (request, response, count) => (request.url?.startsWith(path) ? fault(request, response, count) : undefined),
      road === 'TLS' ? tls : undefined,
    )
    await using client = await open(proxy.domain)
    const result = await ask(client).catch((error: unknown) => error)
    return { result, count: proxy.requests.filter(({ line }) => line.includes(path)).length }
  }
  const manifests = '/v2/team/shop/manifests/'
  const readManifest = async (client: RegistryClient): Promise<unknown> =>
    Buffer.from((await client.manifest('team/shop', '2.3')).bytes).toString()
  const busy: Fault = (_request, response) => {
    response.writeHead(503, { 'retry-after': '0' }).end('busy')
    return 'answered'
  }
  const gone: Fault = (_request, response) => {
    response.destroy()
    return 'answered'
  }
  const silent: Fault = () => 'answered'
  const noHttp: Fault = (_request, response) => {
    response.socket?.end('220 mail.example ESMTP\r\n')
    return 'answered'
  }

  t.test(`${road}: what breaks a small answer once or twice is mended by asking again`, async t => {
    for (const [name, fault] of Object.entries({ busy, gone, silent, noHttp } satisfies Record<string, Fault>)) {
      const { result, count } = await meet(
        t,
        manifests,
        (request, response, n) => (n < 2 ? fault(request, response, n) : undefined),
        readManifest,
      )
      t.equal(result, text, name)
      t.ok(count >= 3, name)
    }
  })

  t.test(`${road}: a small answer that ends early, or never, is none, and is asked for again`, async t => {
    for (const passing of [{ cutAfter: 20 }, { stallAfter: 20 }]) {
      t.match(
        await meet(t, manifests, () => passing, readManifest),
        { result: { code: 'REGISTRY_UNREACHABLE' }, count: 4 },
        JSON.stringify(passing),
      )
      t.equal(
        (await meet(t, manifests, (_request, _response, n) => (n === 0 ? passing : undefined), readManifest)).result,
        text,
      )
    }
  })

  t.test(`${road}: what never works ends with an error that says so`, async t => {
    t.match(await meet(t, manifests, busy, readManifest), {
      result: { code: 'REGISTRY_REFUSED', message: /status 503/ },
      count: 4,
    })
    for (const fault of [gone, silent, noHttp])
      t.match((await meet(t, manifests, fault, readManifest)).result, { code: 'REGISTRY_UNREACHABLE' })
  })

  t.test(`${road}: a manifest and a blob go up though the registry fails on the way`, async t => {
    const [layer] = image.layers
    if (!layer) throw new Error('the image has no layer')
    const push = async (client: RegistryClient): Promise<unknown> => {
      await client.putBlob('up/shop', layer, async function* () {
        yield image.blobs.get(layer.digest)
      })
      await client.putBlob('up/shop', image.config, async function* () {
        yield image.blobs.get(image.config.digest)
      })
      await client.putManifest('up/shop', '1', { descriptor: image.root, bytes: manifest })
      return Buffer.from((await client.manifest('up/shop', '1')).bytes).toString()
    }
    for (const fault of [busy, gone]) {
      const first = new Set<string | undefined>() // of each kind
      const { result } = await meet(
        t,
        '/v2/up/shop/',
        (request, response, n) => {
          if (first.has(request.method)) return undefined
          first.add(request.method)
          return fault(request, response, n)
        },
        push,
      )
      t.equal(result, text)
      t.same([...first].sort(), ['GET', 'PATCH', 'POST', 'PUT'])
    }
  })

  t.test(`${road}: a hundred requests at a time take few connections, and closing ends them`, async t => {
    const connections = new Set<unknown>()
    const domain = await startServer(
      t,
      road === 'TLS' ? (await import('node:https')).createServer(tls, answer) : answer,
    )
    function answer(
      request: { readonly socket: unknown; readonly url?: string | undefined },
      response: { end(text: string): void },
    ): void {
      connections.add(request.socket)
      response.end('{}')
    }
    await using client = await open(domain)
    await Promise.all(
      Array.from({ length: 100 }, async (_, n) => await client.manifest(`team/n${n}`, '1').catch(() => undefined)),
    )
    t.ok(connections.size <= 18, `${connections.size} connections`)
  })
}

t.test('aborted while the last of an answer is looked at, nothing but the reader hears of it', async t => {
  const domain = await startServer(t, (_request, response) => {
    for (const piece of ['one', 'two', 'three']) response.write(piece)
    response.end()
  })
  const failures: unknown[] = []
  const failed = (error: unknown): void => void failures.push(error)
  process.on('uncaughtException', failed)
  t.teardown(() => process.off('uncaughtException', failed))
  await using web = new Web({ env: {} })
  const stop = new AbortController()
  const { bytes } = await web.open(`http://${domain}/file`, 0, { signal: stop.signal })
  await t.rejects(
    async () => {
      for await (const _piece of bytes) {
        stop.abort()
        await sleep(50)
      }
    },
    { name: 'AbortError' },
  )
  t.same(failures, [])
})

t.test('aborted while it waits for a connection, a request ends at once', async t => {
  const domain = await startServer(t, () => undefined)
  await using web = new Web({ env: {} })
  const [busy, stop] = [new AbortController(), new AbortController()]
  setMaxListeners(0, busy.signal)
  const others = Array.from(
    { length: 16 },
    async (_, n) => await web.read(`http://${domain}/${n}`, 10, { signal: busy.signal }).catch(() => undefined),
  )
  await sleep(50)
  const waiting = web.read(`http://${domain}/last`, 10, { signal: stop.signal }).catch((error: unknown) => error)
  await sleep(50)
  stop.abort()
  t.match(await Promise.race([waiting, sleep(2000)]), { code: 'ABORTED' })
  busy.abort()
  await Promise.all(others)
})

t.test('closing ends what is under way and what waits, and nothing begins after it', async t => {
  let connections = 0
  const server = createServer(() => undefined)
  server.on('connection', () => (connections += 1))
  const domain = await startServer(t, server)
  const web = new Web({ env: {}, backoff: 1, retries: 2 })
  const asked = Array.from(
    { length: 40 },
    async (_, n) => await web.read(`http://${domain}/${n}`, 10).catch((error: unknown) => error),
  )
  await sleep(100)
  await web[Symbol.asyncDispose]()
  for (const error of (await Promise.race([Promise.all(asked), sleep(2000)])) ?? [undefined])
    t.match(error, { code: 'REGISTRY_UNREACHABLE' })
  t.equal(connections, 16)
})

t.test('a proxy whose address is none is told as that, when all is closed too', async t => {
  const read = async (): Promise<void> => {
    await using web = new Web({ env: { HTTPS_PROXY: 'http://[none' }, retries: 0 })
    await web.read('https://registry.example/file', 10)
  }
  await t.rejects(read(), { code: 'REGISTRY_UNREACHABLE' })
})

t.test('a token service that refuses, and is cut off while it says why, is told as one that refuses', async t => {
  for (const [status, code] of [
    [401, 'UNAUTHORIZED'],
    [403, 'UNAUTHORIZED'],
    [500, 'REGISTRY_REFUSED'],
  ] as const) {
    const domain = await startServer(t, (request, response) => {
      if (!request.url?.startsWith('/token'))
        return void response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${domain}/token"` }).end()
      response.writeHead(status, { 'content-length': '100' }).write('{"')
      setTimeout(() => response.destroy(), 20)
    })
    await using client = await openRegistry(domain, { backoff: 1, retries: 1, env: {}, home: '/nonexistent' })
    await t.rejects(client.manifest('team/shop', '1'), { code })
  }
})
