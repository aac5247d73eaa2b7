import t from 'tap'
import { compareNames } from '../../src/serve/catalog.js'
import { formatHost, parseListen } from '../../src/serve/listen.js'
import { pageOf } from '../../src/serve/page.js'
import { parseByteRange } from '../../src/serve/range.js'
import { parseTarget } from '../../src/serve/route.js'

t.test('parseListen() takes hosts, ports and IPv6, and says what else it wants', async t => {
  for (const [text, host, port] of [
    [':0', '127.0.0.1', 0],
    [undefined, '127.0.0.1', 5000],
    ['5001', '127.0.0.1', 5001],
    ['0.0.0.0', '0.0.0.0', 5000],
    ['site.example:443', 'site.example', 443],
    ['[::1]:5001', '::1', 5001],
    ['[::]', '::', 5000],
    ['::1', '::1', 5000],
    ['fe80::1', 'fe80::1', 5000],
  ] as const) {
    t.same(parseListen(text), { host, port }, text ?? '')
  }
  for (const text of [
    '',
    ':',
    'http://a.example',
    'a b:1',
    ':65536',
    ':x',
    '[::1',
    '[a.example]:1',
    '1:2:3',
    'a.example:',
  ]) {
    t.throws(() => parseListen(text), { code: 'INVALID_ARGUMENT', hint: /HOST:PORT/ }, text)
  }
  t.equal(formatHost('::1', 1), '[::1]:1')
})

t.test('parseRange() is what RFC 9110 says', async t => {
  for (const [header, expected] of [
    [undefined, undefined],
    ['bytes=0-0', [0, 1]],
    ['bytes=2-', [2, 10]],
    ['bytes=2-4', [2, 5]],
    ['bytes=2-99', [2, 10]],
    ['bytes=-3', [7, 10]],
    ['bytes=-99', [0, 10]],
    ['bytes=-0', 'unsatisfiable'],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=10-12', 'unsatisfiable'],
    ['bytes=4-2', undefined],
    ['bytes=-', undefined],
    ['bytes=0-1,3-4', undefined],
    ['lines=0-1', undefined],
    ['bytes=a-b', undefined],
    ['BYTES=1-1', [1, 2]],
  ] as const) {
    const range = parseByteRange(header, 10)
    t.same(typeof range === 'object' ? [range.start, range.end] : range, expected, header ?? '')
  }
  t.equal(parseByteRange('bytes=0-', 0), 'unsatisfiable')
})

t.test('parseTarget() knows the paths of the specification, and no others', async t => {
  for (const [target, route] of [
    ['/v2/', { type: 'version' }],
    ['/v2', { type: 'version' }],
    ['/v2/_catalog?n=1', { type: 'catalog' }],
    ['/v2/a/b/manifests/1.0', { type: 'manifest', repository: 'a/b', reference: '1.0' }],
    ['/v2/a/manifests/manifests/x', { type: 'manifest', repository: 'a/manifests', reference: 'x' }],
    ['/v2/tags/list/tags/list', { type: 'tags', repository: 'tags/list' }],
    ['/v2/a/blobs/sha256%3A12', { type: 'blob', repository: 'a', digest: 'sha256:12' }],
    ['/v2/a/referrers/sha256:12', { type: 'referrers', repository: 'a', digest: 'sha256:12' }],
    ['/v2/a/blobs/%ff', undefined],
    ['/v2/a/blobs/uploads/1', undefined],
    ['/v2/manifests/1', undefined],
    ['/V2/', undefined],
    ['*', undefined],
    ['http://a.example/v2/', undefined],
    ['', undefined],
  ] as const) {
    t.same(parseTarget(target).route, route, target)
  }
})

t.test('pageOf() goes through a list of any length, each name once', async t => {
  const all = ['10', '9', 'A', 'a', 'B', 'latest'].sort(compareNames)
  t.same(all, ['10', '9', 'A', 'a', 'B', 'latest'])
  const seen: string[] = []
  let query: string | undefined = 'n=2&ns=docker.io'
  while (query !== undefined) {
    const page = pageOf(all, new URLSearchParams(query))
    seen.push(...(page?.names ?? []))
    query = page?.next
    if (query !== undefined) t.equal(new URLSearchParams(query).get('ns'), 'docker.io')
  }
  t.same(seen, all)
  t.same(pageOf(all, new URLSearchParams('last=a')), { names: ['B', 'latest'], next: undefined })
  t.same(
    pageOf(all, new URLSearchParams('last=aa')),
    { names: ['B', 'latest'], next: undefined },
    'which need not be in it',
  )
  t.same(pageOf(all, new URLSearchParams('n=0')), { names: [], next: undefined })
  for (const n of ['-1', 'x', '1.5', '']) t.equal(pageOf(all, new URLSearchParams({ n })), undefined, n)
})
