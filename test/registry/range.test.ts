/** A registry that cannot continue a blob: it is read from the start again, at once, and no partial file stands in the way. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { pack } from '../../src/verbs/pack.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { layeredImage } from '../support/images.js'
import { type Passing, pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'

const SIZE = 6_000_000
const image = await layeredImage(1, { size: SIZE })
const layer = image.layers[0]!
const registry = await startRegistry(t)
await pushWithSkopeo(t, registry, 'team/shop:1', image)

const answers: Readonly<Record<string, Passing>> = {
  'is refused with 416': { status: 416 },
  'is refused with 500': { status: 500 },
  'is refused with 501': { status: 501 },
  'is ignored': { status: 200 },
  'is another one': { headers: { 'content-range': `bytes 7-${layer.size - 1}/${layer.size}` } },
}

for (const [name, ranged] of Object.entries(answers)) {
  t.test(`pack - a range ${name}`, async t => {
    let cut = false
    const proxy = await startFaultyProxy(t, registry, (request, answer) => {
      if (!request.url?.endsWith(layer.digest) || request.method !== 'GET') return {}
      const { range } = request.headers
      if (range !== undefined && ranged.status === 200) {
        delete request.headers.range // as a registry that does not know it
        return {}
      }
      if (range !== undefined && ranged.status) {
        answer.writeHead(ranged.status, { 'content-length': 0 }).end()
        return 'answered'
      }
      if (range !== undefined) return ranged
      if (cut) return {}
      cut = true
      return { cutAfter: SIZE / 2 }
    })
    const bundle = join(t.testdir(), 'bundle')
    await pack([`docker://${proxy.domain}/team/shop:1`], bundle)
    t.ok(cut)
    t.ok(
      proxy.requests.some(({ range }) => range?.endsWith(`-${layer.size - 1}`)),
      'a range was asked for, with its end',
    )
    t.same((await verifyBundle(bundle)).findings, [])
    execFileSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: bundle })
  })
}
