import { execFileSync } from 'node:child_process'
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
