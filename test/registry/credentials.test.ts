import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { findCredential } from '../../src/registry/credentials.js'

const basic = (username: string) => ({ auth: Buffer.from(`${username}:secret`).toString('base64') })

/** Files below a home of the test's own; `helpers` are programs on the PATH, each a line of shell. */
function home(t: Test, files: Readonly<Record<string, unknown>>, helpers: Readonly<Record<string, string>> = {}) {
  const root = t.testdir()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), typeof content === 'string' ? content : JSON.stringify(content))
  }
  mkdirSync(join(root, 'bin'), { recursive: true })
  for (const [name, line] of Object.entries(helpers)) {
    writeFileSync(join(root, 'bin', `docker-credential-${name}`), `#!/bin/sh\n${line}\n`)
    chmodSync(join(root, 'bin', `docker-credential-${name}`), 0o755)
  }
  process.env['PATH'] = `${join(root, 'bin')}${delimiter}${process.env['PATH']}`
  return { home: root, env: { XDG_RUNTIME_DIR: join(root, 'run') } as NodeJS.ProcessEnv, platform: 'linux' as const }
}

t.test('the first place that knows the host decides', async t => {
  const files = {
    'own.json': { auths: { 'a.example': basic('own') } },
    '.docker/config.json': { auths: { 'a.example': basic('docker'), 'b.example': basic('docker') } },
    'run/containers/auth.json': { auths: { 'b.example': basic('session'), 'c.example': basic('session') } },
    '.config/containers/auth.json': { auths: { 'c.example': basic('user'), 'd.example': basic('user') } },
  }
  const options = home(t, files)
  const names = async (env: NodeJS.ProcessEnv) =>
    await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map(async host => {
        const found = await findCredential(`${host}.example`, 'team/shop', {
          ...options,
          env: { ...options.env, ...env },
        })
        return found?.type === 'basic' ? found.username : undefined
      }),
    )
  t.same(await names({}), ['docker', 'docker', 'session', 'user', undefined])
  t.same(await names({ REGISTRY_AUTH_FILE: join(options.home, 'own.json') }), [
    'own',
    'docker',
    'session',
    'user',
    undefined,
  ])
  t.same(await names({ DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { 'd.example': basic('environment') } }) }), [
    'docker',
    'docker',
    'session',
    'environment',
    undefined,
  ])
})

t.test('keys are found as docker and podman write them', async t => {
  const auths = {
    'https://index.docker.io/v1/': basic('hub'),
    'https://b.example/v2/': basic('url'),
    'c.example:5000': basic('port'),
    'd.example/team': basic('team'),
    'd.example': basic('host'),
    'e.example': { username: 'plain', password: 'secret' },
    'f.example': { identitytoken: 'refresh' },
    'g.example': { registrytoken: 'shown' },
    'h.example': {},
    'i.example': { auth: '!' },
  }
  const options = home(t, { '.docker/config.json': { auths } })
  const find = async (host: string, repository = 'team/shop') => await findCredential(host, repository, options)
  for (const [host, username] of [
    ['docker.io', 'hub'],
    ['registry-1.docker.io', 'hub'],
    ['b.example', 'url'],
    ['c.example:5000', 'port'],
    ['d.example', 'team'],
    ['e.example', 'plain'],
  ] as const) {
    t.match(await find(host), { type: 'basic', username, password: 'secret' }, host)
  }
  t.match(await find('d.example', 'other/shop'), { username: 'host' })
  t.match(await find('f.example'), { type: 'identity-token', token: 'refresh' })
  t.match(await find('g.example'), { type: 'registry-token', token: 'shown' })
  for (const host of ['c.example', 'h.example', 'i.example']) t.equal(await find(host), undefined, host)
})

t.test('helpers are asked before the file, by the name docker gives them', async t => {
  const config = {
    auths: { 'b.example': basic('file'), 'c.example': basic('file') },
    credsStore: 'all',
    credHelpers: { 'b.example': 'one', 'd.example': 'broken' },
  }
  const options = home(
    t,
    { '.docker/config.json': config },
    {
      all: 'read server; case $server in https://index.docker.io/v1/|a.example) echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"$server\\"}";; *) echo credentials not found in native keychain; exit 1;; esac',
      one: 'echo "{\\"Username\\":\\"one\\",\\"Secret\\":\\"kept\\"}"',
      broken: 'echo the keychain is locked; exit 1',
    },
  )
  const find = async (host: string) => await findCredential(host, 'team/shop', options)
  t.match(await find('a.example'), { type: 'identity-token', token: 'a.example' })
  t.match(await find('docker.io'), { type: 'identity-token', token: 'https://index.docker.io/v1/' })
  t.match(await find('b.example'), { type: 'basic', username: 'one', password: 'kept' })
  t.match(await find('c.example'), { username: 'file' }, 'which the helper does not know')
  await t.rejects(find('d.example'), { code: 'UNAUTHORIZED', message: /helper broken failed: the keychain is locked/ })
})

t.test('a file that is not JSON is named, and what is in it is not', async t => {
  const options = home(t, { '.docker/config.json': '{"auths": {"a.example": {"auth": "c2VjcmV0" ' })
  const error = await findCredential('a.example', 'x', options).catch((error: unknown) => error)
  t.match(error, { code: 'INVALID_ARGUMENT', message: /config\.json is not a JSON object/ })
  t.notMatch(String(error), /c2VjcmV0/)
})
