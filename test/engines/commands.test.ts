import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Inspection } from '../../src/verbs/inspect.js'
import { digestOf } from '../../src/oci/digest.js'
import { stowage } from '../support/command.js'
import { startEngine } from '../support/engine.js'
import { GREETING, layeredImage, multiPlatformImage, runnableImage, writeLayout } from '../support/images.js'
import { startRegistry } from '../support/registry.js'
import { serve } from '../support/serving.js'

const engine = await startEngine()
t.teardown(() => engine.stop())
const env = { DOCKER_HOST: engine.host }
const registry = await startRegistry(t)
const cwd = t.testdir()
const hello = await runnableImage()
await writeLayout(join(cwd, 'layout'), { 'team/hello:1': hello, 'team/multi:1': await multiPlatformImage() })

/** What the command printed; its failure fails the test with what it says. */
async function ours(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await stowage(words, { cwd, env })
  if (code !== 0) throw new Error(`stowage ${words.join(' ')}: ${stderr}`)
  return stdout
}

async function docker(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await engine.docker(...words)
  if (code !== 0) throw new Error(`docker ${words.join(' ')}: ${stderr}`)
  return stdout.trim()
}

t.test('pull - into an engine: it has the image under its name, runs it, and a second pull sends nothing', async t => {
  const name = `${registry.domain}/team/hello:1`
  await ours('copy', 'oci:layout:team/hello:1', `docker://${name}`)
  t.match(
    await ours('pull', name),
    new RegExp(`Digest: ${hello.root.digest}\nStatus: Downloaded newer image for ${name}`),
  )
  t.equal(await docker('image', 'inspect', '--format', '{{.Id}}', name), hello.config.digest)
  t.equal(await docker('run', '--rm', '--network', 'none', name), GREETING)
  t.match(await ours('pull', name), /Status: Image is up to date/)
})

t.test('pull - of an image for several platforms takes the one that the engine runs', async t => {
  const name = `${registry.domain}/team/multi:1`
  await ours('copy', 'oci:layout:team/multi:1', `docker://${name}`)
  await ours('pull', name)
  t.equal(
    await docker('image', 'inspect', '--format', '{{.Os}}/{{.Architecture}}', name),
    await docker('version', '--format', '{{.Server.Os}}/{{.Server.Arch}}'),
  )
})

t.test(
  'inspect - says of an image in the engine what docker says, and lists what there is where it is not',
  async t => {
    const name = `${registry.domain}/team/hello:1`
    const [found] = (JSON.parse(await ours('inspect', `docker-daemon:${name}`, '--json')) as Inspection).images
    const [theirs] = JSON.parse(await docker('image', 'inspect', name)) as [
      { Id: string; RootFS: { Layers: string[] }; Config: { Cmd: string[] } },
    ]
    t.equal(found?.id, theirs.Id)
    t.same(
      found?.platforms[0]?.layers.map(({ diffId }) => diffId),
      theirs.RootFS.Layers,
    )
    t.same(found?.platforms[0]?.cmd, theirs.Config.Cmd)
    const none = await stowage(['inspect', 'docker-daemon:none:1'], { env })
    t.equal(none.code, 3)
    t.match(none.stderr, /has no image none:1\nhint: It has .*team\/hello:1/)
  },
)

t.test('push - of the engine: the registry has config and layers of the image, for skopeo and for docker', async t => {
  const name = `${registry.domain}/pushed/hello`
  for (const tag of ['1', '2']) await docker('tag', `${registry.domain}/team/hello:1`, `${name}:${tag}`)
  const said = await ours('push', '--all-tags', name)
  t.match(said, /1: digest: sha256:[0-9a-f]{64} size: \d+\n2: digest: sha256:/)
  const raw = execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${name}:2`])
  t.match(said, `2: digest: ${digestOf(raw)} `)
  t.equal((JSON.parse(raw.toString()) as { config: { digest: string } }).config.digest, hello.config.digest)
  t.equal(await ours('tags', name), '1\n2\n')
  await docker('rmi', `${name}:1`, `${name}:2`, `${registry.domain}/team/hello:1`)
  await docker('pull', '--quiet', `${name}:1`)
  t.equal(await docker('run', '--rm', '--network', 'none', `${name}:1`), GREETING)
})

t.test('serve - the engine pulls from a bundle by docker pull, by tag and by digest', async t => {
  await ours('pack', 'oci:layout:team/hello:1', '-o', 'site')
  const server = await serve(t, [join(cwd, 'site')])
  const name = `127.0.0.1:${server.address.port}/team/hello`
  t.match(await docker('pull', `${name}:1`), `Digest: ${hello.root.digest}`)
  t.match(await docker('pull', `${name}@${hello.root.digest}`), 'up to date')
  t.equal(await docker('run', '--rm', '--network', 'none', `${name}:1`), GREETING)
})

t.test('pack -f - an image of the engine is locked by its ID, and another one under its name is refused', async t => {
  const [first] = (
    await docker('images', '--format', '{{.Repository}}:{{.Tag}}', `${registry.domain}/pushed/hello`)
  ).split('\n')
  await docker('tag', first ?? '', 'mine:1')
  writeFileSync(join(cwd, 'images.yaml'), 'version: 1\nimages: ["docker-daemon:mine:1"]\n')
  t.match(await ours('pack', '-f', 'images.yaml', '--dry-run'), /mine:1/)
  await ours('pack', '-f', 'images.yaml', '-o', 'one')
  await ours('pack', '-f', 'images.yaml', '-o', 'two', '--locked')
  await writeLayout(join(cwd, 'other'), { 'mine:1': await layeredImage(1) })
  await ours('copy', 'oci:other', 'docker-daemon:mine:1')
  const { code, stderr } = await stowage(['pack', '-f', 'images.yaml', '-o', 'three', '--locked'], { cwd, env })
  t.equal(code, 1)
  t.match(stderr, /images\.yaml:2:10: docker-daemon:mine:1 is sha256:.* in the engine, but sha256:.* in images\.lock/)
})
