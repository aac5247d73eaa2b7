import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { openEngineDestination } from '../../src/transport/engine/destination.js'
import { sharedLayers } from '../../src/engine/inventory.js'
import { checkAnswer } from '../../src/engine/proof.js'
import { parseReference } from '../../src/oci/reference.js'
import { type FakeAnswer, type FakeRequest, fakeStore, startFakeEngine } from '../support/fake-engine.js'
import { hostPlatform, layeredImage } from '../support/images.js'

const image = await layeredImage(2)
const { os: Os, architecture: Architecture } = hostPlatform()
const whole = {
  Id: image.root.digest,
  Os,
  Architecture,
  RootFS: { Layers: image.diffIds },
  Manifests: [{ ID: image.root.digest, Available: true }],
}

/** An engine with containerd's store that answers a load with `lines`, and then tells `view` of the temporary name. */
async function load(
  view: object | undefined,
  options: { lines?: string; listed?: boolean; tag?: number; before?: string } = {},
) {
  const { lines = '{"stream":"Loaded image"}\n', listed = true, tag = 201, before } = options
  let loaded = false
  let app = before // the ID that lab/app:1 stands for
  const engine = await startFakeEngine(
    fakeStore('containerd'),
    ({ method, path }: FakeRequest): FakeAnswer | undefined => {
      if (method === 'POST' && path.startsWith('/images/load')) {
        loaded = true
        return { body: lines }
      }
      if (path === '/images/json') return { body: loaded && listed ? [{ Id: image.root.digest, RepoTags: [] }] : [] }
      if (method === 'GET' && path.includes(':stowage-') && loaded && view) return { body: view }
      if (method === 'GET' && path.includes('/lab/app:1/json') && app) return { body: { Id: app } }
      if (method === 'POST' && path.includes('/tag?')) {
        if (path.includes('broken')) return { status: tag }
        app = image.root.digest
        return { status: 201 }
      }
      return method === 'DELETE' ? { body: [] } : undefined
    },
  )
  const destination = await openEngineDestination({ host: engine.host })
  const names = ['lab/app:1', 'lab/broken:2'].map(parseReference)
  const outcome = await destination.write(await readImage(image.blobs, image.root), image.blobs, names).then(
    written => written,
    (error: unknown) => error,
  )
  await destination[Symbol.asyncDispose]()
  await engine.stop()
  const calls = engine.requests.map(
    ({ method, path }) => `${method} ${path.replace(/stowage(?:-[0-9a-f]+){6}/g, 'TEMPORARY')}`,
  )
  return { outcome, changes: calls.filter(call => !call.startsWith('GET ') && !call.includes('/load?')) }
}

const tagged = (name: string) => `POST /images/docker.io/lab/app:TEMPORARY/tag?repo=docker.io%2Flab%2F${name}`
const removed = 'DELETE /images/docker.io/lab/app:TEMPORARY?noprune=1'

t.test("write() gives the names only after the engine's own view agrees", async t => {
  const { outcome, changes } = await load(whole)
  t.match(outcome, { id: image.root.digest })
  t.same(changes, [`${tagged('app')}&tag=1`, `${tagged('broken')}&tag=2`, removed])
})

t.test("write() says what differs in the engine's view, removes it and moves no name", async t => {
  const other = `sha256:${'1'.repeat(64)}`
  const views: readonly (readonly [object, RegExp])[] = [
    [{ ...whole, Id: other }, /expected the ID sha256:.* but the engine has sha256:1111/],
    [{ ...whole, RootFS: {} }, /expected 2 layers but the engine has 0/],
    [{ ...whole, RootFS: { Layers: [image.diffIds[0], other] } }, /as layer 2 but the engine has sha256:1111/],
    [{ ...whole, Architecture: 's390x' }, /but the engine has linux\/s390x/],
    [{ ...whole, Manifests: [{ ID: image.root.digest, Available: false }] }, /lacks content/],
    [{}, /expected the ID/],
  ]
  for (const [view, message] of views) {
    const { outcome, changes } = await load(view)
    t.match(outcome, { code: 'LOAD_NOT_PROVED', message, hint: /No name was moved/ })
    t.same(changes, [removed])
  }
  t.match(await load(whole, { listed: false }), { outcome: { code: 'LOAD_NOT_PROVED', message: /does not list it/ } })
  const gone = await load(undefined)
  t.match(gone.outcome, { code: 'LOAD_NOT_PROVED', message: /does not have it/ })
  t.same(gone.changes, [], 'what is not there is not removed')
})

t.test('write() does not believe a load that tells of an error with status 200', async t => {
  for (const lines of [
    '{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}\n',
    '{"errorDetail":{"message":"unexpected EOF"}}\n',
    '{"stream":"Loaded image: lab/app:1\\n"}\r\n{"stream":"Error unpacking image lab/app:1: unexpected EOF\\n"}\r\n',
  ]) {
    const { outcome, changes } = await load(whole, { lines })
    t.match(outcome, { code: 'ENGINE_REFUSED', message: /unexpected EOF/ })
    t.same(changes, [removed])
  }
  t.match(await load(whole, { lines: 'not JSON' }), { outcome: { code: 'ENGINE_PROTOCOL' }, changes: [removed] })
})

t.test('write() gives all names or none', async t => {
  const { outcome, changes } = await load(whole, { tag: 500 })
  t.match(outcome, { code: 'ENGINE_REFUSED' })
  const both = [`${tagged('app')}&tag=1`, `${tagged('broken')}&tag=2`]
  t.same(changes, [...both, 'DELETE /images/docker.io/lab/app:1?noprune=1', removed], 'a new name goes again')
  const old = `sha256:${'2'.repeat(64)}`
  const again = await load(whole, { tag: 500, before: old })
  const back = `POST /images/${old}/tag?repo=docker.io%2Flab%2Fapp&tag=1`
  t.same(again.changes, [...both, back, removed], 'one that moved goes back')
})

t.test('checkAnswer() lets progress pass', async t => {
  checkAnswer([{ status: 'Loading layer', id: 'a' }, { stream: 'Loaded image: lab/app:1\n' }, {}], 'lab/app:1')
  t.pass()
})

t.test('sharedLayers() counts from the base up, as long as nothing below differs', async t => {
  t.equal(sharedLayers([], ['a', 'b']), 0)
  t.equal(sharedLayers([['a', 'x', 'c'], ['b']], ['a', 'b', 'c']), 1)
  t.equal(sharedLayers([['a'], ['a', 'b', 'd']], ['a', 'b', 'c']), 2)
  t.equal(sharedLayers([['a', 'b', 'c', 'd']], ['a', 'b']), 2)
})
