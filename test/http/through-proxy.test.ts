import { createServer, request } from 'node:http'
import t from 'tap'
import { openRegistry } from '../../src/registry/client.js'
import { startServer } from '../support/registry.js'

t.test('a registry of plain http is asked for through the proxy as http, which needs no tunnel', async t => {
  const registry = await startServer(t, (incoming, response) => {
    t.equal(incoming.headers['proxy-authorization'], undefined, 'the password of the proxy is for the proxy')
    response.end(JSON.stringify({ tags: ['1'] }))
  })
  const asked: string[] = []
  const shown: (string | undefined)[] = []
  const proxy = createServer((incoming, response) => {
    asked.push(`${incoming.method} ${incoming.url}`)
    shown.push(incoming.headers['proxy-authorization'])
    const { pathname, search } = new URL(incoming.url ?? '')
    request(`http://${registry}${pathname}${search}`, answer => answer.pipe(response)).end()
  })
  proxy.on('connect', (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'))
  const env = { HTTP_PROXY: `http://ada:secret@${await startServer(t, proxy)}` }
  await using client = await openRegistry('registry.example', {
    env,
    home: '/nonexistent',
    insecure: ['registry.example'],
    backoff: 1,
    retries: 1,
  })
  const tags: string[] = []
  for await (const tag of client.tags('team/shop')) tags.push(tag)
  t.same(tags, ['1'])
  t.same(asked, ['GET http://registry.example/v2/team/shop/tags/list?n=1000'])
  t.same(shown, [`Basic ${Buffer.from('ada:secret').toString('base64')}`])
  await using secure = await openRegistry('registry.example', {
    env: { HTTPS_PROXY: env.HTTP_PROXY },
    home: '/nonexistent',
    backoff: 1,
    retries: 1,
  })
  const error = await secure.manifest('team/shop', '1').catch((error: unknown) => error)
  t.match(error, { code: 'REGISTRY_UNREACHABLE' })
  t.notMatch(`${String(error)} ${JSON.stringify(error)}`, /secret/)
})
