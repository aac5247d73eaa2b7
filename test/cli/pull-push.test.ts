import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeBundle } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { fakeStore, startFakeEngine } from '../support/fake-engine.js'
import { layeredImage, multiPlatformImage, writeLayout } from '../support/images.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'

const digestThere = (place: string): string =>
  execFileSync('skopeo', ['inspect', '--tls-verify=false', '--format', '{{.Digest}}', place], {
    encoding: 'utf8',
  }).trim()

t.test(
  "pull - into a layout, docker's words on stdout, every platform or one; skopeo finds the same digest",
  async t => {
    const cwd = t.testdir()
    const registry = await startRegistry(t)
    const image = await multiPlatformImage()
    await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
    const name = `${registry.domain}/team/shop:2.3`
    const first = await stowage(['pull', name, '--to', 'oci:store'], { cwd })
    t.equal(first.code, 0, first.stderr)
    t.equal(
      first.stdout,
      `2.3: Pulling from team/shop\nDigest: ${image.root.digest}\nStatus: Downloaded newer image for ${name}\n${name}\n`,
    )
    t.equal(digestThere(`oci:${join(cwd, 'store')}:2.3`), image.root.digest)
    const again = await stowage(['pull', name, '--to', 'oci:store'], { cwd })
    t.match(again.stdout, /Status: Image is up to date for /)
    t.equal((await stowage(['pull', '-q', name, '--to', 'oci:store'], { cwd })).stdout, `${name}\n`)
    const one = JSON.parse(
      (await stowage(['pull', name, '--to', 'oci:one', '--platform', 'linux/s390x', '--json'], { cwd })).stdout,
    ) as { images: [{ digest: string; id: string }] }
    t.equal(one.images[0].digest, image.root.digest)
    t.equal(digestThere(`oci:${join(cwd, 'one')}:2.3`), one.images[0].id)
    const digest = await stowage(
      ['pull', `${registry.domain}/team/shop@${image.root.digest}`, '--to', 'oci:bare', '--json'],
      { cwd },
    )
    t.match(
      JSON.parse(digest.stdout),
      { schema: 'stowage.pull/v1', to: 'oci:bare', images: [{ digest: image.root.digest, id: image.root.digest }] },
      digest.stderr,
    )
  },
)

t.test('pull - all tags; what fails is told and the others come', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  for (const tag of ['1.9', '1.10'])
    await pushWithSkopeo(t, registry, `team/shop:${tag}`, await layeredImage(1, { size: 100, seed: tag }))
  const name = `${registry.domain}/team/shop`
  t.match(
    (await stowage(['pull', '-a', '-q', name, '--to', 'oci:store'], { cwd })).stdout,
    `${name}:1.9\n${name}:1.10\n`,
  )
  const half = await stowage(['pull', `${name}:none`, `${name}:1.9`, '--to', 'oci:store'], { cwd })
  t.equal(half.code, 3)
  t.match(half.stderr, /has no image/)
  t.match(half.stdout, /up to date for .*:1\.9/)
  t.equal((await stowage(['pull', '-a', `${name}:1.9`, '--to', 'oci:store'], { cwd })).code, 2)
  t.equal((await stowage(['pull', name, '--to', 'bundle:x'], { cwd })).code, 2)
})

t.test('pull and push - take the default store where no engine answers, and say so', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  const image = await layeredImage(1, { size: 100 })
  await pushWithSkopeo(t, registry, 'team/shop:1', image)
  // A context that leads nowhere, so that an engine of whoever runs the tests is left alone
  const meta = join(cwd, 'contexts', 'meta', createHash('sha256').update('none').digest('hex'))
  mkdirSync(meta, { recursive: true })
  writeFileSync(
    join(meta, 'meta.json'),
    JSON.stringify({ Name: 'none', Endpoints: { docker: { Host: `unix://${join(cwd, 'none.sock')}` } } }),
  )
  writeFileSync(join(cwd, 'config.json'), '{"currentContext": "none"}')
  const env = { STOWAGE_STORE: join(cwd, 'store'), DOCKER_CONFIG: cwd }
  const name = `${registry.domain}/team/shop:1`
  const { stderr, code } = await stowage(['pull', name], { cwd, env })
  t.equal(code, 0, stderr)
  t.match(stderr, /no Docker Engine answers: using oci:/)
  t.equal(digestThere(`oci:${join(cwd, 'store')}:1`), image.root.digest)
  const pushed = await stowage(['push', name], { cwd, env })
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(pushed.stdout, `1: digest: ${image.root.digest} size: ${image.root.size}\n`)
  const asked = await stowage(['pull', name], { cwd, env: { ...env, DOCKER_HOST: 'unix:///nowhere.sock' } })
  t.equal(asked.code, 6, 'an engine that was named must be there')
})

t.test('push - of a layout and of a bundle, tag by tag or all; skopeo finds what was pushed', async t => {
  const cwd = t.testdir()
  const registry = await startRegistry(t)
  const [one, two] = [await multiPlatformImage(), await layeredImage(2, { size: 100 })]
  const name = `${registry.domain}/team/shop`
  await writeLayout(join(cwd, 'layout'), { [`${name}:1`]: one, [`${name}:2`]: two })
  const { stdout, stderr, code } = await stowage(['push', `${name}:1`, '--from', 'oci:layout'], { cwd })
  t.equal(code, 0, stderr)
  t.equal(stdout, `The push refers to repository [${name}]\n1: digest: ${one.root.digest} size: ${one.root.size}\n`)
  t.equal(digestThere(`docker://${name}:1`), one.root.digest)
  await writeBundle(join(cwd, 'bundle'), { [`${name}:3`]: one, [`${name}:4`]: two, 'other:1': two })
  const all = await stowage(['push', '-a', name, '--from', 'bundle:bundle', '--json'], { cwd })
  t.match(
    JSON.parse(all.stdout),
    {
      schema: 'stowage.push/v1',
      from: 'bundle:bundle',
      images: [
        { name: `${name}:3`, digest: one.root.digest },
        { name: `${name}:4`, digest: two.root.digest },
      ],
    },
    all.stderr,
  )
  t.equal(digestThere(`docker://${name}:4`), two.root.digest)
  t.match((await stowage(['push', '-q', `${name}:2`, '--from', 'oci:layout'], { cwd })).stdout, `${name}:2\n`)
  t.equal((await stowage(['push', '-a', `${registry.domain}/none`, '--from', 'oci:layout'], { cwd })).code, 3)
  t.equal((await stowage(['push', `${name}:9`, '--from', 'oci:layout'], { cwd })).code, 3)
  t.equal((await stowage(['push', `${name}@${one.root.digest}`, '--from', 'oci:layout'], { cwd })).code, 2)
  t.equal((await stowage(['push', name, '--from', 'oci:layout:1'], { cwd })).code, 2)
})

t.test(
  "push -a - asks the engine for its tags (an engine of the test's own: real ones are in test/engines)",
  async t => {
    const engine = await startFakeEngine(fakeStore('graphdriver'), request =>
      request.path === '/images/json' ? { body: [{ Id: 'x', RepoTags: ['shop:1', '<none>:<none>'] }] } : undefined,
    )
    t.teardown(() => engine.stop())
    const { stderr, code } = await stowage(['push', '-a', 'registry.example/shop', '--host', engine.host])
    t.equal(code, 3)
    t.match(stderr, /docker-daemon: has no image of registry\.example\/shop/)
  },
)

t.test('push - says what to do if no engine answers and there is no default store', async t => {
  const cwd = t.testdir()
  const env = { HOME: cwd, DOCKER_CONFIG: cwd, DOCKER_HOST: '', XDG_RUNTIME_DIR: cwd, STOWAGE_STORE: `${cwd}/store` }
  const { code, stderr } = await stowage(['push', 'registry.example/shop:1'], { cwd, env })
  t.equal(code, 3, stderr)
  t.match(stderr, 'no Docker Engine answers, and there is no default store yet\nhint: Start the engine')
  t.match(stderr, 'stowage pull NAME')
})
