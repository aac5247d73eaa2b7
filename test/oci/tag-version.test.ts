import fc from 'fast-check'
import semver from 'semver'
import t from 'tap'
import { compareVersions, parseRange, sameVersion, tagVersion, type TagVersion } from '../../src/oci/tag-version.js'

const version = (text: string): TagVersion => tagVersion(text) ?? (t.fail(`${text} is a version`) as never)

t.test('tagVersion() takes versions of two to four parts, and neither dates nor tags that move', async t => {
  for (const text of ['1.27', 'v1.27', '1.27.3', '10.0.20348.169', '2.0.0-rc.1', '24.04', '1.2.3-alpine', '1.2.3-01'])
    t.ok(tagVersion(text), text)
  for (const text of [
    'latest',
    '16',
    'v2',
    '20240315',
    '1.2.3.4.5',
    '1.',
    '1.2.3-',
    '1.2.3-a..b',
    '1.2.3_a',
    'sha-1.2.3',
    '1.99999999999999999999',
  ]) {
    t.equal(tagVersion(text), undefined, text)
  }
  t.same(version('24.04').numbers, [24, 4, 0, 0])
})

t.test(
  'compareVersions() compares numbers as numbers, prereleases before releases, and puts last what says most',
  async t => {
    const order = [
      '1.2.9',
      '1.2.10-rc.2',
      '1.2.10-rc.10',
      '1.10',
      'v1.10.0',
      '1.10.0',
      '10.0.20348.169',
      '10.0.20348.1000',
      '10.0.20348.1001',
    ]
    t.same(
      order
        .toReversed()
        .map(version)
        .sort(compareVersions)
        .map(({ tag }) => tag),
      order,
    )
    t.ok(sameVersion(version('1.10'), version('v1.10.0')))
    t.notOk(sameVersion(version('1.10.0'), version('1.10.0-rc.1')))
  },
)

t.test("parseRange() is npm's, for all that npm has versions for", async () => {
  const number = fc.nat({ max: 12 })
  const release = fc.tuple(number, number, number).map(parts => parts.join('.'))
  const prerelease = fc.constantFrom('', '-rc.1', '-alpine', '-0')
  const simple = fc
    .tuple(fc.constantFrom('', '>', '>=', '<', '<=', '~', '^', '='), release, prerelease)
    .map(parts => parts.join(''))
  const loose = fc
    .tuple(fc.constantFrom('', '~', '^', '>='), number, fc.constantFrom('', '.x', '.4', '.4.x'))
    .map(parts => parts.join(''))
  const hyphen = fc.tuple(release, release).map(([a, b]) => `${a} - ${b}`)
  const all = fc.oneof(simple, loose, hyphen)
  const range = fc
    .tuple(all, fc.constantFrom(' ', ' || '), all)
    .map(([a, between, b]) => (/ - /.test(a + b) ? a : `${a}${between}${b}`))
  fc.assert(
    fc.property(range, release, prerelease, (text, base, rest) => {
      return parseRange(text)(version(`${base}${rest}`)) === semver.satisfies(`${base}${rest}`, text)
    }),
    { numRuns: 3000 },
  )
})

t.test('parseRange() does with four parts what it does with three of which the last are as large', async t => {
  const part = fc.nat({ max: 3 })
  const four = fc.tuple(part, part, part, part)
  const operators: Readonly<Record<string, (order: number) => boolean>> = {
    '>': o => o > 0,
    '>=': o => o >= 0,
    '<': o => o < 0,
    '<=': o => o <= 0,
    '': o => o === 0,
    '=': o => o === 0,
  }
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(operators)), four, four, (operator, a, b) => {
      const order = a.map((number, n) => number - (b[n] ?? 0)).find(difference => difference !== 0) ?? 0
      return parseRange(`${operator}${b.join('.')}`)(version(a.join('.'))) === operators[operator]?.(order)
    }),
    { numRuns: 3000 },
  )
  const windows = parseRange('>=10.0.20348.169 <10.0.20348.1000')
  t.same(
    ['10.0.20348.168', '10.0.20348.169', '10.0.20348.999', '10.0.20348.1000', '10.0.20348.169-amd64']
      .map(version)
      .filter(windows)
      .map(({ tag }) => tag),
    ['10.0.20348.169', '10.0.20348.999'],
  )
  const any = parseRange('10.0.20348.x')
  t.same(
    ['10.0.20347.9', '10.0.20348', '10.0.20348.9999', '10.0.20349.0']
      .map(version)
      .filter(any)
      .map(({ tag }) => tag),
    ['10.0.20348', '10.0.20348.9999'],
  )
  t.ok(parseRange('>=10.0.17763')(version('10.0.20348.169')), 'three parts bound four')
  t.notOk(parseRange('<10.0.20348')(version('10.0.20348.1')))
})

t.test('parseRange() refuses what is not a range', async t => {
  for (const text of ['', 'newest', '>=', '1.2.3.4.5', '>=1.2.3.9999999'])
    t.throws(() => parseRange(text), { code: 'INVALID_ARGUMENT' }, JSON.stringify(text))
})
