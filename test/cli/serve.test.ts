import { type ChildProcess, execFile, execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { blobPath } from '../../src/oci/layout.js'
import { makeAuthority } from '../support/authority.js'
import { writeBundle } from '../support/bundles.js'
import { type CommandResult, stowage } from '../support/command.js'
import { flipped, layeredImage, multiPlatformImage } from '../support/images.js'

const run = promisify(execFile)
const index = await multiPlatformImage()
const small = await layeredImage(3, { size: 400_000 })

interface Running {
  readonly child: ChildProcess
  /** `127.0.0.1:PORT` */
  readonly server: string
  readonly document: { readonly images: readonly Record<string, unknown>[]; readonly [key: string]: unknown }
  readonly ended: Promise<CommandResult>
}

/** `stowage serve` with `words`, once it listens: then its document stands in the file that is its stdout. */
async function serving(
  t: Tap,
  cwd: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Running> {
  let child: ChildProcess | undefined
  const output = join(cwd, `${t.name.replace(/\W+/g, '-')}.json`)
  const ended = stowage(['serve', ...words, '--listen', ':0', '--json', '--progress', 'json'], {
    cwd,
    env,
    output,
    onSpawn: started => (child = started),
  })
  t.teardown(async () => {
    child?.kill()
    await ended
  })
  for (;;) {
    const over = await Promise.race([
      ended,
      new Promise<undefined>(resolve => setTimeout(() => resolve(undefined), 25)),
    ])
    const text = readFileSync(output, 'utf8')
    if (over) throw new Error(`it ended: ${text}${over.stderr}`)
    if (!text.endsWith('}\n') || !child) continue
    const document = JSON.parse(text) as Running['document']
    return { child, document, ended, server: `${String(document['host'])}:${String(document['port'])}` }
  }
}

type Tap = { readonly name: string; teardown(end: () => Promise<void>): void }

t.test(
  'serve - skopeo and our own copy take every image out, digests equal, from a directory and from a tar',
  async t => {
    const cwd = t.testdir()
    const images = { 'shop:2.3': index, 'quay.example/team/app:1': small }
    await writeBundle(join(cwd, 'a'), images)
    await writeBundle(join(cwd, 'a.tar'), images)
    const blobs = (directory: string) => readdirSync(join(cwd, directory, 'blobs', 'sha256')).sort()
    for (const place of ['a', 'a.tar']) {
      const { server, document } = await serving({ name: place, teardown: end => t.teardown(end) }, cwd, [place])
      t.match(document, {
        schema: 'stowage.serve/v1',
        url: `http://${server}`,
        tls: false,
        password: false,
        warnings: [],
      })
      t.same(
        document.images.map(({ repository, digest, pull }) => [repository, digest, pull]),
        [
          ['docker.io/library/shop', index.root.digest, `${server}/library/shop:2.3`],
          ['quay.example/team/app', small.root.digest, `${server}/team/app:1`],
        ],
      )
      for (const [n, { pull }] of document.images.entries()) {
        const words = ['copy', '--all', '--preserve-digests', '--src-tls-verify=false', `docker://${String(pull)}`]
        await run('skopeo', [...words, `oci:${join(cwd, `${place}-skopeo`)}:${n}`])
        const ours = await stowage(['copy', `docker://${String(pull)}`, `oci:${place}-ours`], { cwd })
        t.equal(ours.code, 0, ours.stderr)
      }
      t.same(blobs(`${place}-skopeo`), blobs('a'))
      t.same(blobs(`${place}-ours`), blobs('a'))
      for (const blob of blobs('a'))
        t.ok(
          readFileSync(join(cwd, `${place}-skopeo`, 'blobs', 'sha256', blob)).equals(
            readFileSync(join(cwd, 'a', 'blobs', 'sha256', blob)),
          ),
        )
      const tags = await run('skopeo', ['list-tags', '--tls-verify=false', `docker://${server}/library/shop`])
      t.same((JSON.parse(tags.stdout) as { Tags: unknown }).Tags, ['2.3'])
    }
  },
)

t.test('serve - by https with a certificate, and for those alone who are in its htpasswd file', async t => {
  const cwd = t.testdir()
  await writeBundle(join(cwd, 'a'), { 'shop:2.3': small })
  makeCertificate(cwd)
  execFileSync('htpasswd', ['-Bbc', 'users', 'alice', 'open sesame'], { cwd, stdio: 'ignore' })
  execFileSync('htpasswd', ['-Bb', 'users', 'bob', 'pass:with:colons'], { cwd, stdio: 'ignore' })
  const { server, document, child, ended } = await serving(t, cwd, [
    'a',
    '--tls-cert',
    'site.crt',
    '--tls-key',
    'site.key',
    '--htpasswd',
    'users',
  ])
  t.match(document, { url: `https://${server}`, tls: true, password: true })
  const curl = async (...words: readonly string[]) =>
    (
      await run(
        'curl',
        [
          '--silent',
          '--cacert',
          join(cwd, 'site.crt'),
          '--output',
          '/dev/null',
          '--write-out',
          '%{http_code} %header{www-authenticate}',
          ...words,
        ],
        { cwd },
      ).catch((error: unknown) => error as { stdout: string })
    ).stdout
  const api = `https://${server}/v2/`
  t.equal(await curl(api), '401 Basic realm="stowage", charset="UTF-8"')
  t.match(await curl('-u', 'alice:wrong', api), /^401/)
  t.match(await curl('-u', 'nobody:open sesame', api), /^401/)
  t.match(await curl('-u', 'alice:', api), /^401/)
  t.equal(await curl('-u', 'alice:open sesame', api), '200 ')
  t.equal(await curl('-u', 'bob:pass:with:colons', api), '200 ')
  t.equal(
    await curl('-u', 'alice:open sesame', '--range', '0-9', `${api}library/shop/blobs/${small.config.digest}`),
    '206 ',
  )
  t.equal(await curl('-u', 'alice:open sesame', '--head', `${api}library/shop/manifests/2.3`), '200 ')
  t.equal(await curl('-u', 'alice:open sesame', '--request', 'DELETE', `${api}library/shop/manifests/2.3`), '405 ')
  t.match(await curl(`http://${server}/v2/`), /^000/, 'and nothing by http')

  const env = {
    SSL_CERT_FILE: join(cwd, 'site.crt'),
    DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [server]: { username: 'alice', password: 'open sesame' } } }),
  }
  const ours = await stowage(['copy', `docker://${server}/library/shop:2.3`, 'oci:ours'], { cwd, env })
  t.equal(ours.code, 0, ours.stderr)
  const stranger = await stowage(['copy', `docker://${server}/library/shop:2.3`, 'oci:other'], {
    cwd,
    env: { SSL_CERT_FILE: env.SSL_CERT_FILE },
  })
  t.equal(stranger.code, 5, stranger.stderr)
  await run('skopeo', [
    'copy',
    '--src-creds',
    'alice:open sesame',
    '--src-tls-verify=false',
    `docker://${server}/library/shop:2.3`,
    `oci:${join(cwd, 'theirs')}:1`,
  ])
  child.kill('SIGTERM')
  const { code, stderr } = await ended
  t.equal(code, 143, stderr)
  t.notMatch(stderr, /sesame|colons|Basic/)
  const events = stderr
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Record<string, unknown>)
  t.match(
    events.find(({ status }) => status === 206),
    { type: 'request', user: 'alice', method: 'GET', sent: 10, client: '127.0.0.1' },
  )
})

t.test('serve - refuses an htpasswd file with other hashes than bcrypt, by line', async t => {
  const cwd = t.testdir({ empty: '# nobody\n', torn: 'alice\n' })
  await writeBundle(join(cwd, 'a'), { 'shop:2.3': small })
  execFileSync('htpasswd', ['-Bbc', 'md5', 'alice', 'secret'], { cwd, stdio: 'ignore' })
  execFileSync('htpasswd', ['-mb', 'md5', 'bob', 'secret'], { cwd, stdio: 'ignore' })
  execFileSync('htpasswd', ['-sbc', 'sha', 'alice', 'secret'], { cwd, stdio: 'ignore' })
  execFileSync('htpasswd', ['-Bbc', 'twice', 'alice', 'secret'], { cwd, stdio: 'ignore' })
  const line = readFileSync(join(cwd, 'twice'), 'utf8')
  writeFileSync(join(cwd, 'twice'), line + line)
  writeFileSync(join(cwd, 'cut'), line.slice(0, -5))
  for (const [file, message] of [
    ['md5', /md5:2: expected a bcrypt hash but found Apache's MD5/],
    ['sha', /sha:1: .*SHA-1/],
    ['twice', /twice:\d: "alice" is listed twice/],
    ['cut', /cut:1: .*truncated or changed/],
    ['empty', /empty lists no users/],
    ['torn', /torn:1: expected name:hash/],
  ] as const) {
    const { code, stderr } = await stowage(['serve', 'a', '--listen', ':0', '--htpasswd', file], { cwd })
    t.equal(code, 2, stderr)
    t.match(stderr, message)
    t.notMatch(stderr, /\$2|\$apr1\$[^)]|\{SHA\}[^)]/, 'no hash is shown')
  }
})

t.test('serve - says what it serves and how to pull it, and warns of plain http for other machines', async t => {
  const cwd = t.testdir()
  await writeBundle(join(cwd, 'a'), { 'shop:2.3': small })
  let asked = false
  const { code, stdout, stderr } = await stowage(['serve', 'a', '--listen', '0.0.0.0:0'], {
    cwd,
    onStderr: (child, text) => {
      if (/GET \/v2\//.test(text)) child.kill('SIGINT')
      const [, port] = /"insecure-registries": \["[^"]*:(\d+)"\]/.exec(text) ?? []
      if (port === undefined || asked) return
      asked = true
      const socket = connect(Number(port), '127.0.0.1', () =>
        socket.end('GET /v2/\u001b[31m HTTP/1.1\r\nHost: a\r\n\r\nGET /v2/%1b%5b31m HTTP/1.1\r\nHost: a\r\n\r\n'),
      )
      const other = connect(Number(port), '127.0.0.1', () => other.end('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n'))
      for (const each of [socket, other]) each.on('error', () => undefined).resume()
    },
  })
  t.equal(code, 130, stderr)
  t.match(
    stdout,
    /^NAME +PLATFORM +SIZE +PULL\ndocker.io\/library\/shop:2.3 +linux\/\w+ +1\.2MB +docker pull \S+:\d+\/library\/shop:2.3\nServing 1 image at http:\/\/0.0.0.0:\d+ /,
  )
  t.match(stderr, /warning: other machines reach this over plain http/)
  t.notMatch(stderr, /\u001b/)
  const half = await stowage(['serve', 'a', '--tls-cert', 'x.crt'], { cwd })
  t.equal(half.code, 2)
  t.match(half.stderr, /must be given together/)
})

t.test('serve - logs who speaks http to https, the reverse, and who does not accept the certificate', async t => {
  const cwd = t.testdir()
  await writeBundle(join(cwd, 'a'), { 'shop:2.3': small })
  const authority = makeAuthority(cwd, 'lab')
  const { certFile, keyFile } = authority.sign('site', 'subjectAltName=IP:127.0.0.1', -1)
  const secure = await serving(t, cwd, ['a', '--tls-cert', certFile, '--tls-key', keyFile])
  t.match(secure.document, { warnings: [/site\.crt expired on \d{4}-\d\d-\d\d: clients refuse it/] })
  const failsWith = async (code: number, ...words: readonly string[]) =>
    await t.rejects(run('curl', ['--silent', ...words], { cwd }), { code }, words.join(' '))
  await failsWith(52, `http://${secure.server}/v2/`)
  await failsWith(60, '--cacert', authority.file, `https://${secure.server}/v2/`)
  secure.child.kill('SIGINT')
  const { stderr } = await secure.ended
  t.match(
    stderr,
    /"type":"connection".*"client":"127\.0\.0\.1","reason":"spoke plain http, but this server speaks https"/,
  )
  t.match(stderr, /"type":"connection".*"reason":"does not accept this server's certificate"/)
  const output = join(cwd, 'shown')
  let child: ChildProcess | undefined
  const ended = stowage(['serve', 'a', '--listen', '127.0.0.1:0'], { cwd, output, onSpawn: it => (child = it) })
  t.teardown(() => void child?.kill())
  let server: string | undefined
  for (; server === undefined; await new Promise(resolve => setTimeout(resolve, 25)))
    server = /http:\/\/(\S+) until/.exec(readFileSync(output, 'utf8'))?.[1]
  await failsWith(35, `https://${server}/v2/`)
  await run('curl', ['--silent', '--fail', `http://${server}/v2/`])
  const bad = await run('curl', ['--silent', '-X', 'BAD METHOD', '-w', '%{http_code}', `http://${server}/v2/`])
  t.equal(bad.stdout, '400', 'what is no request is answered as before')
  child?.kill('SIGINT')
  const { stderr: log } = await ended
  t.match(log, /^\S+ 127\.0\.0\.1 - spoke https, but this server speaks plain http$/m)
  t.match(log, /GET \/v2\/ 200/)
})

t.test('serve - sends a bad blob to nobody whole, outlives its medium, and the log says why', async t => {
  const cwd = t.testdir()
  await writeBundle(join(cwd, 'a'), { 'shop:2.3': small })
  const [layer] = small.layers
  const file = join(cwd, 'a', blobPath(layer!.digest))
  writeFileSync(file, flipped(small.blobs.get(layer!.digest)))
  const verified = await stowage(['serve', 'a', '--listen', ':0', '--verify'], { cwd })
  t.equal(verified.code, 4, verified.stderr)
  const { server, child, ended } = await serving(t, cwd, ['a'])
  const url = `http://${server}/v2/library/shop/blobs/${layer!.digest}`
  await t.rejects(
    run('curl', ['--silent', '--fail', '--output', join(cwd, 'got'), url]),
    { code: 18 },
    'curl: transfer closed',
  )
  await t.rejects(run('curl', ['--silent', '--fail', '--output', join(cwd, 'got'), url]), { code: 22 }, 'curl: 404')
  renameSync(join(cwd, 'a'), join(cwd, 'away'))
  await t.rejects(run('curl', ['--silent', '--fail', url]), { code: 22 })
  renameSync(join(cwd, 'away'), join(cwd, 'a'))
  child.kill('SIGINT')
  const { code, stderr } = await ended
  t.equal(code, 130)
  t.match(stderr, new RegExp(`"status":200.*"code":"DIGEST_MISMATCH","message":"expected ${layer!.digest} but`))
  t.match(stderr, /"status":404.*"code":"DIGEST_MISMATCH"/)
  t.match(stderr, /"status":503.*"code":"FILE_NOT_FOUND"/)
})

/** A certificate for 127.0.0.1 that vouches for itself. */
function makeCertificate(cwd: string): void {
  const words = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=site',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
  ]
  execFileSync('openssl', [...words, '-keyout', 'site.key', '-out', 'site.crt'], { cwd, stdio: 'ignore' })
}
