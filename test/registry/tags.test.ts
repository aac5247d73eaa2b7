import t from 'tap'
import { nearestTags, parseDomain, parseRepository, tagChoice } from '../../src/registry/tags.js'

const TAGS = [
  'latest',
  '1',
  '1.27',
  '1.27.0',
  '1.27.3',
  '1.27.10',
  '1.28.0-rc.1',
  '1.27.3-alpine',
  '1.26.2-alpine',
  '20240315',
  'edge',
  'v1.26.0',
]

t.test('tagChoice() sorts: first what is not a version, then versions, the newest last', async t => {
  t.same(tagChoice({})(TAGS), [
    '1',
    '20240315',
    'edge',
    'latest',
    'v1.26.0',
    '1.26.2-alpine',
    '1.27',
    '1.27.0',
    '1.27.3-alpine',
    '1.27.3',
    '1.27.10',
    '1.28.0-rc.1',
  ])
})

t.test('tagChoice() takes each version of the range once, and prereleases only where the range names them', async t => {
  t.same(tagChoice({ semver: '>=1.27 <2' })(TAGS), ['1.27.0', '1.27.3', '1.27.10'])
  t.same(tagChoice({ semver: '>=1.27 <2', newest: 1 })(TAGS), ['1.27.10'])
  t.same(tagChoice({ semver: '>=1.28.0-0' })(TAGS), ['1.28.0-rc.1'])
  t.same(tagChoice({ newest: 2 })(TAGS), ['1.27.10', '1.28.0-rc.1'])
  t.same(tagChoice({ semver: '~1.26' })(TAGS), ['v1.26.0'])
})

t.test('tagChoice() finds expressions anywhere, and reads the version from the group of that name', async t => {
  t.same(tagChoice({ match: 'alpine' })(TAGS), ['1.26.2-alpine', '1.27.3-alpine'])
  t.same(tagChoice({ match: '^e' })(TAGS), ['edge'])
  t.same(tagChoice({ match: '^(?<version>.+)-alpine$', semver: '>=1.27' })(TAGS), ['1.27.3-alpine'])
  t.same(tagChoice({ match: '^(?<version>.+)-alpine$', newest: 1 })(TAGS), ['1.27.3-alpine'])
})

t.test('tagChoice() refuses rules that make no sense, and stops an expression that tries for ever', async t => {
  for (const rule of [{ semver: 'new' }, { match: '(' }, { newest: 0 }, { newest: 1.5 }, { newest: Number.NaN }]) {
    t.throws(() => tagChoice(rule), { code: 'INVALID_ARGUMENT' }, JSON.stringify(rule))
  }
  const start = Date.now()
  t.throws(() => tagChoice({ match: '^(a+)+$' })([`${'a'.repeat(100)}!`]), {
    code: 'INVALID_ARGUMENT',
    message: /took over 2 seconds/,
  })
  t.ok(Date.now() - start < 20_000)
})

t.test('nearestTags() names what comes closest', async t => {
  t.same(nearestTags({ semver: '>=1.26.5 <1.27' }, TAGS), [
    'v1.26.0',
    '1.26.2-alpine',
    '1.27',
    '1.27.0',
    '1.27.3-alpine',
  ])
  t.same(nearestTags({ semver: '>=9' }, TAGS).at(-1), '1.28.0-rc.1')
  t.same(nearestTags({ match: 'no' }, ['a', 'b']), ['a', 'b'])
})

t.test('parseRepository() and parseDomain() take what a person writes, and no image', async t => {
  t.same(parseRepository('docker://nginx'), { domain: 'docker.io', path: 'library/nginx' })
  t.throws(() => parseRepository('nginx:1'), { code: 'INVALID_ARGUMENT' })
  t.throws(() => parseRepository(`nginx@sha256:${'0'.repeat(64)}`), { code: 'INVALID_ARGUMENT' })
  for (const [text, domain] of [
    ['docker://localhost:5000/', 'localhost:5000'],
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['[::1]:5000', '[::1]:5000'],
  ] as const) {
    t.equal(parseDomain(text), domain)
  }
  for (const text of ['', 'nginx', 'host:5000/x', 'a b'])
    t.throws(() => parseDomain(text), { code: 'INVALID_ARGUMENT' }, text)
})
