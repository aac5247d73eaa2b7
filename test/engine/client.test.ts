import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Bytes } from '../../src/blob/blob-store.js'
import { EngineClient } from '../../src/engine/client.js'
import { findEngineEndpoint } from '../../src/engine/endpoint.js'
import { readStore } from '../../src/engine/store.js'
import { StowageError } from '../../src/errors.js'
import { startFakeEngine } from '../support/fake-engine.js'

async function clientOf(host: string): Promise<EngineClient> {
  const client = new EngineClient(await findEngineEndpoint({ host, env: {} }))
  t.teardown(() => client[Symbol.dispose]())
  return client
}

/** A short path: the system cuts that of a socket off at 107 bytes. */
function socketFor(t: Pick<Test, 'teardown'>): string {
  const directory = mkdtempSync(join(tmpdir(), 'stowage-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'engine.sock')
}

async function drain(bytes: Bytes): Promise<number> {
  let size = 0
  for await (const piece of bytes) size += piece.length
  return size
}

const engine = await startFakeEngine(({ path }) => {
  switch (path.split('?')[0]) {
    case '/ok':
      return { body: { fine: true } }
    case '/conflict':
      return { status: 409, body: { message: 'it is in use' } }
    case '/old':
      return { status: 400, body: 'client version 1.12 is too old' }
    case '/cut':
      return { body: 'half', cut: true }
    case '/lines':
      return { body: '{"stream":"one\\n"}\r\n\r\n{"status":"ü"}' }
    case '/nonsense':
      return { body: '{"stream":"one\\n"}\n<html>' }
    default:
      return undefined
  }
})
t.teardown(() => engine.stop())
const client = await clientOf(engine.host)

t.test('call() gives the JSON of an answer', async t => {
  t.same(await client.call('GET', '/ok'), { fine: true })
  t.same(await client.find('/ok'), { fine: true })
  t.equal(await client.find('/absent'), undefined)
})

t.test("call() tells a refusal in the engine's own words", async t => {
  const conflict = { code: 'ENGINE_REFUSED', message: /DELETE \/conflict: it is in use$/ }
  await t.rejects(client.call('DELETE', '/conflict?force=1'), conflict)
  await t.rejects(client.call('GET', '/old'), { code: 'ENGINE_REFUSED', message: /client version 1\.12 is too old/ })
  await t.rejects(client.call('GET', '/absent'), { code: 'ENGINE_REFUSED', message: /no such image/ })
  await t.rejects(drain(client.download('/absent')), { code: 'ENGINE_REFUSED' })
})

t.test('call() tells where no engine answers, and what to do', async t => {
  const directory = t.testdir()
  const absent = await clientOf(`unix://${join(directory, 'none.sock')}`)
  await t.rejects(absent.call('GET', '/ok'), {
    code: 'ENGINE_UNREACHABLE',
    message: /none\.sock/,
    hint: /--to oci:DIR/,
  })
  const refusing = await clientOf('tcp://127.0.0.1:1')
  await t.rejects(refusing.call('GET', '/ok'), { code: 'ENGINE_UNREACHABLE', message: /tcp:\/\/127\.0\.0\.1:1/ })
  async function* body(): Bytes {
    yield new Uint8Array(10)
  }
  await t.rejects(absent.upload('/images/load', body()), { code: 'ENGINE_UNREACHABLE' })
})

t.test('call() tells what answers but is not an engine', async t => {
  const path = socketFor(t)
  const server = createServer(socket => socket.end('220 mail.example ESMTP\r\n'))
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.teardown(() => server.close())
  await t.rejects((await clientOf(`unix://${path}`)).call('GET', '/ok'), {
    code: 'ENGINE_PROTOCOL',
    message: /engine\.sock/,
  })
})

t.test('download() that ends early is an error', async t => {
  await t.rejects(drain(client.download('/cut')), { code: 'ENGINE_UNREACHABLE', message: /was lost/ })
})

t.test('upload() reads lines of JSON, and names one that is none', async t => {
  async function* body(): Bytes {
    yield new Uint8Array(10)
  }
  t.same(await client.upload('/lines', body()), [{ stream: 'one\n' }, { status: 'ü' }])
  await t.rejects(client.upload('/nonsense', body()), { code: 'ENGINE_PROTOCOL', message: /<html>/ })
  await t.rejects(client.upload('/conflict', body()), { code: 'ENGINE_REFUSED', message: /in use/ })
})

t.test('upload() ends the request properly where its body fails, and throws what the body threw', async t => {
  async function* body(): Bytes {
    yield Buffer.from('the first half')
    throw new StowageError('DIGEST_MISMATCH', 'the second is wrong')
  }
  await t.rejects(client.upload('/lines?failing', body()), { code: 'DIGEST_MISMATCH' })
  const request = engine.requests.find(({ path }) => path === '/lines?failing')
  t.equal(request?.body.toString(), 'the first half', 'the engine saw a whole request')
})

t.test('upload() ends the request properly when it is aborted', async t => {
  const abort = new AbortController()
  async function* body(): Bytes {
    yield Buffer.from('a piece')
    abort.abort()
    yield Buffer.from('another')
  }
  await t.rejects(client.upload('/lines?aborted', body(), { signal: abort.signal }), { code: 'ABORTED' })
  const request = engine.requests.find(({ path }) => path === '/lines?aborted')
  t.equal(request?.body.toString(), 'a piece')
  await t.rejects(client.call('GET', '/ok', { signal: abort.signal }), { code: 'ABORTED' })
})

t.test('upload() stops sending where the engine has answered', async t => {
  const path = socketFor(t)
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', () => socket.write('HTTP/1.1 500 No\r\nContent-Length: 18\r\n\r\n{"message":"full"}'))
    socket.resume()
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  t.teardown(() => server.close())
  async function* endless(): Bytes {
    for (;;) yield new Uint8Array(65536)
  }
  const hasty = await clientOf(`unix://${path}`)
  await t.rejects(hasty.upload('/load', endless()), { code: 'ENGINE_REFUSED', message: /full/ })
})

t.test('readStore() does not wait for ever for what never answers', async t => {
  const path = socketFor(t)
  const server = createServer(() => {}).listen(path)
  t.teardown(() => server.close())
  const client = await clientOf(`unix://${path}`)
  const waiting = readStore(client, { patience: 50 })
  await t.rejects(waiting, {
    code: 'ENGINE_UNREACHABLE',
    message: /did not answer within 0\.05 s/,
    hint: /docker version/,
  })
  await t.rejects(readStore(client, { signal: AbortSignal.timeout(50) }), { code: 'ABORTED' })
})
