import t from 'tap'
import {
  familiarReference,
  formatReference,
  isRegistry,
  nameMadeOf,
  namesOnce,
  parseReference,
} from '../../src/oci/reference.js'

t.test('parseReference() normalises names as Docker does', async t => {
  const full = (text: string) => formatReference(parseReference(text))
  t.equal(full('nginx'), 'docker.io/library/nginx')
  t.equal(full('index.docker.io/nginx:1.27'), 'docker.io/library/nginx:1.27')
  t.equal(full('team/app:v1'), 'docker.io/team/app:v1')
  t.equal(full('localhost/app'), 'localhost/app')
  t.equal(full('registry.example:5000/a/b/c:x'), 'registry.example:5000/a/b/c:x')
  t.equal(full('[::1]:5000/app:x'), '[::1]:5000/app:x')
  t.equal(familiarReference(parseReference('docker.io/library/nginx:1.27')), 'nginx:1.27')
  t.equal(familiarReference(parseReference('team/app')), 'team/app')
})

t.test('parseReference() refuses a password in a name, and does not repeat it', async t => {
  for (const text of ['ada:secret@registry.example/team/shop:1', 'https://ada:sec@ret@registry.example:5000/shop']) {
    const error = t.throws(() => parseReference(text), { code: 'INVALID_REFERENCE', hint: /login/ }) as unknown as Error
    t.notMatch(String(error), /ada|sec|ret@/)
  }
})

t.test('parseReference() refuses what is not a reference', async t => {
  for (const text of [
    '',
    'UPPER',
    'a//b',
    'a:',
    'a@sha256:12',
    '-a',
    'a/../b',
    'a:b/c:',
    'docker.io/',
    `a:${'x'.repeat(129)}`,
  ]) {
    t.throws(() => parseReference(text), { code: 'INVALID_REFERENCE' }, JSON.stringify(text))
  }
})

t.test('nameMadeOf() makes a name of a title, where there is one in it', async t => {
  const made = (title: string, tag?: string) => formatReference(nameMadeOf(title, tag)!)
  t.equal(made('My App'), 'docker.io/library/my-app:latest')
  t.equal(made('_NanoServer_', '10.0.14300.1010'), 'docker.io/library/nanoserver:10.0.14300.1010')
  for (const title of ['', '日本語', 'x'.repeat(300)]) t.equal(nameMadeOf(title), undefined, title)
})

t.test('namesOnce() keeps each name where it stood first', async t => {
  const names = ['b:1', 'a:1', 'docker.io/library/b:1', 'a:2'].map(parseReference)
  t.same(namesOnce(names).map(familiarReference), ['b:1', 'a:1', 'a:2'])
})

t.test('isRegistry() takes hosts and ports that there can be', async t => {
  for (const text of ['docker.io', 'localhost', 'registry.example:5000', '127.0.0.1:65535', '[::1]:5000', 'UPPER'])
    t.ok(isRegistry(text), text)
  for (const text of ['', 'http://x', 'a b', 'x:65536', '[::1::2]:80', '999.0.0.1', 'x/y', 'x:', ':80', 'user@x'])
    t.notOk(isRegistry(text), text)
  for (const text of ['x.example:65536/a', '[::1::2]:80/a', '999.0.0.1/a'])
    t.throws(() => parseReference(text), { code: 'INVALID_REFERENCE' }, text)
})
