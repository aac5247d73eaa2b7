import t, { type Test } from 'tap'
import { searchRepositories } from '../../src/registry/search.js'
import { stowage } from '../support/command.js'
import { layeredImage } from '../support/images.js'
import { pushWithSkopeo, startRegistry, startServer } from '../support/registry.js'

const RESULTS = [
  {
    name: 'nginx',
    description: 'Official build of Nginx, and so much more that it does not fit into a column',
    star_count: 20000,
    is_official: true,
    is_automated: false,
  },
  { name: 'bitnami/nginx', description: 'By others', star_count: 200, is_official: false },
  { name: 'me/nginx', description: null, star_count: 0 },
  { description: 'without a name' },
  7,
]

/** Docker Hub cannot be reached from the tests: a server of the test's own answers as its search does. */
async function startHub(
  t: Test,
  status = 200,
  body: unknown = { num_results: 3, results: RESULTS },
): Promise<{ domain: string; requests: string[] }> {
  const requests: string[] = []
  const domain = await startServer(t, (request, response) => {
    requests.push(request.url ?? '')
    response.writeHead(request.url?.startsWith('/v1/search') ? status : 404, { 'content-type': 'application/json' })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  return { domain, requests }
}

t.test('searchRepositories() asks Docker Hub (a stand-in: the real one is out of reach here), and chooses', async t => {
  const { domain: hub, requests } = await startHub(t)
  const found = await searchRepositories('nginx & more', { hub, limit: 10 })
  t.same(found.repositories, [
    {
      name: 'nginx',
      description: RESULTS[0] && (RESULTS[0] as { description: string }).description,
      stars: 20000,
      official: true,
    },
    { name: 'bitnami/nginx', description: 'By others', stars: 200, official: false },
    { name: 'me/nginx', description: '', stars: 0, official: false },
  ])
  t.equal(requests.at(-1), '/v1/search?q=nginx+%26+more&n=10')
  const names = async (options: object) =>
    (await searchRepositories('nginx', { hub, ...options })).repositories.map(({ name }) => name)
  t.same(await names({ official: true }), ['nginx'])
  t.same(await names({ official: false, stars: 100 }), ['bitnami/nginx'])
  t.same(await names({ limit: 1 }), ['nginx'])
  for (const limit of [0, 101, 1.5]) await t.rejects(names({ limit }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(searchRepositories(' ', { hub }), { code: 'INVALID_ARGUMENT' })
})

t.test('searchRepositories() says what a hub that does not search answers', async t => {
  const refusing = await startHub(t, 403, { errors: [] })
  await t.rejects(searchRepositories('x', { hub: refusing.domain, retries: 0 }), { code: 'UNAUTHORIZED' })
  const broken = await startHub(t, 418, 'no')
  await t.rejects(searchRepositories('x', { hub: broken.domain, retries: 0 }), {
    code: 'REGISTRY_REFUSED',
    message: /418/,
  })
  const none = await startHub(t, 404, '')
  await t.rejects(searchRepositories('x', { hub: none.domain }), { code: 'REGISTRY_REFUSED' })
})

t.test('search - of a registry that searches, as docker shows it', async t => {
  const { domain } = await startHub(t)
  const { stdout, stderr, code } = await stowage(['search', `${domain}/nginx`])
  t.equal(code, 0, stderr)
  t.match(
    stdout,
    /^NAME +DESCRIPTION +STARS +OFFICIAL\n127\.0\.0\.1:\d+\/nginx +Official build of Nginx, and so much more th… +20000 +\[OK\]\n/,
  )
  t.match((await stowage(['search', `${domain}/nginx`, '--no-trunc'])).stdout, /does not fit into a column/)
  t.match(
    JSON.parse(
      (await stowage(['search', `${domain}/nginx`, '--json', '--filter', 'stars=100', '--filter', 'is-official=false']))
        .stdout,
    ),
    {
      schema: 'stowage.search/v1',
      registry: domain,
      from: 'search',
      repositories: [{ name: `${domain}/bitnami/nginx`, stars: 200 }],
    },
  )
  t.equal((await stowage(['search', 'x', '--filter', 'good=true'])).code, 2)
})

t.test('search - of a registry without a search goes through its catalog, and says so', async t => {
  const registry = await startRegistry(t)
  for (const name of ['team/shop:1', 'team/monitor:1', 'shopping:1'])
    await pushWithSkopeo(t, registry, name, await layeredImage(1, { size: 10 }))
  const { stdout, stderr, code } = await stowage(['search', `${registry.domain}/shop`, '--json'])
  t.equal(code, 0, stderr)
  t.match(stderr, /has no search: listing the repositories/)
  t.match(JSON.parse(stdout), {
    from: 'catalog',
    repositories: [{ name: `${registry.domain}/shopping` }, { name: `${registry.domain}/team/shop` }],
  })
})
