import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Inspection } from '../../src/verbs/inspect.js'
import { blobPath } from '../../src/oci/layout.js'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import { writeBundle } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { fakeStore, startFakeEngine } from '../support/fake-engine.js'
import {
  layeredImage,
  makeImage,
  makeLayer,
  multiPlatformImage,
  type TestImage,
  windowsImage,
  writeLayout,
} from '../support/images.js'
import { pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'

const inspection = (text: string): Inspection => JSON.parse(text) as Inspection // what the command just printed

/** One platform with all that a config may say, and an attestation and an unknown blob beside it. */
async function richImage(): Promise<TestImage> {
  const layer = await makeLayer({ hello: 'world' })
  const settings = {
    User: 'app',
    Env: ['A=1', 'B=two'],
    Entrypoint: ['/run'],
    Cmd: ['--now'],
    Labels: { 'org.opencontainers.image.version': '2.3' },
    ExposedPorts: { '80/tcp': {} },
    Volumes: { '/data': {} },
    WorkingDir: '/srv',
    StopSignal: 'SIGINT',
  }
  const image = makeImage([layer], {
    platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
    config: {
      author: 'somebody',
      config: settings,
      history: [{ created_by: 'COPY hello', created: '2016-10-12T00:00:00Z' }],
    },
  })
  const { blobs } = image
  const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
  const statement = blobs.add('application/vnd.in-toto+json', encode({ _type: 'statement' }))
  const config = blobs.add(
    'application/vnd.oci.image.config.v1+json',
    encode({ os: 'unknown', architecture: 'unknown', rootfs: { type: 'layers', diff_ids: [statement.digest] } }),
  )
  const attestation = blobs.add(
    OCI_MANIFEST,
    encode({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [statement] }),
  )
  const annotations = {
    'vnd.docker.reference.type': 'attestation-manifest',
    'vnd.docker.reference.digest': image.root.digest,
  }
  const manifests = [
    { ...image.root, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } },
    { ...attestation, annotations, platform: { os: 'unknown', architecture: 'unknown' } },
  ]
  const root = blobs.add(
    OCI_INDEX,
    encode({ schemaVersion: 2, mediaType: OCI_INDEX, manifests, annotations: { note: 'of the index' } }),
  )
  return { ...image, root }
}

t.test('inspect - of a registry reads manifests and configs, and no layer; skopeo says the same', async t => {
  const registry = await startRegistry(t)
  const image = await layeredImage(3, { size: 50_000 })
  await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
  const proxy = await startFaultyProxy(t, registry, () => undefined)
  const { stdout, stderr, code } = await stowage(['inspect', `${proxy.domain}/team/shop:2.3`, '--json'])
  t.equal(code, 0, stderr)
  const [found] = inspection(stdout).images
  const theirs = JSON.parse(
    execFileSync('skopeo', ['inspect', '--tls-verify=false', `docker://${registry.domain}/team/shop:2.3`], {
      encoding: 'utf8',
    }),
  ) as Record<string, unknown>
  t.equal(found?.root?.digest, theirs['Digest'])
  t.same(
    found?.platforms[0]?.layers.map(({ digest }) => digest),
    theirs['Layers'],
  )
  t.equal(found?.platforms[0]?.created, theirs['Created'])
  const asked = proxy.requests.map(({ line }) => line).filter(line => line !== 'GET /v2/')
  t.same(asked, ['GET /v2/team/shop/manifests/2.3', `GET /v2/team/shop/blobs/${image.config.digest}`])
  for (const [words, source] of [
    [['--raw'], []],
    [['--config'], ['--config']],
  ] as const) {
    const raw = await stowage(['inspect', `${registry.domain}/team/shop:2.3`, ...words])
    t.equal(
      raw.stdout,
      execFileSync(
        'skopeo',
        ['inspect', '--raw', ...source, '--tls-verify=false', `docker://${registry.domain}/team/shop:2.3`],
        { encoding: 'utf8' },
      ),
      words[0],
    )
  }
})

t.test('inspect - of one platform asks for that one alone', async t => {
  const registry = await startRegistry(t)
  const image = await multiPlatformImage()
  await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
  const proxy = await startFaultyProxy(t, registry, () => undefined)
  const place = `${proxy.domain}/team/shop:2.3`
  const { stdout, stderr } = await stowage(['inspect', place, '--platform', 'linux/arm/v7', '--json'])
  const [found] = inspection(stdout).images
  t.match(found?.platforms, [{ platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }], stderr)
  t.equal(found?.platforms.length, 1)
  t.equal(proxy.requests.filter(({ line }) => line !== 'GET /v2/').length, 3, 'index, manifest, config')
  const raw = await stowage(['inspect', place, '--platform', 'linux/arm/v7', '--raw'])
  t.equal(raw.stdout, Buffer.from(image.blobs.get(found?.platforms[0]?.manifest?.digest ?? 'sha256:')).toString())
  t.equal(
    (await stowage(['inspect', place, '--raw'])).stdout,
    Buffer.from(image.blobs.get(image.root.digest)).toString(),
  )
  const several = await stowage(['inspect', place, '--config'])
  t.equal(several.code, 2)
  t.match(several.stderr, /3 images that run[^]*linux\/s390x/)
  const none = await stowage(['inspect', place, '--platform', 'windows/amd64'])
  t.equal(none.code, 3)
  t.match(none.stderr, /It has linux\/.*linux\/s390x/)
  const all = await stowage(['inspect', place])
  t.match(all.stdout, /linux\/s390x +sha256:/)
})

t.test('inspect - tells all that a config says, and attestations as such', async t => {
  const cwd = t.testdir()
  const image = await richImage()
  await writeLayout(join(cwd, 'layout'), { 'shop:1': image })
  const { stdout, stderr } = await stowage(['inspect', 'oci:layout', '--json'], { cwd })
  t.match(
    inspection(stdout).images,
    [
      {
        names: ['docker.io/library/shop:1'],
        root: { digest: image.root.digest, annotations: { note: 'of the index' } },
        platforms: [
          {
            platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
            author: 'somebody',
            user: 'app',
            env: ['A=1', 'B=two'],
            entrypoint: ['/run'],
            cmd: ['--now'],
            exposedPorts: ['80/tcp'],
            volumes: ['/data'],
            workingDir: '/srv',
            stopSignal: 'SIGINT',
            labels: { 'org.opencontainers.image.version': '2.3' },
            history: [{ createdBy: 'COPY hello', emptyLayer: false }],
            layers: [{ diffId: image.diffIds[0] }],
          },
        ],
        others: [{ type: 'attestation', about: /^sha256:/ }],
      },
    ],
    stderr,
  )
  const whole = image.blobs.digests().reduce((sum, digest) => sum + image.blobs.get(digest).length, 0)
  t.equal(inspection(stdout).images[0]?.size, whole)
  const shown = await stowage(['inspect', 'oci:layout'], { cwd })
  for (const words of [
    'linux/arm/v7',
    'A=1',
    '["/run"]',
    '80/tcp',
    'attestation',
    'note=of the index',
    image.layers[0]?.digest ?? '?',
  ])
    t.ok(shown.stdout.includes(words), words)
})

t.test('inspect - names the manifests that an index has and the place does not', async t => {
  const cwd = t.testdir()
  const image = await multiPlatformImage()
  const lost =
    image.blobs
      .digests()
      .find(
        digest =>
          Buffer.from(image.blobs.get(digest)).includes('"config"') &&
          digest !== image.root.digest &&
          Buffer.from(image.blobs.get(image.root.digest)).includes(digest),
      ) ?? 'sha256:'
  image.blobs.delete(lost)
  await writeLayout(join(cwd, 'layout'), { 'shop:1': image })
  const [found] = inspection((await stowage(['inspect', 'oci:layout', '--json'], { cwd })).stdout).images
  t.same(
    found?.absent.map(({ digest }) => digest),
    [lost],
  )
  t.equal(found?.platforms.length, 2)
})

t.test('inspect - of a damaged manifest says so', async t => {
  const cwd = t.testdir()
  const image = await layeredImage(1, { size: 10 })
  image.blobs.set(image.config.digest, new TextEncoder().encode('x'.repeat(image.config.size)))
  await writeLayout(join(cwd, 'layout'), { 'shop:1': image })
  t.equal((await stowage(['inspect', 'oci:layout'], { cwd })).code, 4)
})

t.test('inspect - of a bundle tells every image, and with a reference one, layers or not', async t => {
  const cwd = t.testdir()
  const [linux, windows] = [await layeredImage(1, { size: 10 }), await windowsImage()]
  await writeBundle(join(cwd, 'site-a'), { 'shop:1': linux, 'nano:2': windows })
  const { stdout, stderr } = await stowage(['inspect', 'bundle:site-a'], { cwd })
  t.match(stdout, /^NAME .*\nnano:2 .*windows\/amd64:10\.0\.20348\.169.*\nshop:1 /, stderr)
  const one = await stowage(['inspect', 'bundle:site-a:nano:2', '--raw'], { cwd })
  t.equal(one.stdout, readFileSync(join(cwd, 'site-a', blobPath(windows.root.digest)), 'utf8'))
  t.equal((await stowage(['inspect', 'bundle:site-a', '--raw'], { cwd })).code, 2)
  t.equal((await stowage(['inspect', 'bundle:site-a', '--raw', '--json'], { cwd })).code, 2)
})

t.test('inspect - of a WIM reads its XML and makes no layer', async t => {
  const wim = join(import.meta.dirname, '../../fixtures/nanoserver-sample.wim')
  const { stdout, stderr } = await stowage(['inspect', `wim:${wim}`, '--json'])
  t.match(
    inspection(stdout).images,
    [
      {
        platforms: [
          { platform: { os: 'windows', architecture: 'amd64', 'os.version': '10.0.14300.1010' }, layers: [] },
        ],
        wim: { index: 1, name: 'NanoServer' },
      },
    ],
    stderr,
  )
  t.equal((await stowage(['inspect', `wim:${wim}`, '--raw'])).code, 1)
  t.equal((await stowage(['inspect', `wim:${wim}#nothing`])).code, 3)
  t.equal((await stowage(['inspect', `wim:${wim}`, '--platform', 'linux'])).code, 3)
  t.match((await stowage(['inspect', `wim:${wim}`])).stdout, /NanoServer/)
})

t.test(
  "inspect - asks an engine, and exports nothing (an engine of the test's own: real ones are in test/engines)",
  async t => {
    const engine = await startFakeEngine(fakeStore('graphdriver'), request =>
      request.path === '/images/docker.io/library/shop:2.3/json'
        ? {
            body: {
              Id: `sha256:${'a'.repeat(64)}`,
              RepoTags: ['shop:2.3'],
              Os: 'linux',
              Architecture: 'amd64',
              Size: 1234,
              Created: '2016-10-12T00:00:00Z',
              Config: { Env: ['A=1'] },
              RootFS: { Layers: [`sha256:${'b'.repeat(64)}`] },
            },
          }
        : request.path === '/images/json'
          ? { body: [{ Id: 'x', RepoTags: ['shop:2.3'] }] }
          : undefined,
    )
    t.teardown(() => engine.stop())
    const { stdout, stderr } = await stowage(['inspect', 'docker-daemon:shop:2.3', '--host', engine.host, '--json'])
    t.match(
      inspection(stdout).images,
      [
        {
          id: `sha256:${'a'.repeat(64)}`,
          names: ['docker.io/library/shop:2.3'],
          size: 1234,
          platforms: [
            { env: ['A=1'], created: '2016-10-12T00:00:00Z', layers: [{ diffId: `sha256:${'b'.repeat(64)}` }] },
          ],
        },
      ],
      stderr,
    )
    t.same(
      engine.requests.map(({ path }) => path),
      ['/images/docker.io/library/shop:2.3/json'],
    )
    const none = await stowage(['inspect', 'docker-daemon:none', '--host', engine.host])
    t.equal(none.code, 3)
    t.match(none.stderr, /It has shop:2\.3/)
  },
)

t.test('inspect --html writes a page, with what describes the image', async t => {
  const work = t.testdir()
  const image = await multiPlatformImage()
  const { blobs, root } = image
  const config = blobs.add('application/vnd.oci.empty.v1+json', Buffer.from('{}'))
  const sbom = blobs.add('application/spdx+json', Buffer.from('{"spdxVersion":"SPDX-2.3"}'))
  const { mediaType, digest, size } = root
  const artifactType = 'application/spdx+json'
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType,
    config,
    layers: [sbom],
    subject: { mediaType, digest, size },
  }
  const referrer = blobs.add(OCI_MANIFEST, Buffer.from(JSON.stringify(manifest)))
  await writeLayout(join(work, 'layout'), { 'app:1': image, 'sbom:1': { ...image, root: referrer } })
  const page = join(work, 'app.html')
  const { code, stdout } = await stowage(['inspect', '--html', page, `oci:${work}/layout:app:1`])
  t.equal(code, 0)
  t.match(stdout, /^Wrote .*app\.html: a page about oci:/)
  const text = readFileSync(page, 'utf8')
  t.match(text, /^<!DOCTYPE html>/)
  t.match(text, /<h1>1\u00a0image, /)
  t.match(text, /SBOM \(SPDX\)/)
  t.ok(text.includes(referrer.digest))
  const printed = await stowage(['inspect', '--html', '-', `oci:${work}/layout:app:1`])
  t.equal(printed.stdout, text)
  for (const other of ['--raw', '--config'])
    t.match((await stowage(['inspect', '--html', page, other, 'oci:x'])).stderr, /cannot be used together/)
  t.match((await stowage(['inspect', '--html', '-', '--json', 'oci:x'])).stderr, /cannot be used together/)
})
