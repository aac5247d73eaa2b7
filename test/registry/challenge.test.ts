import t from 'tap'
import { parseChallenges } from '../../src/registry/challenge.js'

const CASES: readonly (readonly [
  header: string,
  ...expected: readonly [scheme: string, parameters: Record<string, string>][],
])[] = [
  ['Basic realm="Registry Realm"', ['basic', { realm: 'Registry Realm' }]],
  [
    'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
    ['bearer', { realm: 'https://auth.example/token', service: 'registry.example', scope: 'repository:a/b:pull,push' }],
  ],
  ['Bearer realm = "a \\"b\\" \\\\", Service=plain', ['bearer', { realm: 'a "b" \\', service: 'plain' }]],
  [
    'Negotiate, Basic realm="x", bearer realm="y"',
    ['negotiate', {}],
    ['basic', { realm: 'x' }],
    ['bearer', { realm: 'y' }],
  ],
  [',, ,Basic realm=""', ['basic', { realm: '' }]],
  [''],
  ['=== "" "'],
]

t.test('challenges of every form are read', async t => {
  for (const [header, ...expected] of CASES) {
    t.same(
      parseChallenges(header),
      expected.map(([scheme, parameters]) => ({ scheme, parameters })),
      header,
    )
  }
  t.same(parseChallenges(undefined), [])
  t.equal(parseChallenges(['Basic realm="a"', 'Bearer realm="b"']).length, 2)
})
