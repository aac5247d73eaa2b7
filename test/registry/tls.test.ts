import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer as createPlainServer } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { OnProgress, RetryEvent } from '../../src/progress.js'
import { listTags } from '../../src/registry/tags.js'
import { makeAuthority } from '../support/authority.js'
import { type CommandResult, stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { freePort, startRegistry, startServer } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

const directory = scratch(t)
const lab = makeAuthority(directory, 'lab authority')
const other = makeAuthority(directory, 'other authority')
const HERE = 'subjectAltName=IP:127.0.0.1'
const server = lab.sign('server', HERE)
const expired = lab.sign('expired', HERE, -1)
const elsewhere = lab.sign('elsewhere', 'subjectAltName=DNS:registry.example,IP:192.0.2.7')
const client = lab.sign('client', 'extendedKeyUsage=clientAuth')
const stranger = other.sign('stranger', 'extendedKeyUsage=clientAuth')
const old = lab.sign('old', 'extendedKeyUsage=clientAuth', -1)
const locked = execFileSync('openssl', ['pkey', '-in', client.keyFile, '-aes256', '-passout', 'pass:word'])

/** A home with an image in a layout, and nothing that the machine's own user has. */
async function home(t: Test): Promise<{ cwd: string; env: Record<string, string> }> {
  const cwd = scratch(t)
  // One layer that goes over a connection of its own, one that does not
  await writeLayout(join(cwd, 'layout'), { 'shop:1': await layeredImage(2, { size: 5_000_000 }) })
  const env = { HOME: cwd, XDG_CONFIG_HOME: join(cwd, '.config'), DOCKER_CONFIG: join(cwd, '.docker') }
  return { cwd, env: { ...env, XDG_RUNTIME_DIR: join(cwd, 'run'), STOWAGE_CONFIG: join(cwd, 'conf') } }
}

/** The folder of docker's certificates for `domain`. */
function certificates(cwd: string, domain: string): string {
  const folder = join(cwd, '.config', 'containers', 'certs.d', domain)
  mkdirSync(folder, { recursive: true })
  return folder
}

async function secureServer(t: Test, options: ServerOptions): Promise<string> {
  const made = createServer(options, (_request, response) => response.writeHead(200).end('{}'))
  made.on('tlsClientError', () => undefined)
  return await startServer(t, made)
}

const tlsOf = ({ certFile, keyFile }: typeof server): string => `, tls: {certificate: '${certFile}', key: '${keyFile}'`

/** It failed as one that no retry helps: at once, with this message and this hint. */
function failsAtOnce(t: Test, { code, stderr }: CommandResult, message: RegExp, hint: RegExp, name: string): void {
  t.equal(code, 6, `${name}: ${stderr}`)
  t.match(stderr, message, name)
  t.match(stderr, hint, name)
  t.notMatch(stderr, /"type":"retry"/, `${name}: no retry`)
}

t.test('what is wrong with a certificate is said with what it has, and what to do', async t => {
  const { cwd, env } = await home(t)
  for (const [name, pair, trusted, message, hint] of [
    [
      'unknown',
      server,
      [],
      /certificate of \S+ was issued by lab authority, which is not trusted here/,
      /ca\.crt, or name it in SSL_CERT_FILE/,
    ],
    [
      'expired',
      expired,
      [lab.file],
      /certificate of \S+ expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC; the clock of this machine says \d{4}/,
      /clock.*renewed/,
    ],
    [
      'misnamed',
      elsewhere,
      [lab.file],
      /is for registry\.example, 192\.0\.2\.7, not for 127\.0\.0\.1/,
      /Use one of these names/,
    ],
  ] as const) {
    const domain = await secureServer(t, pair)
    for (const file of trusted) cpSync(file, join(certificates(cwd, domain), 'ca.crt'))
    const found = await stowage(['inspect', `docker://${domain}/x:1`, '--progress', 'json'], { cwd, env })
    failsAtOnce(t, found, message, hint, name)
    t.match(found.stderr, new RegExp(`--tls-skip-verify ${domain}\\.`), name)
  }
})

t.test('--tls-skip-verify accepts any certificate of one host, and says so once', async t => {
  const { cwd, env } = await home(t)
  const registry = await startRegistry(t, [], `${tlsOf(expired)}}`)
  const second = await startRegistry(t, [], `${tlsOf(server)}}`)
  const name = `docker://${registry.domain}/team/shop:1`
  const skip = ['--tls-skip-verify', registry.domain]
  const pushed = await stowage(['copy', 'oci:layout', name, ...skip], { cwd, env })
  t.equal(pushed.code, 0, pushed.stderr)
  t.equal(pushed.stderr.match(/WARNING: the certificate of 127\.0\.0\.1:\d+ is not verified/g)?.length, 1)
  const packed = await stowage(['pack', name, '-o', 'site', '--tls-skip-verify', '127.0.0.1'], { cwd, env })
  t.equal(packed.code, 0, 'a host without a port is meant with all: ' + packed.stderr)
  t.equal((await stowage(['verify', 'site'], { cwd, env })).code, 0)
  writeFileSync(
    join(cwd, 'images.yaml'),
    `{version: 1, defaults: {tlsSkipVerify: ["${registry.domain}"]}, images: ["${name}"]}`,
  )
  const listed = await stowage(['pack', '--file', 'images.yaml', '-o', 'listed', '--progress', 'json'], { cwd, env })
  t.equal(listed.code, 0, listed.stderr)
  t.equal(
    listed.stderr.match(/"type":"note","text":"WARNING: /g)?.length,
    1,
    'once, however many connections there are',
  )
  for (const words of [
    ['inspect', name],
    ['tags', name.slice(0, -2)],
    ['repositories', registry.domain],
    ['search', `${registry.domain}/shop`],
    ['login', registry.domain, '-u', 'a', '-p', 'b'],
    ['pull', name, '--to', 'oci:pulled'],
    ['load', 'site', '--to', `docker://${registry.domain}/loaded`],
    ['push', `${registry.domain}/team/shop:1`, '--from', 'oci:pulled'],
  ]) {
    const done = await stowage([...words, ...skip], { cwd, env })
    t.equal(done.code, 0, `${words.join(' ')}: ${done.stderr}`)
    t.match(done.stderr, /WARNING: the certificate/, words.join(' '))
  }
  const without = await stowage(['copy', 'oci:layout', `docker://${second.domain}/team/shop:1`, ...skip], { cwd, env })
  failsAtOnce(t, without, /was issued by lab authority/, /SSL_CERT_FILE/, 'another host is verified')
  const bad = await stowage(['inspect', name, '--tls-skip-verify', 'https://x'], { cwd, env })
  t.match(bad, { code: 2, stderr: /"https:\/\/x" is not a host for --tls-skip-verify/ })
})

t.test('listTags() - tlsSkipVerify tells onNotice, and a redirect to another host is still verified', async t => {
  const second = await secureServer(t, server)
  const redirecting = createServer(expired, (_request, response) =>
    response.writeHead(307, { location: `https://${second}/v2/x/tags/list` }).end(),
  )
  const domain = await startServer(t, redirecting)
  const told: string[] = []
  const options = { env: {}, tlsSkipVerify: [domain], onNotice: (sentence: string) => void told.push(sentence) }
  await t.rejects(listTags(`${domain}/x`, options), {
    code: 'REGISTRY_UNREACHABLE',
    message: `the certificate of ${second} was issued by lab authority, which is not trusted here`,
  })
  t.match(told, [/^WARNING: the certificate of 127\.0\.0\.1:\d+ is not verified/])
})

t.test('--insecure is for plain http: a server with TLS is named, and so is what helps', async t => {
  const { cwd, env } = await home(t)
  const registry = await startRegistry(t, [], `${tlsOf(server)}}`)
  for (const [name, domain] of [
    ['docker-registry answers 400', registry.domain],
    ['Node.js closes the connection', await secureServer(t, server)],
  ] as const) {
    const words = ['pack', `docker://${domain}/team/shop:1`, '-o', 'plain', '--insecure', domain, '--progress', 'json']
    const found = await stowage(words, { cwd, env })
    const message = new RegExp(`^stowage: ${domain} speaks https, not plain http$`, 'm')
    failsAtOnce(t, found, message, new RegExp(`Omit --insecure.*--tls-skip-verify ${domain}`), name)
  }
})

t.test('find - takes --insecure as every command that asks a registry does', async t => {
  const { cwd, env } = await home(t)
  const domain = await secureServer(t, server)
  await stowage(['source', 'add', 'lab', `docker://${domain}/nanoserver`], { cwd, env })
  const { code, stderr } = await stowage(['find', '--insecure', domain], { cwd, env })
  t.equal(code, 6)
  t.match(stderr, `source lab: ${domain} speaks https, not plain http`)
})

t.test('https spoken to a port for http is named', async t => {
  const { cwd, env } = await home(t)
  // 0.0.0.0 is not loopback, so https is taken for granted, and leads to this machine
  const plain = createPlainServer((_request, response) => response.end('{}'))
  const domain = (await startServer(t, plain)).replace('127.0.0.1', '0.0.0.0')
  const found = await stowage(['inspect', `docker://${domain}/x:1`, '--progress', 'json'], { cwd, env })
  const message = new RegExp(`^stowage: ${domain} speaks plain http, not https$`, 'm')
  failsAtOnce(t, found, message, new RegExp(`use --insecure ${domain}\\.`), 'registry')
})

t.test(
  'a source of base images: the wrong scheme and an unknown authority are named; --tls-skip-verify helps',
  async t => {
    const { cwd, env } = await home(t)
    const secure = createServer(server, (_request, response) => response.end('[]'))
    const plain = createPlainServer((_request, response) => response.end('[]'))
    const [tls, http] = [await startServer(t, secure), (await startServer(t, plain)).replace('127.0.0.1', '0.0.0.0')]
    for (const [name, url] of [
      ['wrong', `http://${tls}/index.json`],
      ['plain', `https://${http}/index.json`],
      ['unknown', `https://${tls}/index.json`],
    ] as const)
      t.equal((await stowage(['source', 'add', name, url], { cwd, env })).code, 0)
    const find = async (...words: string[]) =>
      await stowage(['find', '--source', ...words, '--progress', 'json'], { cwd, env })
    failsAtOnce(t, await find('wrong'), /speaks https, not plain http/, new RegExp(`Write https://${tls}\\.`), 'wrong')
    failsAtOnce(t, await find('plain'), /speaks plain http, not https/, new RegExp(`write http://${http}\\.`), 'plain')
    failsAtOnce(t, await find('unknown'), /was issued by lab authority/, /--tls-skip-verify/, 'unknown')
    const skipped = await find('unknown', '--tls-skip-verify', tls)
    t.equal(skipped.code, 0, skipped.stderr)
    t.match(skipped.stderr, /WARNING: the certificate/)
  },
)

t.test('NODE_EXTRA_CA_CERTS is trusted beside all others, also by the threads that carry blobs', async t => {
  const { cwd, env } = await home(t)
  const registry = await startRegistry(t, [], `${tlsOf(server)}}`)
  const name = `docker://${registry.domain}/team/shop:1`
  for (const more of [
    { NODE_EXTRA_CA_CERTS: lab.file },
    { NODE_EXTRA_CA_CERTS: lab.file, SSL_CERT_FILE: other.file },
  ]) {
    const pushed = await stowage(['copy', 'oci:layout', name], { cwd, env: { ...env, ...more } })
    t.equal(pushed.code, 0, pushed.stderr)
    const packed = await stowage(['pack', name, '-o', `site${Object.keys(more).length}`], {
      cwd,
      env: { ...env, ...more },
    })
    t.equal(packed.code, 0, packed.stderr)
  }
  const without = { ...env, NODE_EXTRA_CA_CERTS: other.file }
  t.equal((await stowage(['inspect', name], { cwd, env: without })).code, 6, 'and nothing else is')
})

t.test('a client certificate that is missing, strange, expired, or unusable is named', async t => {
  const { cwd, env } = await home(t)
  const registry = await startRegistry(t, [], `${tlsOf(server)}, clientcas: ['${lab.file}']}`)
  const wanting = { ...server, ca: readFileSync(lab.file), requestCert: true, rejectUnauthorized: true }
  const domains = [
    registry.domain,
    await secureServer(t, { ...wanting, maxVersion: 'TLSv1.2' }),
    await secureServer(t, { ...wanting, minVersion: 'TLSv1.3' }),
  ]
  for (const domain of domains) {
    const folder = certificates(cwd, domain)
    cpSync(lab.file, join(folder, 'ca.crt'))
    const ask = async () =>
      await stowage(['inspect', `docker://${domain}/team/shop:1`, '--progress', 'json'], { cwd, env })
    const missing = new RegExp(
      `${domain} (refused the TLS handshake: it probably )?requires a client certificate, and there is none for it here`,
    )
    const hint = new RegExp(`certs\\.d/${domain}/client\\.cert, and its key into .*/client\\.key`)
    failsAtOnce(t, await ask(), missing, hint, 'missing')
    for (const [name, pair, issuer] of [
      ['stranger', stranger, 'other authority'],
      ['expired', old, 'lab authority'],
    ] as const) {
      cpSync(pair.certFile, join(folder, 'client.cert'))
      cpSync(pair.keyFile, join(folder, 'client.key'))
      const message = new RegExp(
        `${domain} .*does not accept the client certificate in ${folder}/client\\.cert(: .*)? \\(issued by ${issuer}, valid until \\d{4}-`,
      )
      failsAtOnce(t, await ask(), message, hint, name)
    }
    cpSync(client.keyFile, join(folder, 'client.key'))
    const unusable = `client certificate for ${domain} cannot be used: `
    for (const [name, key, fault] of [
      ['key of another', client.key, /the key in \S+client\.key belongs to another certificate/],
      ['passphrase', locked, /the key in \S+client\.key has a passphrase/],
      ['no key', 'a key', /\S+client\.key has no private key in PEM format/],
      ['cut short', client.key.subarray(0, 100), /\S+client\.key has no private key in PEM format/],
    ] as const) {
      writeFileSync(join(folder, 'client.key'), key)
      failsAtOnce(t, await ask(), new RegExp(unusable + fault.source), hint, name)
    }
    cpSync(client.keyFile, join(folder, 'client.key'))
    writeFileSync(join(folder, 'client.cert'), client.cert.subarray(0, 300))
    const cut = /\S+client\.cert has no certificate in PEM format/
    failsAtOnce(t, await ask(), new RegExp(unusable + cut.source), hint, 'certificate cut short')
    cpSync(client.certFile, join(folder, 'client.cert'))
    const accepted = await ask()
    t.notMatch(accepted.stderr, /certificate/, 'the right one passes')
  }
  const folder = certificates(cwd, 'registry.example')
  cpSync(client.certFile, join(folder, 'client.cert'))
  const alone = await stowage(['inspect', 'registry.example/x:1'], { cwd, env })
  t.match(alone, { code: 3, stderr: /client\.cert has no key: \S+client\.key does not exist\n.*must end in \.crt/ })
  renameSync(join(folder, 'client.cert'), join(folder, 'client.crt'))
  cpSync(client.keyFile, join(folder, 'client.key'))
  const misnamed = await stowage(['inspect', 'registry.example/x:1'], { cwd, env })
  t.match(misnamed, {
    code: 3,
    stderr: /client\.key has no client certificate: \S+client\.cert does not .*\n.*end in \.cert/,
  })
})

t.test('a certificate of a CA that is not in PEM format is named, with the command that converts it', async t => {
  const { cwd, env } = await home(t)
  const registry = await startRegistry(t, [], `${tlsOf(server)}}`)
  const folder = certificates(cwd, registry.domain)
  const der = join(folder, 'ca.crt')
  execFileSync('openssl', ['x509', '-in', lab.file, '-outform', 'der', '-out', der])
  const ask = async (more = {}) =>
    await stowage(['tags', `${registry.domain}/x`, '--progress', 'json'], { cwd, env: { ...env, ...more } })
  const { code, stderr } = await ask()
  t.equal(code, 6)
  const command = /openssl (x509 -inform der -in (\S+) -out (\S+\.crt))\./.exec(stderr)
  t.match(stderr, `hint: ${der} gives no certificate: it must be in PEM format`)
  t.equal(command?.[2], der)
  execFileSync('openssl', command?.[1]?.split(' ') ?? [], { cwd: folder })
  t.match(await ask(), { code: 3 }, 'the command of the hint helps: the registry is asked, and has no such repository')
  writeFileSync(join(cwd, 'empty.pem'), '')
  const trusted = await ask({ SSL_CERT_FILE: join(cwd, 'empty.pem'), HOME: scratch(t), XDG_CONFIG_HOME: scratch(t) })
  t.match(trusted, { code: 6, stderr: /empty\.pem gives no certificate/ })
})

t.test('a refused connection is told at once; after an answer it may be a restart, and is retried', async t => {
  const { cwd, env } = await home(t)
  const port = await freePort()
  const began = Date.now()
  const refused = await stowage(['inspect', `docker://0.0.0.0:${port}/x:1`, '--progress', 'json'], { cwd, env })
  t.ok(Date.now() - began < 5000, 'a second, with room for a busy machine')
  failsAtOnce(t, refused, /0\.0\.0\.0:\d+ cannot be reached: the connection was refused/, /./, 'refused')

  // A fake registry that is gone for its second request: a real one cannot be stopped at that moment
  let left = false
  const leaving = createPlainServer((request, response) => {
    const text = request.url === '/v2/' ? '{}' : JSON.stringify({ name: 'x', tags: ['1'] })
    response.writeHead(200, { connection: 'close' }).end(text, () => {
      if (left) return
      left = true
      leaving.close()
      setTimeout(() => leaving.listen(back, '127.0.0.1'), 500)
    })
  })
  const domain = await startServer(t, leaving)
  const back = Number(domain.split(':')[1])
  const seen: RetryEvent[] = []
  const onProgress: OnProgress = event => void (event.type === 'retry' && seen.push(event))
  t.same((await listTags(`${domain}/x`, { env: {}, onProgress })).tags, ['1'])
  t.match(seen[0], { subject: domain, retry: 1, retries: 5, reason: /refused/ }, 'it waited for the registry to return')
})
