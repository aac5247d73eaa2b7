import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SAMPLE, testHost } from '../support/base-images.js'
import { startDebianEngine } from '../support/debian-engine.js'
import { startEngine } from '../support/engine.js'
import { richWim } from '../support/wims.js'

t.test(
  "install into an engine with containerd's store: it has the image of the layout, of Windows, with who it is",
  { timeout: 300_000 },
  async t => {
    const engine = await startDebianEngine('trixie', 'containerd')
    t.teardown(() => engine.stop())
    const host = testHost(t, { DOCKER_HOST: engine.host })
    const rich = richWim(t)
    const first = await host.run(['install', '--wim', rich, '--latest'])
    t.match(first, {
      code: 0,
      stdout:
        /^Installed CN=Microsoft_NanoServer_10\.0\.14300\.1010 as nanoserver:10\.0\.14300\.1010, nanoserver:latest/,
      stderr: /it can hold NanoServer 10\.0\.14300\.1010 but cannot run it/,
    })
    const { stdout } = await engine.docker('image', 'inspect', 'nanoserver:latest')
    const [image] = JSON.parse(stdout) as {
      Id: string
      Os: string
      OsVersion: string
      RepoTags: string[]
      Config: { Labels: Record<string, string> }
    }[]
    t.match(image, {
      Os: 'windows',
      OsVersion: '10.0.14300.1010',
      RepoTags: ['nanoserver:10.0.14300.1010', 'nanoserver:latest'],
      Config: { Labels: { 'org.opencontainers.image.vendor': 'CN=Microsoft' } },
    })
    t.equal((await host.run(['install', '--wim', rich, '--to', 'oci:layout'])).code, 0)
    const { Digest } = JSON.parse(
      execFileSync('skopeo', ['inspect', `oci:${join(host.root, 'layout')}`], { encoding: 'utf8' }),
    ) as { Digest: string }
    t.equal(image?.Id, Digest)
    t.match(await host.run(['install', '--wim', rich]), {
      code: 0,
      stdout: /is already installed as nanoserver:10\.0\.14300\.1010/,
    })
    await engine.docker('rmi', 'nanoserver:latest')
    t.match(await host.run(['install', '--wim', rich, '--latest']), { code: 0, stdout: /is already installed/ })
    t.match((await engine.docker('images', '--format', '{{.Repository}}:{{.Tag}}')).stdout, /nanoserver:latest/)
    t.same(readdirSync(join(host.root, 'tmp')), [])
  },
)

t.test(
  'install into an engine whose store cannot hold Windows is refused before the work, with the way out',
  async t => {
    const engine = await startEngine()
    t.teardown(() => engine.stop())
    const host = testHost(t, { DOCKER_HOST: engine.host })
    const before = host.listing()
    t.match(await host.run(['install', '--wim', SAMPLE]), {
      code: 8,
      stderr: /cannot hold Windows images such as NanoServer 10\.0\.14300\.1010\nhint: .*--to oci:/,
    })
    t.same(host.listing(), before)
  },
)
