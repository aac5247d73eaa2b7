import t from 'tap'
import { familiarReference, formatReference, isRegistry, parseReference } from '../../src/oci/reference.js'

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

t.test('parseReference() refuses what is no reference', async t => {
  for (const text of ['', 'UPPER', 'a//b', 'a:', 'a@sha256:12', '-a', 'a/../b', 'a:b/c:', 'docker.io/', `a:${'x'.repeat(129)}`]) {
    t.throws(() => parseReference(text), { code: 'INVALID_REFERENCE' }, JSON.stringify(text))
  }
})

t.test('isRegistry() takes hosts and ports that there can be', async t => {
  for (const text of ['docker.io', 'localhost', 'registry.example:5000', '127.0.0.1:65535', '[::1]:5000', 'UPPER']) t.ok(isRegistry(text), text)
  for (const text of ['', 'http://x', 'a b', 'x:65536', '[::1::2]:80', '999.0.0.1', 'x/y', 'x:', ':80', 'user@x']) t.notOk(isRegistry(text), text)
  for (const text of ['x.example:65536/a', '[::1::2]:80/a', '999.0.0.1/a']) t.throws(() => parseReference(text), { code: 'INVALID_REFERENCE' }, text)
})
