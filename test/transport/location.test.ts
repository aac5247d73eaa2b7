import { join } from 'node:path'
import t from 'tap'
import { defaultStore } from '../../src/transport/default-store.js'
import { formatLocation, parseLocation } from '../../src/transport/location.js'

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
  for (const text of ['docker:nginx', 'Oci-archive:x.tar', '', ':x', 'OCI:x', 'containers-storage:x']) {
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
