import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { incompressible } from '../../fixtures/make/bytes.js'
import { digestOf } from '../../src/oci/digest.js'
import { filledWim, serveWeb, testHost } from '../support/base-images.js'
import { mount } from '../support/medium.js'
import { readFileSync } from 'node:fs'

const wim = filledWim(t, { 'Windows/big': incompressible('big', 30_000_000) }, ['--compress=none'])

t.test('install onto a medium that is too small is NO_SPACE, and leaves it as it was', async t => {
  const medium = await mount(t, 'ext4', 12_000_000)
  const before = await readdir(medium, { recursive: true })
  const host = testHost(t)
  for (const to of [
    `oci:${join(medium, 'store')}`,
    `bundle:${join(medium, 'site')}`,
    `bundle:${join(medium, 'site.tar')}`,
  ]) {
    const { code, stderr } = await host.run(['install', '--wim', wim, '--to', to])
    t.equal(code, 7, `${to}: ${stderr}`)
    t.match(stderr, /space.*\nhint: /, to)
    t.same(await readdir(medium, { recursive: true }), before, to)
  }
  t.same(await readdir(join(host.root, 'tmp')), [])
})

t.test('install asks for room for a download before its first byte', async t => {
  const medium = await mount(t, 'tmpfs', 12_000_000)
  const host = testHost(t, { STOWAGE_STORE: join(medium, 'store') })
  const bytes = readFileSync(wim)
  let fetched = 0
  const address = await serveWeb(t, (request, response) => {
    if (request.url === '/index.json')
      return void response.end(
        JSON.stringify([
          {
            Name: 'NanoServer',
            Version: '10.0.14300.1010',
            SasToken: '/n.wim',
            Size: bytes.length,
            Sha256: digestOf(bytes).slice(7),
          },
        ]),
      )
    fetched += 1
    response.end(bytes)
  })
  t.equal((await host.run(['source', 'add', 'lab', `${address}/index.json`, '--trusted'])).code, 0)
  const before = host.listing()
  t.match(await host.run(['install', 'NanoServer']), { code: 7, stderr: /bytes\) free, but .* is needed/ })
  t.same(host.listing(), before)
  t.same(await readdir(medium), [])
  t.equal(fetched, 0)
})
