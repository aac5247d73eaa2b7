import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openRegistry } from '../../src/registry/client.js'
import { stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { startRegistry, startServer } from '../support/registry.js'

/** An authority and what it signed, by openssl: for 127.0.0.1 as a server, and for a client. */
function makeCertificates(directory: string): void {
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: directory, stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=lab authority')
  for (const [name, extension] of [
    ['server', 'subjectAltName=IP:127.0.0.1'],
    ['client', 'extendedKeyUsage=clientAuth'],
  ] as const) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    writeFileSync(join(directory, `${name}.ext`), extension)
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
    )
  }
}

/** A home with an image in a layout, and nothing that the machine's own user has. */
async function home(t: Test): Promise<{ cwd: string; env: Record<string, string> }> {
  const cwd = t.testdir()
  // One layer that goes over a connection of its own, one that does not
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(2, { size: 5_000_000 }) })
  const env = {
    HOME: cwd,
    XDG_CONFIG_HOME: join(cwd, '.config'),
    DOCKER_CONFIG: join(cwd, '.docker'),
    XDG_RUNTIME_DIR: join(cwd, 'run'),
  }
  return { cwd, env }
}

t.test('a registry with TLS is trusted by SSL_CERT_FILE or certs.d, and by nothing else', async t => {
  const { cwd, env } = await home(t)
  makeCertificates(cwd)
  const registry = await startRegistry(t, [], `, tls: {certificate: ${cwd}/server.crt, key: ${cwd}/server.key}`)
  const name = `docker://${registry.domain}/team/shop:1`
  const refused = await stowage(['copy', 'oci:layout', name], { cwd, env })
  t.equal(refused.code, 6, refused.stderr)
  t.match(refused.stderr, /was issued by lab authority, which is not trusted here\n.*SSL_CERT_FILE/)
  await using client = await openRegistry(registry.domain, { env: {}, home: cwd, backoff: 60_000 })
  await t.rejects(client.manifest('team/shop', '1'), { code: 'REGISTRY_UNREACHABLE' }, 'and no second try is made')
  const trusting = { ...env, SSL_CERT_FILE: join(cwd, 'ca.crt') }
  const pushed = await stowage(['copy', 'oci:layout', name], { cwd, env: trusting })
  t.equal(pushed.code, 0, pushed.stderr)
  const words = ['inspect', '--raw', '--cert-dir', join(cwd, 'certs'), name]
  mkdirSync(join(cwd, 'certs'))
  cpSync(join(cwd, 'ca.crt'), join(cwd, 'certs', 'ca.crt'))
  execFileSync('skopeo', words, { stdio: 'pipe' })
  const certs = join(cwd, '.config', 'containers', 'certs.d', registry.domain)
  mkdirSync(certs, { recursive: true })
  cpSync(join(cwd, 'ca.crt'), join(certs, 'lab.crt'))
  const packed = await stowage(['pack', name, '-o', 'site'], { cwd, env })
  t.equal(packed.code, 0, packed.stderr)
  t.equal((await stowage(['verify', 'site'], { cwd, env })).code, 0)
  const plain = await stowage(['pack', name, '-o', 'plain', '--insecure', registry.domain], { cwd, env })
  t.not(plain.code, 0, 'http was asked for, and it is https that answers')
})

t.test('a registry that wants a certificate of ours gets the one in certs.d, and no other host does', async t => {
  const { cwd, env } = await home(t)
  makeCertificates(cwd)
  const registry = await startRegistry(
    t,
    [],
    `, tls: {certificate: ${cwd}/server.crt, key: ${cwd}/server.key, clientcas: [${cwd}/ca.crt]}`,
  )
  const name = `docker://${registry.domain}/team/shop:1`
  const certs = join(cwd, '.config', 'containers', 'certs.d', registry.domain)
  mkdirSync(certs, { recursive: true })
  cpSync(join(cwd, 'ca.crt'), join(certs, 'ca.crt'))
  t.equal((await stowage(['copy', 'oci:layout', name], { cwd, env })).code, 6)
  cpSync(join(cwd, 'client.crt'), join(certs, 'mine.cert'))
  cpSync(join(cwd, 'client.key'), join(certs, 'mine.key'))
  const pushed = await stowage(['copy', 'oci:layout', name], { cwd, env })
  t.equal(pushed.code, 0, pushed.stderr)
  const packed = await stowage(['pack', name, '-o', 'site.tar'], { cwd, env })
  t.equal(packed.code, 0, packed.stderr)
  // The same host in another spelling, which its address is not written with
  const other = `127.1:${registry.port}`
  cpSync(certs, join(cwd, '.config', 'containers', 'certs.d', other), { recursive: true })
  const spelt = await stowage(['pack', `docker://${other}/team/shop:1`, '-o', 'spelt.tar'], { cwd, env })
  t.equal(spelt.code, 0, spelt.stderr)
})

t.test('a registry with htpasswd takes and gives images to who is in it, and tells the others so', async t => {
  const { cwd, env } = await home(t)
  execFileSync('htpasswd', ['-Bbc', join(cwd, 'htpasswd'), 'alice', 'correct horse'], { stdio: 'pipe' })
  const registry = await startRegistry(t, [`auth: {htpasswd: {realm: lab, path: ${cwd}/htpasswd}}`])
  const name = `docker://${registry.domain}/team/shop:1`
  const auth = (password: string) =>
    JSON.stringify({ auths: { [registry.domain]: { auth: Buffer.from(`alice:${password}`).toString('base64') } } })
  for (const [more, message] of [
    [{}, /stowage login/],
    [{ DOCKER_AUTH_CONFIG: auth('wrong') }, /alice|credential/],
  ] as const) {
    const refused = await stowage(['copy', 'oci:layout', name], { cwd, env: { ...env, ...more } })
    t.equal(refused.code, 5, refused.stderr)
    t.match(refused.stderr, message)
    t.notMatch(refused.stderr, /wrong|correct horse/)
  }
  const let_in = { ...env, DOCKER_AUTH_CONFIG: auth('correct horse') }
  const pushed = await stowage(['copy', 'oci:layout', name], { cwd, env: let_in })
  t.equal(pushed.code, 0, pushed.stderr)
  const packed = await stowage(['pack', name, '-o', 'site'], { cwd, env: let_in })
  t.equal(packed.code, 0, packed.stderr)
  t.equal((await stowage(['verify', 'site'], { cwd })).code, 0)
})

t.test('a proxy carries what is not on loopback, by CONNECT for https, and NO_PROXY is left alone', async t => {
  const { cwd, env } = await home(t)
  makeCertificates(cwd)
  const registry = await startRegistry(t)
  const asked: string[] = []
  // What is asked of the proxy for lab.example goes to the registry of the test
  const proxy = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url}`)
    const { pathname, search } = new URL(incoming.url ?? '')
    incoming.pipe(
      request(
        { port: registry.port, method: incoming.method, path: pathname + search, headers: incoming.headers },
        answer => {
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(outgoing)
        },
      ),
    )
  })
  proxy.on('connect', (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url}`)
    const onward = connect(registry.port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'))
    onward.on('error', () => socket.destroy())
    socket.on('error', () => onward.destroy())
    onward.pipe(socket).pipe(onward)
  })
  const address = `http://${await startServer(t, proxy)}`
  const name = 'docker://lab.example/team/shop:1'
  const through = { ...env, HTTP_PROXY: address, HTTPS_PROXY: address, NO_PROXY: '' }
  const pushed = await stowage(['copy', 'oci:layout', name, '--insecure', 'lab.example'], { cwd, env: through })
  t.equal(pushed.code, 0, pushed.stderr)
  const packed = await stowage(['pack', name, '-o', 'site', '--insecure', 'lab.example'], { cwd, env: through })
  t.equal(packed.code, 0, packed.stderr)
  t.equal((await stowage(['verify', 'site'], { cwd })).code, 0)
  t.ok(asked.length > 0 && asked.every(line => line.includes('lab.example')), 'all of it by the proxy')

  const before = asked.length
  const direct = await stowage(['pack', `docker://${registry.domain}/team/shop:1`, '-o', 'direct'], {
    cwd,
    env: through,
  })
  t.equal(direct.code, 0, direct.stderr)
  const spared = await stowage(['pack', name, '-o', 'spared', '--insecure', 'lab.example'], {
    cwd,
    env: { ...through, NO_PROXY: '.example' },
  })
  t.equal(spared.code, 6, 'without the proxy nobody knows that name')
  t.equal(asked.length, before, 'loopback and what NO_PROXY names never go there')
  const secure = await stowage(['pack', name, '-o', 'secure'], { cwd, env: through })
  t.equal(secure.code, 6)
  t.match(asked.slice(before), [/^CONNECT lab\.example:443$/])
})

t.test(
  '--insecure - refuses what is not a registry, and what is wrong with one is told, not how it was put away',
  async t => {
    for (const other of ['http://x', 'a b', 'x:65536']) {
      const { code, stderr } = await stowage(['inspect', '127.0.0.1:1/x:1', '--insecure', other])
      t.equal(code, 2, other)
      t.match(stderr, /is not a registry for --insecure/, other)
    }
    const { code, stderr } = await stowage(['inspect', 'registry.example/x:1'], { env: { SSL_CERT_FILE: t.testdir() } })
    t.equal(code, 2)
    t.match(stderr, /illegal operation on a directory/)
  },
)
