import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type ServerOptions } from 'node:https'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { NativeTls } from '../../src/blob/native-download.js'
import { writeBlob } from '../../src/blob/write-blob.js'
import { describe } from '../../src/oci/descriptor.js'
import { validFor } from '../support/authority.js'
import { noise } from '../support/images.js'
import { startServer } from '../support/registry.js'

const SIZE = 2_000_001
const bytes = noise(SIZE, 'tls')
const blob = describe('application/octet-stream', bytes)
const HEAD = `HTTP/1.1 200 OK\r\ncontent-length: ${SIZE}\r\n\r\n`

const directory = t.testdir()
const file = (name: string): string => readFileSync(join(directory, name), 'utf8')
const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: directory, stdio: 'pipe' })
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** A key and its certificate, signed by the authority of these tests. */
function makeSigned(name: string, extension: string, days = 2): void {
  openssl('req', ...NEW_KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
  writeFileSync(join(directory, `${name}.ext`), extension)
  const authority = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial']
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...authority,
    '-out',
    `${name}.crt`,
    ...validFor(days),
    '-extfile',
    `${name}.ext`,
  )
}

openssl('req', '-x509', ...NEW_KEY, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=lab authority')
openssl(
  'req',
  '-x509',
  ...NEW_KEY,
  '-keyout',
  'self.key',
  '-out',
  'self.crt',
  '-days',
  '2',
  '-subj',
  '/CN=registry.example',
)
makeSigned('named', 'subjectAltName=DNS:registry.example')
makeSigned('address', 'subjectAltName=IP:127.0.0.1')
makeSigned('worded', 'subjectAltName=DNS:127.0.0.1')
makeSigned('wild', 'subjectAltName=DNS:*.lab.example')
makeSigned('expired', 'subjectAltName=DNS:registry.example', -1)
makeSigned('client', 'extendedKeyUsage=clientAuth')

const pair = (name: string) => ({ key: file(`${name}.key`), cert: file(`${name}.crt`) })
const trusting = (name: string, more: Partial<NativeTls> = {}): NativeTls => {
  return { name, authorities: file('ca.crt'), certificate: '', key: '', ...more }
}

/** A registry that gives the blob to whoever asks. */
async function registryOf(t: Test, options: ServerOptions): Promise<number> {
  const server = createServer(options, (_request, response) => {
    response.writeHead(200, { 'content-length': SIZE }).end(bytes)
  })
  server.on('tlsClientError', () => undefined)
  return portOf(await startServer(t, server))
}

const portOf = (domain: string): number => Number(/\d+$/.exec(domain)?.[0])

/** What became of the blob: `undefined` if it landed whole, or the failure. */
async function failureOf(
  t: Test,
  port: number,
  tls: NativeTls,
  silence = 2000,
  connectTimeout = 2000,
): Promise<unknown> {
  const path = join(t.testdir(), 'blob')
  writeFileSync(path, '')
  const head = Buffer.from('GET / HTTP/1.1\r\nhost: registry.example\r\nauthorization: Bearer s3cret\r\n\r\n')
  const request = { addresses: ['127.0.0.1'], port, head, connectTimeout, silence, tls }
  try {
    await writeBlob({ path, offset: 0, held: 0, direct: false }, blob, async function* (downloader) {
      const download = await downloader?.ask(request)
      for await (const _size of download?.read(0, SIZE) ?? []) yield new Uint8Array()
    })
  } catch (error) {
    t.notMatch(String(error), /s3cret|PRIVATE KEY/)
    return error
  }
  t.ok(readFileSync(path).equals(bytes))
  return undefined
}

t.test('a certificate must be signed by who is trusted, be valid now, and be for the name or address', async t => {
  const registries = new Map<string, number>()
  for (const name of ['named', 'address', 'worded', 'wild', 'expired', 'self'])
    registries.set(name, await registryOf(t, pair(name)))
  for (const [certificate, name, code] of [
    ['named', 'registry.example', undefined],
    ['named', 'REGISTRY.example', undefined],
    ['named', 'registry.example.', undefined],
    ['wild', 'registry.lab.example', undefined],
    ['address', '127.0.0.1', undefined],
    ['named', 'other.example', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['named', '.example', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['named', '', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['named', '127.0.0.1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['wild', 'a.b.lab.example', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['address', '127.0.0.2', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['worded', '127.0.0.1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['expired', 'registry.example', 'CERT_HAS_EXPIRED'],
    ['self', 'registry.example', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ] as const) {
    const failure = await failureOf(t, registries.get(certificate) ?? 0, trusting(name))
    t.equal((failure as { code?: string } | undefined)?.code, code, `${certificate} for ${JSON.stringify(name)}`)
  }
  const nobody = await failureOf(t, registries.get('named') ?? 0, trusting('registry.example', { authorities: '' }))
  t.match(nobody, { code: /^UNABLE_TO_/ })
})

t.test('no variable of Node.js has a certificate accepted that is not trusted', async t => {
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
  })
  const port = await registryOf(t, pair('self'))
  t.match(await failureOf(t, port, trusting('registry.example')), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
})

t.test('an authority that cannot be read leaves the others trusted', async t => {
  const port = await registryOf(t, pair('named'))
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  const authorities = `${broken}${file('ca.crt')}`
  t.equal(await failureOf(t, port, trusting('registry.example', { authorities })), undefined)
})

t.test('the host name is sent (SNI) without its last dot, an address is not', async t => {
  const asked: unknown[] = []
  const server = createServer(pair('named'), (request, response) => {
    asked.push(nameSentBy(request.socket))
    response.writeHead(200, { 'content-length': SIZE }).end(bytes)
  })
  const port = portOf(await startServer(t, server))
  await failureOf(t, port, trusting('registry.example.'))
  t.same(asked, ['registry.example'])
  const addressed = await registryOf(t, {
    ...pair('address'),
    SNICallback: () => t.fail('an address was sent as a name'),
  })
  t.equal(await failureOf(t, addressed, trusting('127.0.0.1')), undefined)
})

t.test('TLS 1.2 and 1.3 are spoken, nothing older', async t => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const port = await registryOf(t, { ...pair('named'), minVersion: version, maxVersion: version })
    t.equal(await failureOf(t, port, trusting('registry.example')), undefined, version)
  }
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const port = await registryOf(t, { ...pair('named'), ...old })
  t.match(await failureOf(t, port, trusting('registry.example')), { code: /^ERR_SSL_/ })
})

t.test('a certificate of ours is shown where it is wanted; without one the refusal is told', async t => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const wanting = { requestCert: true, rejectUnauthorized: true, ca: file('ca.crt'), maxVersion: version }
    const port = await registryOf(t, { ...pair('named'), ...wanting })
    const own = { certificate: file('client.crt'), key: file('client.key') }
    t.equal(await failureOf(t, port, trusting('registry.example', own)), undefined, version)
    t.match(await failureOf(t, port, trusting('registry.example')), { code: /^(ERR_SSL_|ECONNRESET|EPIPE)/ }, version)
  }
})

t.test('a key that is encrypted or not for the certificate is refused, and nobody is asked for a password', async t => {
  openssl('ec', '-in', 'client.key', '-aes256', '-passout', 'pass:s3cret', '-out', 'locked.key')
  const port = await registryOf(t, pair('named'))
  for (const key of ['locked.key', 'named.key', 'client.crt']) {
    const own = { certificate: file('client.crt'), key: file(key) }
    t.match(
      await failureOf(t, port, trusting('registry.example', own)),
      { message: /key of the client certificate/ },
      key,
    )
  }
})

/** What SNI said; the types leave it out. */
function nameSentBy(socket: object): unknown {
  return 'servername' in socket ? socket.servername : undefined
}

/** A server that says this to whoever greets it. */
async function saying(t: Test, say: (socket: TLSSocket) => void, options: TlsOptions = pair('named')): Promise<number> {
  const server = createTlsServer(options, socket => {
    socket.on('error', () => undefined)
    socket.once('data', () => say(socket))
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port // it listens on a port
}

t.test('a body that ends early is a failure, with close_notify and without', async t => {
  const half = bytes.subarray(0, 1_000_000)
  const ended = await saying(t, socket => {
    socket.write(HEAD)
    socket.end(half)
  })
  t.match(await failureOf(t, ended, trusting('registry.example')), {
    code: 'ECONNRESET',
    message: /1000001 bytes early/,
  })
  const cut = await saying(t, socket => {
    socket.write(HEAD)
    socket.write(half, () => setTimeout(() => socket.destroy(), 50))
  })
  t.match(await failureOf(t, cut, trusting('registry.example')), { code: 'ECONNRESET' })
})

t.test('a server that falls silent, in the handshake or after it, is given up', async t => {
  const silent = await saying(t, socket => socket.write(HEAD))
  t.match(await failureOf(t, silent, trusting('registry.example'), 200), { code: 'ETIMEDOUT' })
  const mute = createNetServer(socket => socket.on('error', () => undefined)).listen(0, '127.0.0.1')
  await new Promise(resolve => mute.once('listening', resolve))
  t.teardown(() => mute.close())
  const { port } = mute.address() as AddressInfo // it listens on a port
  t.match(await failureOf(t, port, trusting('registry.example'), 2000, 200), {
    code: 'ETIMEDOUT',
    message: /handshake/,
  })
})
