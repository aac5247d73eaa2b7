import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { sshArguments } from '../../src/engine/connection.js'
import { findEngineEndpoint, parseEndpoint } from '../../src/engine/endpoint.js'

interface Context {
  readonly host: string
  readonly skip?: boolean
  readonly ca?: string
}

/** A home with docker's files: contexts by name, with their TLS files, and `config.json`. */
async function home(t: Test, config: unknown, contexts: Record<string, Context> = {}): Promise<string> {
  const text = typeof config === 'string' ? config : JSON.stringify(config)
  const directory = t.testdir({ '.docker': { 'config.json': text } })
  for (const [name, { host, skip = false, ca }] of Object.entries(contexts)) {
    const id = createHash('sha256').update(name).digest('hex')
    const meta = join(directory, '.docker', 'contexts', 'meta', id)
    const tls = join(directory, '.docker', 'contexts', 'tls', id, 'docker')
    await mkdir(meta, { recursive: true })
    await mkdir(tls, { recursive: true })
    const endpoints = host ? { docker: { Host: host, SkipTLSVerify: skip } } : {}
    await writeFile(join(meta, 'meta.json'), JSON.stringify({ Name: name, Metadata: {}, Endpoints: endpoints }))
    if (ca) await writeFile(join(tls, 'ca.pem'), ca)
  }
  return directory
}

t.test('findEndpoint() takes the host before DOCKER_HOST before DOCKER_CONTEXT before config.json', async t => {
  const HOME = await home(
    t,
    { currentContext: 'configured' },
    {
      configured: { host: 'tcp://configured.example:1' },
      chosen: { host: 'tcp://chosen.example:2' },
    },
  )
  const env = { HOME, DOCKER_HOST: 'tcp://env.example:3', DOCKER_CONTEXT: 'chosen' }
  t.match(await findEngineEndpoint({ host: 'tcp://host.example:4', env }), { host: 'host.example', port: 4 })
  t.match(await findEngineEndpoint({ env }), { host: 'env.example', port: 3 })
  t.match(await findEngineEndpoint({ env: { HOME, DOCKER_CONTEXT: 'chosen' } }), { host: 'chosen.example', port: 2 })
  t.match(await findEngineEndpoint({ env: { HOME } }), { host: 'configured.example', port: 1 })
  const elsewhere = { HOME: '/none', DOCKER_CONFIG: join(HOME, '.docker') }
  t.match(await findEngineEndpoint({ env: elsewhere }), { host: 'configured.example' })
})

t.test('findEndpoint() falls back to what the platform has', async t => {
  const HOME = await home(t, { auths: {} })
  t.same(await findEngineEndpoint({ env: { HOME }, os: 'win32' }), {
    type: 'socket',
    name: 'npipe:////./pipe/docker_engine',
    path: '//./pipe/docker_engine',
  })
  const none = { HOME, DOCKER_CONTEXT: 'default' }
  t.match(await findEngineEndpoint({ env: none, os: 'linux' }), { type: 'socket', path: /docker\.sock$/ })
  t.match(await findEngineEndpoint({ env: { HOME: join(HOME, 'absent') }, os: 'linux' }), { type: 'socket' })
})

t.test('findEndpoint() reads TLS files from DOCKER_CERT_PATH and from the context', async t => {
  const HOME = await home(
    t,
    {},
    {
      safe: { host: 'tcp://safe.example:2376', ca: 'authority of the context' },
      careless: { host: 'tcp://careless.example:2376', skip: true },
      plain: { host: 'tcp://plain.example:2375' },
    },
  )
  const certificates = join(HOME, 'certificates')
  await mkdir(certificates)
  for (const name of ['ca', 'cert', 'key']) await writeFile(join(certificates, `${name}.pem`), name)
  const tlsOf = async (env: Record<string, string>) => {
    const found = await findEngineEndpoint({ env: { HOME, ...env } })
    return found.type === 'tcp' ? found.tls : undefined
  }
  const tls = await tlsOf({ DOCKER_HOST: 'tcp://a.example', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: certificates })
  t.equal(tls?.verify, true)
  t.same([tls?.ca, tls?.cert, tls?.key].map(String), ['ca', 'cert', 'key'])
  t.equal(await tlsOf({ DOCKER_HOST: 'tcp://a.example', DOCKER_CERT_PATH: certificates }), undefined)
  t.equal(String((await tlsOf({ DOCKER_CONTEXT: 'safe' }))?.ca), 'authority of the context')
  t.equal((await tlsOf({ DOCKER_CONTEXT: 'careless' }))?.verify, false)
  t.equal(await tlsOf({ DOCKER_CONTEXT: 'plain' }), undefined)
})

t.test('findEndpoint() names the context or the file that is wrong', async t => {
  const HOME = await home(t, { currentContext: 'gone' }, { empty: { host: '' } })
  await t.rejects(findEngineEndpoint({ env: { HOME } }), {
    code: 'INVALID_ARGUMENT',
    message: /"gone"/,
    hint: /context ls/,
  })
  await t.rejects(findEngineEndpoint({ env: { HOME, DOCKER_CONTEXT: 'empty' } }), {
    code: 'INVALID_ARGUMENT',
    message: /"empty"/,
  })
  const broken = await home(t, '{ not json')
  await t.rejects(findEngineEndpoint({ env: { HOME: broken } }), { code: 'INVALID_ARGUMENT', message: /config\.json/ })
})

t.test('parseEndpoint() reads the addresses that docker reads', async t => {
  t.match(parseEndpoint('unix:///run/user/1000/docker.sock'), { type: 'socket', path: '/run/user/1000/docker.sock' })
  t.match(parseEndpoint('npipe:////./pipe/docker_engine'), { type: 'socket', path: '//./pipe/docker_engine' })
  t.match(parseEndpoint('tcp://host.example'), { type: 'tcp', host: 'host.example', port: 2375 })
  t.match(parseEndpoint('tcp://host.example', { verify: true }), { port: 2376 })
  t.match(parseEndpoint('tcp://host.example:80'), { port: 80 })
  t.match(parseEndpoint('tcp://[::1]:2375/'), { host: '::1', port: 2375 })
  t.match(parseEndpoint('ssh://me@far.example:2222/run/docker.sock'), {
    type: 'ssh',
    host: 'far.example',
    user: 'me',
    port: 2222,
    path: '/run/docker.sock',
  })
})

t.test('parseEndpoint() refuses anything else, and tells no password', async t => {
  const wrong = [
    '',
    'docker',
    'unix://relative',
    'http://host',
    'tcp://',
    'tcp://a:b@c',
    'tcp://a/path',
    'tcp://a:99999',
  ]
  const dangerous = ['ssh://-oProxyCommand=x/', 'ssh://-l@a', 'ssh://a/run/$(id)', 'ssh://a/b;c', 'ssh://a%20b@c']
  for (const address of [...wrong, ...dangerous]) {
    const expected = { code: 'INVALID_ARGUMENT', hint: /ssh:\/\/user@host/ }
    t.throws(() => parseEndpoint(address), expected, JSON.stringify(address))
  }
  for (const address of ['ssh://me:secret@host', 'tcp://me:secret@host', 'http://me:secret@host']) {
    try {
      t.fail(`${parseEndpoint(address).name} was taken`)
    } catch (error) {
      t.match(error, { code: 'INVALID_ARGUMENT' })
      t.notMatch(String(error), /secret/)
    }
  }
})

t.test('sshArguments() are those of the docker command', async t => {
  const endpoint = parseEndpoint('ssh://me@far.example:2222/run/docker.sock')
  if (endpoint.type !== 'ssh') throw new TypeError('an ssh address was parsed')
  t.equal(
    sshArguments(endpoint).join(' '),
    '-T -o ConnectTimeout=20 -l me -p 2222 -- far.example docker --host unix:///run/docker.sock system dial-stdio',
  )
})
