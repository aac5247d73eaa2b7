import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stowage } from '../support/command.js'
import { multiPlatformImage, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'

t.test('copy - takes an image to a registry, which skopeo reads, and back from it, digests and all', async t => {
  const cwd = t.testdir()
  const { domain } = await startRegistry(t)
  const image = await multiPlatformImage()
  await writeLayout(join(cwd, 'from'), { 'shop:1': image })
  const there = await stowage(['copy', 'oci:from', `docker://${domain}/team/shop:2.3`], { cwd })
  t.equal(there.code, 0, there.stderr)
  const words = ['copy', '--all', '--preserve-digests', '--src-tls-verify=false', `docker://${domain}/team/shop:2.3`]
  execFileSync('skopeo', [...words, `oci:${join(cwd, 'theirs')}:2.3`], { stdio: 'ignore' })
  const back = await stowage(['pack', `${domain}/team/shop:2.3`, '-o', 'bundle'], { cwd })
  t.equal(back.code, 0, back.stderr)
  t.equal((await stowage(['verify', 'bundle'], { cwd })).code, 0)
  const blobs = (directory: string) => readdirSync(join(cwd, directory, 'blobs', 'sha256')).sort()
  t.same(blobs('theirs'), blobs('from'))
  t.same(blobs('bundle'), blobs('from'))
  const { images } = JSON.parse(readFileSync(join(cwd, 'bundle', 'bundle.json'), 'utf8')) as {
    images: [{ names: unknown; root: unknown }]
  }
  t.match(images, [{ names: [`${domain}/team/shop:2.3`], root: { digest: image.root.digest } }])
  const again = await stowage(['copy', 'oci:from', `docker://${domain}/other/shop:1`, '--json'], { cwd })
  t.equal(again.code, 0, again.stderr)
})

t.test('copy and load - refuse names that a registry cannot have, and what is not there', async t => {
  const cwd = t.testdir()
  const { domain } = await startRegistry(t)
  await writeLayout(join(cwd, 'from'), { 'shop:1': await multiPlatformImage() })
  await stowage(['pack', 'oci:from', '-o', 'bundle'], { cwd })
  for (const [words, code, message] of [
    [['copy', 'oci:from', `docker://${domain}/shop:1`, '--tag', 'other:1'], 2, /two names were given/],
    [['copy', 'oci:from', `docker://${domain}/shop@sha256:${'0'.repeat(64)}`], 2, /has a digest/],
    [['copy', `docker://${domain}/nothing:1`, 'oci:to'], 3, /has no image .*nothing:1/],
    [['load', 'bundle', '--to', 'docker://'], 2, /is not a location/],
    [['copy', 'docker://nowhere.invalid/shop:1', 'oci:to'], 6, /nowhere\.invalid cannot be reached/],
  ] as const) {
    const found = await stowage(words, { cwd })
    t.equal(found.code, code, `${words.join(' ')}: ${found.stderr}`)
    t.match(found.stderr, message)
  }
})

t.test(
  'load --to docker:// - says where each image is now, as skopeo can read it; a wrong name gets near ones',
  async t => {
    const cwd = t.testdir()
    const { domain } = await startRegistry(t)
    const image = await multiPlatformImage()
    await writeLayout(join(cwd, 'from'), { 'registry.example/team/shop:2.3': image, 'shop:1': image })
    await stowage(['pack', 'oci:from', '-o', 'bundle'], { cwd })
    const loaded = await stowage(['load', 'bundle', '--to', `docker://${domain}/mirror`], { cwd })
    t.equal(loaded.code, 0, loaded.stderr)
    const names = [...loaded.stdout.matchAll(/127\.0\.0\.1:\d+\/mirror\/[^\s,]+/g)].map(([name]) => name).sort()
    t.same(names, [`${domain}/mirror/library/shop:1`, `${domain}/mirror/team/shop:2.3`])
    for (const name of names) {
      const words = ['inspect', '--raw', '--tls-verify=false', `docker://${name}`]
      const raw = execFileSync('skopeo', words, { encoding: 'buffer' })
      t.equal(createHash('sha256').update(raw).digest('hex'), image.root.digest.slice('sha256:'.length), name)
    }
    const again = await stowage(['load', 'bundle', '--to', `docker://${domain}/mirror`, '--json'], { cwd })
    const { images } = JSON.parse(again.stdout) as {
      readonly images: readonly { readonly loadedAs: readonly string[] }[]
    }
    t.same(images.flatMap(({ loadedAs }) => loadedAs).sort(), names)

    for (const [words, hint] of [
      [['inspect', `docker://${domain}/mirror/team/shpo:2.3`], `Did you mean ${domain}/mirror/team/shop:2.3?`],
      [['pack', `${domain}/mirror/team/shop:2.4`, '-o', 'x'], 'The nearest of its tags: 2.3.'],
      [['pull', `${domain}/mirror/team/shop:2.4`, '--to', 'oci:y'], 'The nearest of its tags: 2.3.'],
      [['tags', `${domain}/mirror/taem/shop`], `Did you mean ${domain}/mirror/team/shop?`],
      [['tags', `${domain}/shop`], `Did you mean ${domain}/mirror/team/shop?`],
      [['inspect', `docker://${domain}/elsewhere/shpo`], `Did you mean ${domain}/mirror/team/shop:latest?`],
      [['inspect', `docker://${domain}/nothing/like/it`], 'Check the name and tag'],
    ] as const) {
      const { code, stderr } = await stowage(words, { cwd })
      t.equal(code, 3, words.join(' '))
      t.match(stderr, hint)
    }
  },
)
