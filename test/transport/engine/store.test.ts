import t, { type Test } from 'tap'
import { uninstallImages } from '../../../src/base-image/uninstall.js'
import { commitContainer } from '../../../src/verbs/commit.js'
import { imageHistory } from '../../../src/verbs/history.js'
import { listImages } from '../../../src/verbs/images.js'
import { removeImages } from '../../../src/verbs/remove.js'
import { type FakeAnswer, type FakeRequest, fakeStore, startFakeEngine } from '../../support/fake-engine.js'

// A fake engine stands in for what a real one does only when it breaks, or when somebody else is faster.

const [ONE, TWO] = ['1', '2'].map(digit => `sha256:${digit.repeat(64)}`) as [string, string]
const list = [
  { Id: ONE, RepoTags: ['one:1', 'one:2'], Created: 1_500_000_000, Size: 10 },
  { Id: TWO, RepoTags: null, RepoDigests: ['two@' + TWO], Created: 1_400_000_000, Size: 5 },
]
const inspected = (id: string): object => ({
  Id: id,
  Os: 'linux',
  Architecture: 'amd64',
  Created: '0001-01-01T00:00:00Z',
  RootFS: { Layers: [`sha256:${'a'.repeat(64)}`] },
})

function images({ path, method }: FakeRequest): FakeAnswer | undefined {
  if (path.startsWith('/images/json')) return { body: list }
  if (path === '/containers/json?all=1') return { body: [] }
  const id = /^\/images\/(sha256:\w+)\/json/.exec(path)?.[1]
  return method === 'GET' && id !== undefined ? { body: inspected(id) } : undefined
}

async function engineWith(
  t: Test,
  kind: 'graphdriver' | 'podman',
  ...answers: readonly ((request: FakeRequest) => FakeAnswer | undefined)[]
) {
  const engine = await startFakeEngine(...answers, fakeStore(kind), images)
  t.teardown(() => engine.stop())
  return { engine, options: { store: 'docker-daemon:', host: engine.host } }
}

t.test('an engine that goes away in the middle is said to be gone, and the commands end', async t => {
  for (const cutAt of ['/images/json', '/images/sha256', '/containers', '/version']) {
    const { options } = await engineWith(t, 'graphdriver', ({ path }) =>
      path.startsWith(cutAt) ? { body: '[', cut: true } : undefined,
    )
    if (cutAt !== '/containers') await t.rejects(listImages(options), { code: 'ENGINE_UNREACHABLE' }, cutAt)
    const removing = removeImages([TWO], options)
    if (cutAt === '/version') await t.rejects(removing, { code: 'ENGINE_UNREACHABLE' })
    else t.match(await removing, { images: [{ error: { code: 'ENGINE_UNREACHABLE' } }] }, cutAt)
  }
})

t.test("what is none of an engine's answers is said so", async t => {
  for (const body of [{}, 'no JSON', [1], [{ Id: ONE, RepoTags: 7 }]]) {
    const { options } = await engineWith(t, 'graphdriver', ({ path }) =>
      path.startsWith('/images/json') ? { body } : undefined,
    )
    const found = await listImages(options).then(
      ({ images }) => images.length,
      (error: { code: string }) => error.code,
    )
    t.ok(found === 'ENGINE_PROTOCOL' || found === 1 || found === 0, `${JSON.stringify(body)}: ${found}`)
  }
})

t.test(
  'an image that is removed while it is listed is not listed; of one that the year 1 made, the listing says when',
  async t => {
    const { options } = await engineWith(t, 'graphdriver', ({ path }) =>
      path === `/images/${TWO}/json` ? { status: 404, body: { message: 'gone' } } : undefined,
    )
    const { images: found } = await listImages(options)
    t.same(
      found.map(({ id }) => id),
      [ONE],
    )
    t.equal(found[0]?.created, '2017-07-14T02:40:00.000Z')
  },
)

t.test("removeImages() gives the engine's words, and gives back the names it took", async t => {
  const refuse = ({ method, path }: FakeRequest): FakeAnswer | undefined => {
    if (method === 'POST') return { status: 201 }
    if (method !== 'DELETE') return undefined
    return path.includes(ONE)
      ? { status: 409, body: { message: 'conflict: (cannot be forced)' } }
      : { body: [{ Untagged: 'one:2' }] }
  }
  const { engine, options } = await engineWith(t, 'graphdriver', refuse)
  const {
    images: [image],
  } = await removeImages([ONE], { ...options, force: true })
  t.match(image, { removed: [], error: { code: 'ENGINE_REFUSED', message: /conflict: \(cannot be forced\)/ } })
  t.same(
    engine.requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`),
    [
      'DELETE /images/docker.io/library/one:2?force=0&noprune=0',
      `DELETE /images/${ONE}?force=1&noprune=0`,
      `POST /images/${ONE}/tag?repo=docker.io%2Flibrary%2Fone&tag=2`,
    ],
  )
})

t.test('removeImages() does not let Podman remove containers, and asks for no pruning where told not to', async t => {
  const used = ({ path }: FakeRequest): FakeAnswer | undefined =>
    path.startsWith('/containers')
      ? { body: [{ Id: 'c'.repeat(64), ImageID: TWO, Names: ['/idle'], State: 'exited' }] }
      : undefined
  const podman = await engineWith(t, 'podman', used)
  t.match(await removeImages([TWO], { ...podman.options, force: true }), {
    images: [{ error: { code: 'IMAGE_IN_USE', message: /would remove the containers as well: idle/ } }],
  })
  t.notOk(podman.engine.requests.some(({ method }) => method === 'DELETE'))
  const docker = await engineWith(t, 'graphdriver', ({ method }) =>
    method === 'DELETE' ? { body: [{ Deleted: TWO }, {}] } : undefined,
  )
  t.match(await removeImages(['two@' + TWO], { ...docker.options, prune: false }), {
    images: [{ removed: [{ deleted: TWO }], error: undefined }],
  })
  t.equal(docker.engine.requests.at(-1)?.path, `/images/${TWO}?force=0&noprune=1`)
})

t.test('digits that several IDs begin with, and words that are none, are said to be so', async t => {
  const { options } = await engineWith(t, 'graphdriver')
  await t.rejects(imageHistory('sha256:', options), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(imageHistory('', options), { code: 'IMAGE_NOT_FOUND' })
  t.match(await removeImages(['3', 'one:9', `two@${ONE}`], options), {
    images: [1, 2, 3].map(() => ({ error: { code: 'IMAGE_NOT_FOUND' } })),
  })
  await t.rejects(removeImages([], options), { code: 'INVALID_ARGUMENT' })
  await t.rejects(uninstallImages([], options), { code: 'INVALID_ARGUMENT' })
})

t.test('commitContainer() sends what it was given, quoted', async t => {
  const { engine, options } = await engineWith(t, 'graphdriver', ({ method, path }) => {
    if (path === '/containers/a%2Fb/json') return { body: {} }
    return method === 'POST' ? { status: 201, body: path.includes('silent') ? {} : { Id: ONE } } : undefined
  })
  t.same(
    await commitContainer('a/b', undefined, {
      ...options,
      changes: ['CMD x'],
      pause: false,
      identity: { name: 'Shop', publisher: 'a "$b" \\', version: '1' },
    }),
    {
      store: 'docker-daemon:',
      id: ONE,
      name: 'docker.io/library/shop:1',
    },
  )
  const query = new URLSearchParams(engine.requests.at(-1)?.path.split('?')[1])
  t.same(query.getAll('changes'), [
    'LABEL org.opencontainers.image.title="Shop"',
    'LABEL org.opencontainers.image.vendor="a \\"\\$b\\" \\\\"',
    'LABEL org.opencontainers.image.version="1"',
    'CMD x',
  ])
  t.match(Object.fromEntries(query), { container: 'a/b', repo: 'docker.io/library/shop', tag: '1', pause: '0' })
  await t.rejects(commitContainer('a/b', undefined, { ...options, author: 'silent' }), { code: 'ENGINE_PROTOCOL' })
})
