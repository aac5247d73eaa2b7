import { execFile, execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { writeBundle } from '../support/bundles.js'
import { commandFile, stowage } from '../support/command.js'
import { layeredImage, writeLayout } from '../support/images.js'
import { startRegistry, startServer } from '../support/registry.js'
import { serve } from '../support/serving.js'

const run = promisify(execFile)
const PASSWORD = 'open sesame: ünïcode'

/** Debian's registry, which lets in alice alone; and a home without any configuration. */
async function start(t: Test) {
  const cwd = t.testdir({ home: {}, password: `${PASSWORD}\n`, wrong: 'wrong\n' })
  execFileSync('htpasswd', ['-Bbc', 'users', 'alice', PASSWORD], { cwd, stdio: 'ignore' })
  const { domain } = await startRegistry(t, [`auth: {htpasswd: {realm: site, path: ${join(cwd, 'users')}}}`])
  const env = { HOME: join(cwd, 'home'), DOCKER_CONFIG: join(cwd, 'docker'), XDG_RUNTIME_DIR: '', XDG_CONFIG_HOME: '' }
  return { cwd, domain, env, config: join(cwd, 'docker', 'config.json'), input: join(cwd, 'password') }
}

const basic = (text: string) => Buffer.from(text).toString('base64')

t.test('login - keeps what the registry took where docker would, and skopeo and we get in with it', async t => {
  const { cwd, domain, env, config, input } = await start(t)
  await writeLayout(join(cwd, 'from'), { 'shop:1': await layeredImage(1, { size: 1000 }) })
  const before = await stowage(['copy', 'oci:from', `docker://${domain}/shop:1`], { cwd, env })
  t.equal(before.code, 5, before.stderr)
  t.match(before.stderr, new RegExp(`stowage login ${domain}`))
  const { code, stdout, stderr } = await stowage(['login', domain, '-u', 'alice', '--password-stdin', '--json'], {
    cwd,
    env,
    input,
  })
  t.equal(code, 0, stderr)
  t.same(JSON.parse(stdout), {
    schema: 'stowage.login/v1',
    server: domain,
    username: 'alice',
    file: config,
    checked: true,
    identityToken: false,
  })
  t.match(stderr, /warning: the password will be stored unencrypted .* in .*config\.json.* credential helper/)
  t.notMatch(stdout + stderr, /sesame/)
  t.same(JSON.parse(readFileSync(config, 'utf8')), { auths: { [domain]: { auth: basic(`alice:${PASSWORD}`) } } })
  t.equal(statSync(config).mode & 0o777, 0o600)
  t.equal((await stowage(['copy', 'oci:from', `docker://${domain}/shop:1`], { cwd, env })).code, 0)
  await run('skopeo', ['inspect', '--authfile', config, '--tls-verify=false', `docker://${domain}/shop:1`])
  t.equal((await run('skopeo', ['login', '--authfile', config, '--get-login', domain])).stdout.trim(), 'alice')

  const out = await stowage(['logout', domain], { cwd, env })
  t.equal(out.code, 0, out.stderr)
  t.match(out.stdout, /^Logged out of /)
  t.same(JSON.parse(readFileSync(config, 'utf8')), { auths: {} })
  t.match((await stowage(['logout', domain], { cwd, env })).stdout, /^Not logged in to /)
  t.equal((await stowage(['copy', `docker://${domain}/shop:1`, 'oci:to'], { cwd, env })).code, 5)
})

t.test('login - keeps nothing that the registry does not take', async t => {
  const { cwd, domain, env, config } = await start(t)
  for (const words of [
    ['-u', 'alice', '--password-stdin'],
    ['-u', 'bob', '--password-stdin'],
    ['-u', 'alice', '-p', 'wrong'],
  ]) {
    const { code, stderr } = await stowage(['login', domain, ...words], { cwd, env, input: join(cwd, 'wrong') })
    t.equal(code, 5, stderr)
    t.match(stderr, /rejected this user name and password/)
    t.equal(words.includes('-p'), /warning: a password on the command line/.test(stderr))
  }
  t.notOk(existsSync(config))
  mkdirSync(join(cwd, 'docker'))
  for (const torn of ['{"auths": {"a.example"', '[]', '{"auths": []}']) {
    writeFileSync(config, torn)
    const { code, stderr } = await stowage(['login', domain, '-u', 'alice', '--password-stdin'], {
      cwd,
      env,
      input: join(cwd, 'password'),
    })
    t.equal(code, 2, stderr)
    t.match(stderr, /config\.json(: auths)? is not a JSON object/)
    t.equal(readFileSync(config, 'utf8'), torn)
    t.same(readdirSync(join(cwd, 'docker')), ['config.json'])
  }
})

t.test(
  'login - leaves all else in the file as it is, follows a link to it, and goes to the file that is named',
  async t => {
    const { cwd, domain, env, config, input } = await start(t)
    mkdirSync(join(cwd, 'docker'))
    const file = {
      HttpHeaders: { a: 'b' },
      auths: {
        'b.example': { auth: basic('b:b'), email: 'b@b.example' },
        [`https://${domain}/v2/`]: { auth: basic('old:old') },
      },
      psFormat: '{{.ID}}',
    }
    writeFileSync(join(cwd, 'real.json'), JSON.stringify(file))
    symlinkSync('../real.json', config)
    const words = ['login', `http://${domain}/v2/`, '-u', 'alice', '--password-stdin']
    t.equal((await stowage(words, { cwd, env, input })).code, 0)
    t.ok(lstatSync(config).isSymbolicLink())
    const written = { ...file, auths: { ...file.auths, [domain]: { auth: basic(`alice:${PASSWORD}`) } } }
    t.same(JSON.parse(readFileSync(join(cwd, 'real.json'), 'utf8')), written)
    t.equal(statSync(join(cwd, 'real.json')).mode & 0o777, 0o600)
    t.equal((await stowage(['logout', domain], { cwd, env })).code, 0)
    t.same(
      JSON.parse(readFileSync(join(cwd, 'real.json'), 'utf8')),
      { ...file, auths: { 'b.example': file.auths['b.example'] } },
      'both names of it are gone',
    )

    t.equal((await stowage([...words, '--authfile', 'own/auth.json'], { cwd, env, input })).code, 0)
    t.same(Object.keys((JSON.parse(readFileSync(join(cwd, 'own', 'auth.json'), 'utf8')) as { auths: object }).auths), [
      domain,
    ])
    t.equal(
      (await stowage(words, { cwd, env: { ...env, REGISTRY_AUTH_FILE: join(cwd, 'podman.json') }, input })).code,
      0,
    )
    t.same(Object.keys((JSON.parse(readFileSync(join(cwd, 'podman.json'), 'utf8')) as { auths: object }).auths), [
      domain,
    ])
  },
)

t.test('login - has a helper keep it where the file says so, and the file holds no secret', async t => {
  const { cwd, domain, env, config, input } = await start(t)
  mkdirSync(join(cwd, 'bin'))
  const helper = join(cwd, 'bin', 'docker-credential-box')
  writeFileSync(
    helper,
    [
      '#!/bin/sh',
      'cd "$BOX" || exit 1',
      'case $1 in',
      '  store) cat > kept;;',
      '  get) read -r server; test -f kept && cat kept || { echo credentials not found in native keychain; exit 1; };;',
      '  erase) cat > erased; rm -f kept;;',
      '  *) exit 1;;',
      'esac',
      '',
    ].join('\n'),
  )
  chmodSync(helper, 0o755)
  writeFileSync(
    join(cwd, 'bin', 'docker-credential-locked'),
    '#!/bin/sh\ncat > /dev/null\necho the box is locked\nexit 1\n',
  )
  chmodSync(join(cwd, 'bin', 'docker-credential-locked'), 0o755)
  mkdirSync(join(cwd, 'docker'))
  const own = { ...env, BOX: t.testdirName, PATH: `${join(cwd, 'bin')}${delimiter}${process.env['PATH']}` }
  const words = ['login', domain, '-u', 'alice', '--password-stdin']
  for (const file of [{ credsStore: 'box' }, { credsStore: 'locked', credHelpers: { [domain]: 'box' } }]) {
    writeFileSync(config, JSON.stringify(file))
    const { code, stdout, stderr } = await stowage(words, { cwd, env: own, input })
    t.equal(code, 0, stderr)
    t.equal(stderr, '', 'there is nothing to warn of')
    t.match(stdout, /password stored by the credential helper box/)
    t.same(JSON.parse(readFileSync(join(cwd, 'kept'), 'utf8')), {
      ServerURL: domain,
      Username: 'alice',
      Secret: PASSWORD,
    })
    t.same(JSON.parse(readFileSync(config, 'utf8')), { ...file, auths: { [domain]: {} } })
    t.equal(
      (await stowage(['copy', `docker://${domain}/none:1`, 'oci:to'], { cwd, env: own })).code,
      3,
      'the registry lets us in',
    )
    t.equal((await stowage(['logout', domain], { cwd, env: own })).code, 0)
    t.equal(readFileSync(join(cwd, 'erased'), 'utf8'), `${domain}\n`)
    t.notOk(existsSync(join(cwd, 'kept')))
    t.same(JSON.parse(readFileSync(config, 'utf8')), { ...file, auths: {} })
  }
  const file = JSON.stringify({ credsStore: 'locked' })
  writeFileSync(config, file)
  const refused = await stowage(words, { cwd, env: own, input })
  t.equal(refused.code, 5)
  t.match(refused.stderr, /helper locked failed: the box is locked/)
  t.equal(readFileSync(config, 'utf8'), file)
})

t.test('login - asks on the terminal, where the password is not shown', async t => {
  const { cwd, domain, env, config } = await start(t)
  const words = [process.execPath, commandFile(), 'login', domain].map(word => `'${word}'`).join(' ')
  const child = spawn('script', ['--quiet', '--return', '--command', words, '/dev/null'], {
    cwd,
    env: { ...process.env, ...env, TERM: 'dumb' },
  })
  let shown = ''
  let [named, proved] = [false, false]
  child.stdout.on('data', (piece: Buffer) => {
    shown += piece.toString()
    if (!named && shown.includes('Username: ')) {
      named = true
      child.stdin.write('alice\r')
    } else if (named && !proved && shown.includes('Password: ')) {
      proved = true
      child.stdin.write(`${PASSWORD}\r`)
    }
  })
  const code = await new Promise(resolve => child.once('close', resolve))
  t.equal(code, 0, shown)
  t.match(shown, /Username: .*alice[^]*Password: \r?\n[^]*Logged in to /)
  t.notMatch(shown, /sesame/)
  t.match(JSON.parse(readFileSync(config, 'utf8')), { auths: { [domain]: { auth: basic(`alice:${PASSWORD}`) } } })

  const deaf = await stowage(['login', domain], { cwd, env })
  t.equal(deaf.code, 2)
  t.match(deaf.stderr, /no terminal to ask/)
})

t.test('login - refuses what contradicts itself, and servers that are none', async t => {
  const cwd = t.testdir({ empty: '', home: {} })
  const env = { HOME: join(cwd, 'home'), DOCKER_CONFIG: join(cwd, 'home') }
  for (const [words, message] of [
    [['a.example', '--password-stdin'], /requires --username/],
    [['a.example', '-u', 'a', '-p', 'b', '--password-stdin'], /cannot be used together/],
    [['a.example/team', '-u', 'a', '--password-stdin'], /is not a registry/],
    [['a b', '-u', 'a', '-p', 'b'], /is not a registry/],
    [['a.example', '-u', 'a', '--password-stdin'], /must not be empty/],
    [['a.example', '-u', 'a:b', '-p', 'b'], /colon/],
  ] as const) {
    const { code, stderr } = await stowage(['login', ...words], { cwd, env, input: join(cwd, 'empty') })
    t.equal(code, 2, stderr)
    t.match(stderr, message)
  }
  const hub = await stowage(['logout', '--json'], { cwd, env })
  t.same(JSON.parse(hub.stdout), {
    schema: 'stowage.logout/v1',
    server: 'https://index.docker.io/v1/',
    file: join(cwd, 'home', 'config.json'),
    removed: false,
  })
})

t.test('login - to our own server, and to one that lets everybody in', async t => {
  const { cwd, env, config, input } = await start(t)
  await writeBundle(join(cwd, 'a'), { 'shop:1': await layeredImage(1, { size: 1000 }) })
  const guarded = await serve(t, [join(cwd, 'a')], { htpasswd: join(cwd, 'users') })
  const open = await serve(t, [join(cwd, 'a')])
  const login = async ({ address: { url } }: typeof open) =>
    await stowage(['login', url, '-u', 'alice', '--password-stdin'], { cwd, env, input })
  t.equal((await login(guarded)).code, 0)
  t.equal(
    (await stowage(['copy', `docker://${guarded.address.url.slice(7)}/library/shop:1`, 'oci:to'], { cwd, env })).code,
    0,
  )
  const everybody = await login(open)
  t.equal(everybody.code, 0)
  t.match(everybody.stderr, /requires no login: the user name and password were not checked/)
  t.equal(Object.keys((JSON.parse(readFileSync(config, 'utf8')) as { auths: object }).auths).length, 2)
})

/** No registry of Debian's has a token service that gives identity tokens: this one plays both, and checks what it is shown. */
t.test('login - keeps an identity token where the token service gives one', async t => {
  const { cwd, env, config, input } = await start(t)
  const asked: string[] = []
  const domain = await startServer(t, (request, response) => {
    const { authorization, host } = request.headers
    asked.push(`${request.method} ${request.url}`)
    if (request.url?.startsWith('/token')) {
      const right = request.method === 'POST' || authorization === `Basic ${basic(`alice:${PASSWORD}`)}`
      response
        .writeHead(right ? 200 : 401)
        .end(JSON.stringify(right ? { token: 'short', refresh_token: 'lasting', expires_in: 60 } : { details: 'no' }))
    } else if (authorization === 'Bearer short') {
      response.writeHead(request.url === '/v2/' ? 200 : 404).end('{}')
    } else {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token",service="site"` }).end()
    }
  })
  const { code, stdout, stderr } = await stowage(['login', domain, '-u', 'alice', '--password-stdin'], {
    cwd,
    env,
    input,
  })
  t.equal(code, 0, stderr)
  t.match(stdout, /as alice; identity token stored in/)
  t.match(stderr, /the token will be stored unencrypted/)
  t.ok(asked.includes('GET /token?service=site&account=alice&offline_token=true&client_id=stowage'), asked.join('\n'))
  t.same(JSON.parse(readFileSync(config, 'utf8')), {
    auths: { [domain]: { auth: basic('alice:'), identitytoken: 'lasting' } },
  })
  asked.length = 0
  t.equal(
    (await stowage(['copy', `docker://${domain}/none:1`, 'oci:to'], { cwd, env })).code,
    3,
    'and it is what we show from then on',
  )
  t.ok(asked.includes('POST /token'), asked.join('\n'))
  const wrong = await stowage(['login', domain, '-u', 'alice', '--password-stdin'], {
    cwd,
    env,
    input: join(cwd, 'wrong'),
  })
  t.equal(wrong.code, 5)
  t.match(JSON.parse(readFileSync(config, 'utf8')), { auths: { [domain]: { identitytoken: 'lasting' } } })
})
