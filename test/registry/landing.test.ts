import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { BlobDirectory } from '../../src/blob/directory.js'
import { writeBlob } from '../../src/blob/write-blob.js'
import { describe } from '../../src/oci/descriptor.js'
import { openRegistry, type RegistryOptions } from '../../src/registry/client.js'
import { makeCertificate } from '../support/certificate.js'
import { noise } from '../support/images.js'
import { startServer } from '../support/registry.js'

const QUICK: RegistryOptions = { backoff: 1, silence: 500, retries: 2, env: {}, home: '/nonexistent' }
const SIZE = 9_000_001
const bytes = noise(SIZE, 'landing')
const blob = describe('application/octet-stream', bytes)
const PATH = `/v2/team/shop/blobs/${blob.digest}`

/** What is done to the request of this number for the blob; it goes as it should where nothing is. */
type Answer = (
  request: Parameters<RequestListener>[0],
  response: Parameters<RequestListener>[1],
  count: number,
) => boolean

/** A registry that has the one blob. */
function having(answer: Answer, ranges: (string | undefined)[] = []): RequestListener {
  return (request, response) => {
    if (request.url !== PATH) return void response.writeHead(request.url === '/v2/' ? 200 : 404).end('{}')
    ranges.push(request.headers.range)
    if (answer(request, response, ranges.length - 1)) return
    const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0])
    const ranged = request.headers.range === undefined ? {} : { 'content-range': `bytes ${from}-${SIZE - 1}/${SIZE}` }
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': SIZE - from, ...ranged }).end(bytes.subarray(from))
  }
}

/** Has the blob land in a file from a registry that does this; `passed` is what came the long way. */
async function landFrom(t: Test, domain: string, options: RegistryOptions & { readonly signal?: AbortSignal } = {}) {
  const path = join(t.testdir(), 'blob') // emptied each time
  writeFileSync(path, '')
  await using client = await openRegistry(domain, { ...QUICK, ...options })
  let [passed, landed] = [0, 0]
  const { signal } = options
  const written = await writeBlob(
    { path, offset: 0, held: 0, direct: true },
    blob,
    async function* (downloader) {
      for await (const piece of client.blob('team/shop', blob, { downloader, signal })) {
        passed += piece.length
        yield piece
      }
    },
    { signal, onSaved: size => (landed += size) },
  ).catch((error: unknown) => ({ error }))
  return { path, passed, landed, error: written?.error, whole: readFileSync(path).equals(bytes) }
}

t.test('a large blob goes from its connection to its file, and nothing of it passes the thread that asked', async t => {
  const found = await landFrom(
    t,
    await startServer(
      t,
      having(() => false),
    ),
  )
  t.match(found, { passed: 0, landed: SIZE, whole: true, error: undefined })
})

t.test('one that is cut, falls silent or is refused for a while lands all the same, each byte once', async t => {
  const ranges: (string | undefined)[] = []
  const domain = await startServer(
    t,
    having((_request, response, count) => {
      const from = Number(/\d+/.exec(ranges.at(-1) ?? '0')?.[0])
      if (count === 0)
        response
          .writeHead(200, { 'content-length': SIZE })
          .write(bytes.subarray(0, 1_500_001), () => response.socket?.end())
      else if (count === 1)
        response
          .writeHead(206, { 'content-length': SIZE - from, 'content-range': `bytes ${from}-${SIZE - 1}/${SIZE}` })
          .write(bytes.subarray(from, 2_000_003))
      else if (count === 2) response.writeHead(503, { 'retry-after': '0' }).end('busy')
      else return false
      return true
    }, ranges),
  )
  const found = await landFrom(t, domain)
  t.match(found, { whole: true, error: undefined })
  t.equal(found.passed + found.landed, SIZE)
  t.same(ranges, [undefined, `bytes=1500001-${SIZE - 1}`, `bytes=2000003-${SIZE - 1}`, `bytes=2000003-${SIZE - 1}`])
})

t.test('a registry that answers a range with the whole blob has what is there already skipped', async t => {
  const found = await landFrom(
    t,
    await startServer(
      t,
      having((_request, response, count) => {
        response.writeHead(200, { 'content-length': SIZE })
        if (count === 0) response.write(bytes.subarray(0, 1_234_567), () => response.socket?.end())
        else response.end(bytes)
        return true
      }),
    ),
  )
  t.match(found, { passed: 0, landed: SIZE, whole: true })
})

t.test('a body without a length comes the long way, also behind what has landed', async t => {
  const found = await landFrom(
    t,
    await startServer(
      t,
      having((_request, response, count) => {
        if (count === 0)
          response
            .writeHead(200, { 'content-length': SIZE })
            .write(bytes.subarray(0, 1_234_567), () => response.socket?.end())
        else response.writeHead(200).end(bytes)
        return true
      }),
    ),
  )
  t.match(found, { passed: SIZE - 1_234_567, landed: 1_234_567, whole: true, error: undefined })
})

t.test('what is not the blob never passes for it, and an answer that is none is told as it was', async t => {
  const over = (head: () => [number, Record<string, string | number>], body: Uint8Array | string) =>
    landFromOne(t, (_request, response) => {
      response.writeHead(...head()).end(body)
      return true
    })
  t.match(await over(() => [200, { 'content-length': SIZE }], Buffer.alloc(SIZE, 7)), {
    error: { code: 'DIGEST_MISMATCH' },
    whole: false,
  })
  t.match(await over(() => [200, { 'content-length': SIZE + 1 }], Buffer.alloc(SIZE + 1)), {
    error: { code: 'SIZE_MISMATCH' },
  })
  t.match(await over(() => [206, { 'content-length': SIZE, 'content-range': `bytes 5-${SIZE + 4}/${SIZE}` }], bytes), {
    error: { code: 'REGISTRY_PROTOCOL' },
  })
  t.match(await over(() => [404, {}], '{}'), { error: { code: 'BLOB_MISSING' } })
  t.match(await over(() => [410, {}], JSON.stringify({ errors: [{ code: 'GONE', message: 'so it says' }] })), {
    error: { code: 'REGISTRY_REFUSED', message: /GONE, so it says/ },
  })
  t.match(await landFromOne(t, (_request, response) => Boolean(response.destroy())), {
    error: { code: 'REGISTRY_UNREACHABLE' },
  })
})

async function landFromOne(t: Test, answer: Answer) {
  return await landFrom(t, await startServer(t, having(answer)))
}

t.test('credentials go to the registry alone, not to where it redirects', async t => {
  const shown: (string | undefined)[] = []
  const store = await startServer(t, (request, response) => {
    shown.push(request.headers.authorization)
    response.writeHead(200, { 'content-length': SIZE }).end(bytes)
  })
  const domain = await startServer(t, (request, response) => {
    if (request.headers.authorization === undefined)
      return void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end()
    response.writeHead(307, { location: `http://${store}/signed` }).end()
  })
  const auth = { DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [domain]: { username: 'ada', password: 'secret' } } }) }
  t.match(await landFrom(t, domain, { env: auth }), { landed: SIZE, whole: true })
  t.same(shown, [undefined])
})

t.test('over TLS a large blob goes to its file too, from a registry that the environment has us trust', async t => {
  const { key, cert, file } = makeCertificate(t)
  const domain = await startServer(
    t,
    createServer(
      { key, cert },
      having(() => false),
    ),
  )
  for (const name of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'])
    t.match(await landFrom(t, domain, { env: { [name]: file } }), { passed: 0, landed: SIZE, whole: true }, name)
  t.match(await landFrom(t, domain), { landed: 0, error: { code: 'REGISTRY_UNREACHABLE' } })
})

t.test(
  'a large blob that is moved to a host whose certificate is not trusted, or for another name, is not read',
  async t => {
    const [trusted, other] = [makeCertificate(t), makeCertificate(t)]
    const registryOf = async (location: string): Promise<string> =>
      await startServer(
        t,
        createServer(
          trusted,
          having((_request, response) => Boolean(response.writeHead(307, { location }).end())),
        ),
      )
    const stranger = await startServer(
      t,
      createServer(
        other,
        having(() => false),
      ),
    )
    const env = { SSL_CERT_FILE: trusted.file }
    const untrusted = await landFrom(t, await registryOf(`https://${stranger}${PATH}`), { env })
    t.match(untrusted, {
      landed: 0,
      error: { code: 'REGISTRY_UNREACHABLE', message: /is signed by no authority but itself/ },
    })
    const named = await startServer(
      t,
      createServer(
        trusted,
        having(() => false),
      ),
    )
    const elsewhere = `https://${named.replace('127.0.0.1', 'localhost')}${PATH}`
    const mismatched = await landFrom(t, await registryOf(elsewhere), { env })
    t.match(mismatched, {
      landed: 0,
      error: { code: 'REGISTRY_UNREACHABLE', message: /is for 127\.0\.0\.1, not for localhost/ },
    })
  },
)

t.test('over TLS a blob that is cut, falls silent or is aborted behaves as without', async t => {
  const certificate = makeCertificate(t)
  const env = { SSL_CERT_FILE: certificate.file }
  const cut: Answer = (_request, response, count) => {
    if (count > 0) return false
    response.writeHead(200, { 'content-length': SIZE }).write(bytes.subarray(0, 6_000_000))
    setTimeout(() => response.destroy(), 50)
    return true
  }
  t.match(await landFrom(t, await startServer(t, createServer(certificate, having(cut))), { env }), { whole: true })
  const silent: Answer = (_request, response, count) => {
    if (count > 0) return false
    return response.writeHead(200, { 'content-length': SIZE }).write(bytes.subarray(0, 6_000_000)) || true
  }
  const domain = await startServer(t, createServer(certificate, having(silent)))
  t.match(await landFrom(t, domain, { env }), { whole: true })
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 200)
  const waiting = await startServer(
    t,
    createServer(
      certificate,
      having((_request, response) => response.writeHead(200, { 'content-length': SIZE }).write('a') || true),
    ),
  )
  t.match(await landFrom(t, waiting, { env, silence: 30_000, signal: stop.signal }), { error: { code: 'ABORTED' } })
})

t.test('aborted in the middle it ends, and a directory keeps what landed for the next to go on with', async t => {
  const ranges: (string | undefined)[] = []
  const stop = new AbortController()
  const domain = await startServer(
    t,
    having((_request, response, count) => {
      if (count === 0) response.writeHead(200, { 'content-length': SIZE }).write(bytes.subarray(0, 6_000_000))
      return count === 0
    }, ranges),
  )
  const root = mkdtempSync(join(t.testdir(), 'blobs-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const directory = new BlobDirectory(root)
  await using client = await openRegistry(domain, { ...QUICK, silence: 20_000 })
  const put = async (signal?: AbortSignal, onSaved?: (size: number) => void) =>
    await directory.put(blob, (offset, downloader) => client.blob('team/shop', blob, { offset, downloader, signal }), {
      signal,
      onSaved,
    })
  await t.rejects(
    put(stop.signal, () => stop.abort()),
    { code: 'ABORTED' },
  )
  t.match(readdirSync(join(root, 'blobs', 'sha256')), [/\.partial$/])
  await put()
  t.match(ranges, [undefined, /^bytes=[456]\d{6}-\d+$/])
  t.ok(readFileSync(directory.path(blob.digest)).equals(bytes))
})

t.test('a disk that takes no more is told as that', async t => {
  const domain = await startServer(
    t,
    having(() => false),
  )
  await using client = await openRegistry(domain, QUICK)
  const full = writeBlob({ path: '/dev/full', offset: 0, held: 0, direct: false }, blob, downloader =>
    client.blob('team/shop', blob, { downloader }),
  )
  await t.rejects(full, { code: 'NO_SPACE' })
})
