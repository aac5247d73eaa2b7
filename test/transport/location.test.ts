import { join } from 'node:path'
import t from 'tap'
import { defaultStore } from '../../src/transport/default-store.js'
import { destinationLocation, formatLocation, parseLocation } from '../../src/transport/location.js'

t.test('parseLocation() reads each transport', async t => {
  t.same(parseLocation('docker-daemon:shop:2.3'), { scheme: 'docker-daemon', path: '', ref: 'shop:2.3' })
  t.same(parseLocation('docker-daemon:'), { scheme: 'docker-daemon', path: '', ref: undefined })
  t.same(parseLocation('oci:dir'), { scheme: 'oci', path: 'dir', ref: undefined })
  t.same(parseLocation('oci:/a/b:docker.io/library/nginx:1.27'), {
    scheme: 'oci',
    path: '/a/b',
    ref: 'docker.io/library/nginx:1.27',
  })
  t.same(parseLocation('oci:C:\\a\\b:v1'), { scheme: 'oci', path: 'C:\\a\\b', ref: 'v1' })
  t.same(parseLocation('oci-archive:x.tar'), { scheme: 'oci-archive', path: 'x.tar', ref: undefined })
  t.same(parseLocation('docker-archive:x.tar:shop:2.3'), { scheme: 'docker-archive', path: 'x.tar', ref: 'shop:2.3' })
  t.same(parseLocation('docker-archive:D:\\x.tar:@0'), { scheme: 'docker-archive', path: 'D:\\x.tar', ref: '@0' })
  t.same(parseLocation('dir:a:b'), { scheme: 'dir', path: 'a:b' })
  t.same(parseLocation('bundle:x.tar:shop:2.3'), { scheme: 'bundle', path: 'x.tar', ref: 'shop:2.3' })
  t.same(parseLocation('wim:a.wim#Nano Server'), { scheme: 'wim', path: 'a.wim', ref: 'Nano Server' })
  t.same(parseLocation('wim:C:\\a.wim'), { scheme: 'wim', path: 'C:\\a.wim', ref: undefined })
})

t.test('parseLocation() takes a bare reference for one in a registry', async t => {
  for (const name of ['nginx', 'nginx:1.27', 'registry.example:5000/team/shop', `shop@sha256:${'a'.repeat(64)}`]) {
    t.same(parseLocation(name), { scheme: 'docker', path: name })
    t.same(parseLocation(`docker://${name}`), { scheme: 'docker', path: name })
  }
})

t.test('parseLocation() refuses what it does not know, saying what it does', async t => {
  for (const text of ['', ':x', 'containers-storage:x', 'a b', './x']) {
    t.throws(
      () => parseLocation(text),
      {
        code: 'INVALID_ARGUMENT',
        hint: /docker:\/\/NAME.*docker-daemon:NAME.*oci:DIR.*oci-archive:FILE.*docker-archive:FILE.*dir:PATH.*bundle:PATH.*wim:FILE/,
      },
      text,
    )
  }
  for (const text of [
    'docker://',
    'wim:',
    'bundle:',
    'wim:#1',
    'wim:a#',
    'oci:dir:',
    'dir:',
    'oci-archive:',
    'docker-archive::x',
    'docker-archive:x:',
    'bundle::x',
  ]) {
    t.throws(() => parseLocation(text), { code: 'INVALID_ARGUMENT' }, text)
  }
})

t.test('parseLocation() says which scheme was probably meant, and takes no misspelled one for an image', async t => {
  const cases: readonly (readonly [text: string, hint: string])[] = [
    ['OCI:x', 'Did you mean oci:x?'],
    ['oic:x', 'Did you mean oci:x? For the image of this name in a registry, write docker://oic:x.'],
    ['Oci-archive:x.tar', 'Did you mean oci-archive:x.tar?'],
    ['docker-deamon:shop:2.3', 'Did you mean docker-daemon:shop:2.3?'],
    [
      'docker-deamon:shop',
      'Did you mean docker-daemon:shop? For the image of this name in a registry, write docker://docker-deamon:shop.',
    ],
    ['dockerarchive:./x.tar', 'Did you mean docker-archive:./x.tar?'],
    ['WIM:x.wim#1', 'Did you mean wim:x.wim#1?'],
    [
      'docker:nginx',
      'Write docker://nginx for an image in a registry, docker-daemon:nginx for one in the Docker Engine.',
    ],
  ]
  for (const [text, hint] of cases) {
    const expected = { code: 'INVALID_ARGUMENT', message: `${JSON.stringify(text)} is not a location`, hint }
    t.throws(() => parseLocation(text), expected, text)
    t.throws(() => destinationLocation(text), expected, text)
  }
  for (const name of ['oai:1', 'dig:latest', 'docker-demo:1', 'oic/x:1', 'bundler/x:2', 'wimp:1', 'dirk'])
    t.same(parseLocation(name), { scheme: 'docker', path: name })
})

t.test('destinationLocation() takes no bare word, and says what to write', async t => {
  const message = (text: string): string => `${JSON.stringify(text)} does not say what kind of place it is`
  const cases: readonly (readonly [text: string, hint: string])[] = [
    ['backup', 'Write oci:backup for one on this machine, docker://backup for one in a registry.'],
    [
      'foo.tar',
      'Write oci-archive:foo.tar or docker-archive:foo.tar for one on this machine, docker://foo.tar for one in a registry.',
    ],
    ['x.wim', 'Write wim:x.wim for one on this machine, docker://x.wim for one in a registry.'],
    [
      'registry.example:5000/team/shop:1',
      'Write oci:registry.example:5000/team/shop:1 for one on this machine, docker://registry.example:5000/team/shop:1 for one in a registry.',
    ],
    ['./out', 'Write oci:./out.'],
    ['/media/stick/x.tar', 'Write oci-archive:/media/stick/x.tar or docker-archive:/media/stick/x.tar.'],
    ['C:\\x.wim', 'Write wim:C:\\x.wim.'],
    ['oci', 'Write oci:DIR.'],
    ['docker-daemon', 'Write docker-daemon:[NAME[:TAG]].'],
  ]
  for (const [text, hint] of cases)
    t.throws(() => destinationLocation(text), { code: 'INVALID_ARGUMENT', message: message(text), hint }, text)
  for (const text of ['docker://foo.tar', 'oci:backup', 'oci:', 'docker-daemon:', 'wim:x.wim'])
    t.same(destinationLocation(text), parseLocation(text))
})

t.test('formatLocation() writes what parseLocation() reads', async t => {
  for (const text of [
    'docker-daemon:shop:2.3',
    'docker-daemon:',
    'oci:dir:v1',
    'oci:dir',
    'bundle:x.tar',
    'wim:a.wim#2',
    'oci-archive:x.tar:v1',
    'docker-archive:x.tar',
    'docker-archive:x.tar:shop:2.3',
    'dir:x',
    'wim:a.wim',
  ]) {
    t.equal(formatLocation(parseLocation(text)), text)
  }
})

t.test('defaultStore() is where the platform keeps such things', async t => {
  t.equal(defaultStore({ STOWAGE_STORE: '/s', XDG_DATA_HOME: '/x' }, 'linux'), '/s')
  t.equal(defaultStore({ XDG_DATA_HOME: '/x' }, 'linux'), join('/x', 'stowage', 'store'))
  t.match(defaultStore({}, 'linux'), /\.local.share.stowage.store$/)
  t.equal(defaultStore({ LOCALAPPDATA: '/l' }, 'win32'), join('/l', 'stowage', 'store'))
})
