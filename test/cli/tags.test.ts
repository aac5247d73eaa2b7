import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { layeredImage } from '../support/images.js'
import { pushWithSkopeo, startFaultyProxy, startRegistry, type TestRegistry } from '../support/registry.js'

t.test('tags - lists what skopeo lists, in the order of versions, and some by rule', async t => {
  const registry = await startRegistry(t)
  const image = await layeredImage(1, { size: 100 })
  await pushWithSkopeo(t, registry, 'team/shop:1.9.0', image)
  giveTags(registry, 'team/shop', ['1.10.0', '1.10', 'latest', '2.0.0-rc.1'])
  const name = `${registry.domain}/team/shop`
  const found = await stowage(['tags', `docker://${name}`])
  t.equal(found.code, 0, found.stderr)
  t.equal(found.stdout, 'latest\n1.9.0\n1.10\n1.10.0\n2.0.0-rc.1\n')
  const theirs = JSON.parse(
    execFileSync('skopeo', ['list-tags', '--tls-verify=false', `docker://${name}`], { encoding: 'utf8' }),
  ) as { Tags: string[] }
  t.same(found.stdout.trim().split('\n').sort(), theirs.Tags.sort())
  const json = await stowage(['tags', name, '--semver', '^1', '--newest', '1', '--json'])
  t.same(JSON.parse(json.stdout), { schema: 'stowage.tags/v1', repository: name, tags: ['1.10.0'] })
  t.equal((await stowage(['ls', name, '--match', '^l'])).stdout, 'latest\n')
  t.equal((await stowage(['tags', `${registry.domain}/team/none`])).code, 3)
  t.equal((await stowage(['tags', `${name}:1.10`])).code, 2)
  const catalog = await stowage(['catalog', registry.domain, '--json'])
  t.same(JSON.parse(catalog.stdout), {
    schema: 'stowage.repositories/v1',
    registry: registry.domain,
    repositories: ['team/shop'],
  })
})

t.test('tags - 10,000 of them, in pages', async t => {
  const registry = await startRegistry(t)
  await pushWithSkopeo(t, registry, 'team/many:0.0.0', await layeredImage(1, { size: 100 }))
  const all = Array.from({ length: 10_000 }, (_, n) => `${Math.floor(n / 100)}.${n % 100}.0`)
  giveTags(registry, 'team/many', all)
  // Debian's registry gives all at once, so the pages are made on the way
  const pages = await startFaultyProxy(t, registry, (request, response) => {
    const url = new URL(request.url ?? '', 'http://registry')
    if (url.pathname !== '/v2/team/many/tags/list') return undefined
    const at = Number(url.searchParams.get('last') ?? 0)
    const next = at + Number(url.searchParams.get('n'))
    const link = next < all.length ? { link: `</v2/team/many/tags/list?n=${next - at}&last=${next}>; rel="next"` } : {}
    response.writeHead(200, { 'content-type': 'application/json', ...link })
    response.end(JSON.stringify({ name: 'team/many', tags: all.slice(at, next) }))
    return 'answered'
  })
  for (const domain of [registry.domain, pages.domain]) {
    const { stdout, stderr, code } = await stowage(['tags', `${domain}/team/many`])
    t.equal(code, 0, stderr)
    t.same(stdout.trim().split('\n'), all, domain)
  }
  t.equal(pages.requests.filter(({ line }) => line.includes('/tags/list')).length, 10)
})

/** Gives the one image of a repository more tags, where the registry keeps them: a push of each would take minutes. */
function giveTags(registry: TestRegistry, repository: string, tags: readonly string[]): void {
  const digest = `sha256:${'0'.repeat(64)}` as const
  const root = registry.blobFile(digest).split('/blobs/')[0] ?? ''
  for (const tag of tags) {
    const link = join(root, 'repositories', repository, '_manifests', 'tags', tag, 'current', 'link')
    mkdirSync(dirname(link), { recursive: true })
    writeFileSync(link, digest)
  }
}
