import { cpSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { makeAuthority } from '../support/authority.js'
import { type CommandResult, stowage } from '../support/command.js'
import { startEngine } from '../support/engine.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { freePort, startServer } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const directory = scratch(t)
const lab = makeAuthority(directory, 'lab authority')
const other = makeAuthority(directory, 'other authority')
const server = lab.sign('server', 'subjectAltName=IP:127.0.0.1')
const client = lab.sign('client', 'extendedKeyUsage=clientAuth')
const stranger = other.sign('stranger', 'extendedKeyUsage=clientAuth')
const old = lab.sign('old', 'extendedKeyUsage=clientAuth', -1)

const port = await freePort()
const engine = await startEngine([
  ...['--host', `tcp://127.0.0.1:${port}`, '--tlsverify'],
  ...['--tlscacert', lab.file, '--tlscert', server.certFile, '--tlskey', server.keyFile],
])
t.teardown(() => engine.stop())

/** A folder for DOCKER_CERT_PATH. */
function folder(ca: string | undefined, pair?: typeof client, key = pair?.keyFile): string {
  const path = scratch(t)
  if (ca !== undefined) cpSync(ca, join(path, 'ca.pem'))
  if (pair) cpSync(pair.certFile, join(path, 'cert.pem'))
  if (key !== undefined) cpSync(key, join(path, 'key.pem'))
  return path
}

async function images(host: string, env: Readonly<Record<string, string>>): Promise<CommandResult> {
  return await stowage(['images', '--progress', 'json'], { env: { HOME: directory, DOCKER_HOST: host, ...env } })
}

const tcp = `tcp://127.0.0.1:${port}`
const verified = (path: string) => ({ DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: path })

t.test('an engine that requires a certificate gets ours, and is loaded and read over TLS', async t => {
  const cwd = scratch(t)
  await writeLayout(join(cwd, 'layout'), { 'docker.io/lab/shop:1': await layeredImage(1, { size: 2_000_000 }) })
  t.equal((await stowage(['pack', 'oci:layout', '-o', 'site'], { cwd })).code, 0)
  const env = { HOME: cwd, DOCKER_HOST: tcp, ...verified(folder(lab.file, client)) }
  const loaded = await stowage(['load', 'site'], { cwd, env })
  t.equal(loaded.code, 0, loaded.stderr)
  const packed = await stowage(['pack', 'docker-daemon:lab/shop:1', '-o', 'again'], { cwd, env })
  t.equal(packed.code, 0, packed.stderr)
})

t.test('an engine without ca.pem is trusted as registries are: SSL_CERT_FILE, NODE_EXTRA_CA_CERTS', async t => {
  for (const name of ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS']) {
    const { code, stderr } = await images(tcp, { ...verified(folder(undefined, client)), [name]: lab.file })
    t.equal(code, 0, `${name}: ${stderr}`)
  }
})

t.test('what does not fit in TLS with an engine is said, with what to do', async t => {
  const gone = createServer(socket => {
    const onward = connect(engine.host.replace('unix://', ''))
    for (const each of [socket, onward]) each.on('error', () => void (socket.destroy(), onward.destroy()))
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>(resolve => gone.listen(0, '127.0.0.1', resolve))
  t.teardown(() => gone.close())
  const address = gone.address()
  const plain = `tcp://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const misnamed = tcp.replace('127.0.0.1', '127.0.0.2')
  const forward = createServer(socket => {
    const onward = connect(port, '127.0.0.1')
    for (const each of [socket, onward]) each.on('error', () => void (socket.destroy(), onward.destroy()))
    socket.pipe(onward).pipe(socket)
  })
  await new Promise<void>(resolve => forward.listen(port, '127.0.0.2', resolve))
  t.teardown(() => forward.close())
  for (const [name, host, env, message, hint] of [
    ['no TLS', tcp, {}, /speaks https, not plain http/, /Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH/],
    [
      'TLS to a plain port',
      plain,
      verified(folder(lab.file, client)),
      /speaks plain http, not https/,
      /unset DOCKER_TLS_VERIFY/,
    ],
    [
      'no certificate',
      tcp,
      verified(folder(lab.file)),
      /requires a client certificate, and there is none/,
      /cert\.pem, and its key as key\.pem/,
    ],
    [
      'strange',
      tcp,
      verified(folder(lab.file, stranger)),
      /does not accept the client certificate in cert\.pem: .* \(issued by other authority, valid until/,
      /cert\.pem/,
    ],
    [
      'expired',
      tcp,
      verified(folder(lab.file, old)),
      /does not accept the client certificate in cert\.pem: .* \(issued by lab authority, valid until/,
      /cert\.pem/,
    ],
    [
      'another key',
      tcp,
      verified(folder(lab.file, client, old.keyFile)),
      /client certificate .* cannot be used/,
      /cert\.pem/,
    ],
    [
      'unknown authority',
      tcp,
      verified(folder(other.file, client)),
      /was issued by lab authority, which is not trusted here/,
      /as ca\.pem/,
    ],
    [
      'another name',
      misnamed,
      verified(folder(lab.file, client)),
      /is for 127\.0\.0\.1, not for 127\.0\.0\.2/,
      /in DOCKER_HOST/,
    ],
  ] as const) {
    const began = Date.now()
    const { code, stderr } = await images(host, env)
    t.equal(code, 6, `${name}: ${stderr}`)
    t.match(stderr, message, name)
    t.match(stderr, hint, name)
    t.match(stderr, host.replace('tcp://', ''), `${name}: the host is named`)
    t.ok(Date.now() - began < 10_000, `${name} at once`)
  }
})

t.test('a server that is no engine is told from one with TLS', async t => {
  const other = await startServer(t, (_request, response) => void response.writeHead(400).end('Bad Request'))
  t.match(await images(`tcp://${other}`, {}), { code: 8, stderr: /refused GET \/version: Bad Request/ })
})
