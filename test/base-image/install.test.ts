import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { chooseCandidates } from '../../src/base-image/candidates.js'
import type { CatalogEntry } from '../../src/base-image/catalog.js'
import { judgeHost } from '../../src/base-image/host.js'
import { parseVersion } from '../../src/base-image/version.js'
import type { EngineStore } from '../../src/engine/store.js'
import { installImages, installWims, pack } from '../../src/index.js'
import { digestOf } from '../../src/oci/digest.js'
import { sampleWim, SAMPLE, serveWeb, testHost, type TestHost, versionProperties } from '../support/base-images.js'
import { type FakeAnswer, type FakeRequest, fakeStore, startFakeEngine } from '../support/fake-engine.js'
import { startRegistry } from '../support/registry.js'
import { richWim } from '../support/wims.js'

const wim = readFileSync(SAMPLE)
const FULL_NAME = 'CN=Microsoft_NanoServer_10.0.14300.1010'

interface Skopeo {
  readonly Digest: string
  readonly Labels: Record<string, string>
  readonly Architecture: string
  readonly Os: string
  readonly Layers: readonly string[]
}

const skopeo = (...words: readonly string[]): Skopeo =>
  JSON.parse(execFileSync('skopeo', ['inspect', ...words], { encoding: 'utf8' })) as Skopeo

async function installed(
  t: Test,
  host: TestHost,
  ...words: readonly string[]
): Promise<{
  to: string
  images: { id: string; result: string; names: string[]; fullName: string; sent: number; skipped: number }[]
}> {
  const result = await host.run(['install', ...words, '--json'])
  t.equal(result.code, 0, result.stderr)
  return JSON.parse(result.stdout) as {
    to: string
    images: { id: string; result: string; names: string[]; fullName: string; sent: number; skipped: number }[]
  }
}

t.test(
  'install --wim makes of a WIM the image that its XML names, in the default store where no engine answers, and once',
  async t => {
    const host = testHost(t)
    const rich = richWim(t)
    const first = await host.run(['install', '--wim', rich, '--latest'])
    t.match(first, {
      code: 0,
      stdout:
        /^Installed CN=Microsoft_NanoServer_10\.0\.14300\.1010 as nanoserver:10\.0\.14300\.1010, nanoserver:latest \([0-9a-f]{12}\)/,
      stderr: /no Docker Engine answers: using oci:.*\/store\n[\s\S]*Installed in 0 hours, 0 minutes, \d+ seconds\./,
    })
    const image = skopeo(`oci:${join(host.root, 'store')}:10.0.14300.1010`)
    t.match(image, {
      Os: 'windows',
      Architecture: 'amd64',
      Labels: {
        'org.opencontainers.image.title': 'NanoServer',
        'org.opencontainers.image.vendor': 'CN=Microsoft',
        'org.opencontainers.image.version': '10.0.14300.1010',
      },
    })
    t.equal(skopeo(`oci:${join(host.root, 'store')}:latest`).Digest, image.Digest)
    t.equal((await host.run(['copy', `wim:${rich}`, 'oci:copied'])).code, 0)
    t.equal(skopeo(`oci:${join(host.root, 'copied')}`).Digest, image.Digest, 'the image is that of copy')
    const before = host.listing()
    t.match(await host.run(['install', '--wim', rich, '--latest']), {
      code: 0,
      stdout: `${FULL_NAME} is already installed as nanoserver:10.0.14300.1010, nanoserver:latest`,
    })
    t.match(await host.run(['install', '--wim', rich, '--force', '--what-if']), {
      code: 0,
      stdout: /^What if: installing NanoServer version 10\.0\.14300\.1010 from .* into .* as nanoserver/,
    })
    t.same(host.listing(), before)
    t.match((await installed(t, host, '--wim', rich, '--force')).images, [{ result: 'installed', id: image.Digest }])
    t.match(
      await host.run(['layer', 'check', join(host.root, 'store', 'blobs', 'sha256', image.Layers[0]?.slice(7) ?? '')]),
      { code: 0 },
    )
  },
)

t.test('install mends an image of which not all is there, and gives latest to one that is', async t => {
  const host = testHost(t)
  const {
    images: [first],
  } = await installed(t, host, '--wim', SAMPLE)
  const [layer = ''] = skopeo(`oci:${join(host.root, 'store')}:10.0.14300.1010`).Layers
  const path = join(host.root, 'store', 'blobs', 'sha256', layer.slice(7))
  const bytes = readFileSync(path)
  writeFileSync(path, Buffer.alloc(bytes.length))
  const mended = await host.run(['install', '--wim', SAMPLE])
  t.match(mended, { code: 0, stderr: /is present but incomplete: installed again/ })
  t.ok(readFileSync(path).equals(bytes))
  t.match((await installed(t, host, '--wim', SAMPLE, '--latest')).images, [{ result: 'exists', id: first?.id }])
  t.equal(skopeo(`oci:${join(host.root, 'store')}:latest`).Digest, first?.id)
})

t.test(
  'install replaces another image of the name when it is forced to, and gives a name that is asked for',
  async t => {
    const host = testHost(t)
    const arm = sampleWim(join(host.root, 'wims', 'arm.wim'), 'WINDOWS/ARCH=12')
    await installed(t, host, '--wim', SAMPLE)
    t.match(await host.run(['install', '--wim', arm]), {
      code: 1,
      stderr: /is another image, CN=Microsoft_NanoServer_10\.0\.14300\.1010 \(windows\/amd64/,
    })
    t.match((await installed(t, host, '--wim', arm, '--tag', 'team/nano:arm')).images, [
      { names: ['docker.io/team/nano:arm'] },
    ])
    await installed(t, host, '--wim', arm, '--force')
    t.equal(
      skopeo('--override-os=windows', '--override-arch=arm64', `oci:${join(host.root, 'store')}:10.0.14300.1010`)
        .Architecture,
      'arm64',
    )
  },
)

t.test(
  'install NAME saves, converts and clears up; a WIM is fetched once, and kept only where it is wanted',
  async t => {
    const host = testHost(t)
    const older = readFileSync(sampleWim(join(host.root, 'older.wim'), ...versionProperties(14300, 1000)))
    const sum = (bytes: Uint8Array): string => digestOf(bytes).slice('sha256:'.length)
    let fetched = 0
    const address = await serveWeb(t, (request, response) => {
      if (request.url === '/index.json') {
        return void response.end(
          JSON.stringify([
            {
              Name: 'NanoServer',
              Version: '10.0.14300.1010',
              Description: 'new',
              SasToken: '/new.wim?sig=key',
              Sha256: sum(wim),
              Size: wim.length,
            },
            {
              Name: 'NanoServer',
              Version: '10.0.14300.1000',
              Description: 'old',
              SasToken: '/old.wim',
              Sha256: sum(older),
            },
          ]),
        )
      }
      if (request.method === 'GET') fetched += 1
      response.end(request.url === '/old.wim' ? older : wim)
    })
    await host.run(['source', 'add', 'lab', `${address}/index.json`])
    const first = await host.run(['install', 'nanoserver', '--to', 'oci:'])
    t.match(first, { code: 0, stdout: /nanoserver:10\.0\.14300\.1010/, stderr: /source lab is not trusted/ })
    t.same(readdirSync(join(host.root, 'tmp')), [])
    t.equal(fetched, 1)
    t.match((await installed(t, host, 'NanoServer')).images, [{ result: 'exists', fullName: FULL_NAME }])
    t.equal(fetched, 1, 'what is there is not fetched')
    t.match((await installed(t, host, 'NanoServer', '--version', '10.0.14300.1000')).images, [
      { result: 'installed', names: ['docker.io/library/nanoserver:10.0.14300.1000'] },
    ])
    t.match((await installed(t, host, 'Nano*', '--max-version', '10.0.14300.1005', '--what-if', '--force')).images, [
      { result: 'what-if', version: '10.0.14300.1000', from: `${address}/old.wim` },
    ])
    mkdirSync(join(host.root, 'kept'))
    t.match((await installed(t, host, 'NanoServer', '--path', 'kept', '--force')).images, [
      { result: 'installed', from: `${address}/new.wim` },
    ])
    execFileSync('sha256sum', ['-c', '--quiet', 'NanoServer-10-0-14300-1010.wim.sha256'], {
      cwd: join(host.root, 'kept'),
    })
    const counted = fetched
    t.match((await installed(t, host, 'NanoServer', '--path', 'kept', '--to', 'oci:other')).images, [
      { result: 'installed' },
    ])
    t.equal(fetched, counted, 'a WIM that was saved is not fetched again')
    t.match((await installed(t, host, 'NanoServer', '--tag', 'team/nano:1', '--to', 'oci:named')).images, [
      { result: 'installed', names: ['docker.io/team/nano:1'] },
    ])
    t.match((await installed(t, host, 'NanoServer', '--tag', 'team/nano:1', '--to', 'oci:named')).images, [
      { result: 'exists' },
    ])
    t.equal(fetched, counted + 1)
    writeFileSync(join(host.root, 'kept', 'NanoServer-10-0-14300-1010.wim'), older)
    t.match(await host.run(['install', 'NanoServer', '--path', 'kept', '--to', 'oci:third']), {
      code: 4,
      stderr: /its source says sha256/,
    })
    const found = join(host.root, 'found.json')
    writeFileSync(found, (await host.run(['find', 'NanoServer', '--all-versions', '--json'])).stdout)
    const piped = await host.run(['install', '-', '--latest', '--to', 'oci:piped'], { input: found })
    t.match(
      piped,
      {
        code: 0,
        stdout: /as nanoserver:10\.0\.14300\.1010, nanoserver:latest [\s\S]*as nanoserver:10\.0\.14300\.1000 \(/,
      },
      'latest is the newest',
    )
  },
)

t.test('install adds to a bundle that stands, and keeps what it has', async t => {
  const host = testHost(t)
  const older = sampleWim(join(host.root, 'wims', 'older.wim'), ...versionProperties(14300, 1000))
  writeFileSync(join(host.root, 'note.txt'), 'carried')
  await pack([`wim:${older}`], join(host.root, 'site'), {
    files: [{ from: join(host.root, 'note.txt'), path: 'note.txt' }],
  })
  const {
    to,
    images: [image],
  } = await installed(t, host, '--wim', SAMPLE, '--latest', '--to', 'bundle:site')
  t.equal(to, 'bundle:site')
  t.match(await host.run(['verify', 'site']), {
    code: 0,
    stdout: /nanoserver:10\.0\.14300\.1000[\s\S]*nanoserver:10\.0\.14300\.1010/,
  })
  t.equal(skopeo(`oci:${join(host.root, 'site')}:10.0.14300.1010`).Digest, image?.id)
  t.equal(readFileSync(join(host.root, 'site', 'files', 'note.txt'), 'utf8'), 'carried')
  const before = host.listing()
  t.match((await installed(t, host, '--wim', SAMPLE, '--to', 'bundle:site')).images, [{ result: 'exists' }])
  t.same(host.listing(), before)
  t.match(
    (await installed(t, host, '--wim', older, '--tag', 'nanoserver:latest', '--force', '--to', 'bundle:site')).images,
    [{ result: 'installed' }],
  )
  t.equal((await host.run(['verify', 'site'])).code, 0)
  t.match((await installed(t, host, '--wim', SAMPLE, '--to', 'bundle:one.tar')).images, [{ result: 'installed' }])
  t.match(await host.run(['install', '--wim', older, '--to', 'bundle:one.tar']), {
    code: 1,
    stderr: /one\.tar is a bundle in a single file/,
  })
  t.match((await installed(t, host, '--wim', SAMPLE, '--to', 'bundle:one.tar')).images, [{ result: 'exists' }])
  t.match(await host.run(['install', '--wim', SAMPLE, '--wim', older, '--to', 'bundle:two.tar']), {
    code: 2,
    stderr: /cannot be installed one after another into a bundle that is a single file/,
  })
  const two = await installed(t, host, '--wim', SAMPLE, '--wim', older, '--to', 'bundle:two')
  t.match(two.images, [{ result: 'installed', skipped: 0 }, { result: 'installed' }])
  t.ok(two.images.every(({ sent }) => sent > 500))
})

t.test('install puts images into a registry, and copies those of registries and bundles as they are', async t => {
  const host = testHost(t)
  const { domain } = await startRegistry(t)
  const {
    images: [image],
  } = await installed(t, host, '--wim', SAMPLE, '--latest', '--to', `docker://${domain}/windows`)
  t.same(image?.names, [
    `${domain}/windows/library/nanoserver:10.0.14300.1010`,
    `${domain}/windows/library/nanoserver:latest`,
  ])
  t.equal(
    skopeo('--tls-verify=false', '--override-os=windows', `docker://${domain}/windows/library/nanoserver:latest`)
      .Digest,
    image?.id,
  )
  t.match((await installed(t, host, '--wim', SAMPLE, '--to', `docker://${domain}/windows`)).images, [
    { result: 'exists', id: image?.id },
  ])
  t.equal(
    (await host.run(['source', 'add', 'mirror', `docker://${domain}/windows/library/nanoserver`, '--trusted'])).code,
    0,
  )
  t.match((await installed(t, host, 'nanoserver', '--to', 'oci:copied')).images, [
    { result: 'installed', id: image?.id, names: [`${domain}/windows/library/nanoserver:10.0.14300.1010`] },
  ])
  t.match((await installed(t, host, 'nanoserver', '--to', 'oci:copied')).images, [
    { result: 'exists', id: image?.id, fullName: FULL_NAME },
  ])
  await installed(t, host, '--wim', SAMPLE, '--to', 'bundle:site')
  t.equal((await host.run(['source', 'add', 'stick', 'bundle:site', '--trusted'])).code, 0)
  const carried = await installed(t, host, 'nanoserver', '--source', 'stick', '--latest', '--to', 'oci:carried')
  t.match(carried.images, [
    {
      result: 'installed',
      id: image?.id,
      names: ['docker.io/library/nanoserver:10.0.14300.1010', 'docker.io/library/nanoserver:latest'],
    },
  ])
})

const engineOf = (
  os: string,
  architecture: string,
  version?: string,
  kind: EngineStore['kind'] = 'graphdriver',
): EngineStore => ({
  kind,
  engine: 'Docker 28',
  api: 51,
  platform: { os, architecture, ...(version ? { 'os.version': version } : {}) },
})

t.test('judgeHost() says which engines run an image, which keep it, and which can do neither', async t => {
  const image = (version: string, architecture = 'amd64', utilityVm = true) => ({
    name: 'NanoServer',
    architecture,
    version,
    utilityVm,
  })
  for (const [version, host, verdict] of [
    ['10.0.14393.0', '10.0.14393.2273', undefined],
    ['10.0.14300.1010', '10.0.14393.2273', 'note'],
    ['10.0.17763.1', '10.0.14393.2273', 'error'],
    ['10.0.17763.1', '10.0.20348.169', 'note'],
    ['10.0.20348.169', '10.0.26100.1', undefined],
    ['10.0.26100.1', '10.0.20348.169', 'error'],
    ['10.0.14393.0', undefined, undefined],
  ] as const)
    t.equal(judgeHost(image(version), engineOf('windows', 'amd64', host))?.severity, verdict, `${version} on ${host}`)
  t.match(judgeHost(image('10.0.14300.1010', 'amd64', false), engineOf('windows', 'amd64', '10.0.14393')), {
    severity: 'error',
    possible: true,
    message: /UtilityVM/,
  })
  t.match(judgeHost(image('10.0.20348.1', 'arm64'), engineOf('windows', 'amd64', '10.0.20348.1')), {
    severity: 'error',
    possible: true,
  })
  t.match(judgeHost(image('10.0.20348.1'), engineOf('linux', 'amd64')), {
    severity: 'error',
    possible: false,
    hint: /--to oci:/,
  })
  t.match(judgeHost(image('10.0.20348.1'), engineOf('linux', 'amd64', undefined, 'containerd')), { severity: 'note' })
})

/** A stand-in: no engine of Windows runs where these tests do. It tells what it is, as one of Windows Server 2016 does, and takes nothing. */
function windowsEngine(request: FakeRequest): FakeAnswer | undefined {
  const kernel = '10.0 14393 (14393.2273.amd64fre.rs1_release_1.180427-1811)'
  if (request.path === '/version')
    return { body: { Version: '20.10.24', ApiVersion: '1.41', Os: 'windows', Arch: 'amd64', KernelVersion: kernel } }
  if (request.path === '/images/json') return { body: [] }
  return request.path === '/info'
    ? { body: { OSType: 'windows', OSVersion: '1607', KernelVersion: kernel, DriverStatus: [['Windows', '']] } }
    : undefined
}

t.test(
  'install says that a host cannot run an image before anything is fetched or made (the engine is a stand-in)',
  async t => {
    const windows = await startFakeEngine(windowsEngine)
    t.teardown(() => windows.stop())
    const linux = await startFakeEngine(fakeStore('graphdriver'))
    t.teardown(() => linux.stop())
    const host = testHost(t)
    const newer = sampleWim(join(host.root, 'wims', 'newer.wim'), ...versionProperties(17763, 1))
    const arm = sampleWim(join(host.root, 'wims', 'arm.wim'), 'WINDOWS/ARCH=12')
    let fetched = 0
    const address = await serveWeb(t, (request, response) => {
      if (request.url === '/index.json')
        return void response.end(JSON.stringify([{ Name: 'NanoServer', Version: '10.0.17763.1', SasToken: '/n.wim' }]))
      fetched += 1
      response.end()
    })
    await host.run(['source', 'add', 'lab', `${address}/index.json`, '--trusted'])
    for (const [words, engine, stderr] of [
      [
        ['--wim', newer],
        windows,
        /is build 17763, but this host is build 14393: a container cannot be newer than its host/,
      ],
      [['NanoServer'], windows, /is build 17763, but this host is build 14393/],
      [['--wim', arm], windows, /is for arm64, but Docker 20\.10\.24 runs windows\/amd64/],
      [['--wim', SAMPLE], linux, /cannot hold Windows images[\s\S]*hint: .*--to oci:/],
      [['--wim', SAMPLE, '--force'], linux, /cannot hold Windows images/],
    ] as const) {
      const before = host.listing()
      const result = await host.run(['install', ...words, '--host', engine.host])
      t.match(result, { code: 8, stderr }, words.join(' '))
      t.notMatch(result.stderr, /no Docker Engine answers/)
      t.same(host.listing(), before)
    }
    t.equal(fetched, 0, 'no WIM was asked for')
    t.same(
      [...windows.requests, ...linux.requests].filter(({ method }) => method !== 'GET'),
      [],
      'and nothing was sent',
    )
    t.match(await host.run(['install', '--wim', SAMPLE, '--host', windows.host, '--what-if']), {
      code: 0,
      stderr: /only with Hyper-V isolation \(docker run --isolation=hyperv\)/,
    })
    t.match(await host.run(['install', '--wim', newer, '--host', windows.host, '--what-if', '--force']), {
      code: 0,
      stderr: /warning: .*cannot be newer/,
    })
  },
)

t.test(
  'chooseCandidates() takes one of what is the same, of the processor that the host has, and of an index before its parts',
  async t => {
    const entry = (
      source: string,
      architecture: string | undefined,
      more: Partial<CatalogEntry> = {},
    ): CatalogEntry => ({
      name: 'NanoServer',
      version: parseVersion('10.0.14300.1010'),
      summary: '',
      source,
      architecture,
      content: { type: 'web', url: `http://${source}/x.wim?sig=key`, sha256: undefined, size: undefined },
      ...more,
    })
    const image = (architecture: string | undefined) =>
      entry('mirror', architecture, {
        content: { type: 'image', location: `docker://m/nano:1-${architecture}`, digest: undefined, size: undefined },
      })
    const sum = { content: { type: 'web', url: 'http://x/', sha256: 'a'.repeat(64), size: 1 } } as const
    t.match(chooseCandidates([entry('a', 'amd64', sum), entry('b', 'amd64', sum)], {}), [{ source: 'a' }])
    t.match(chooseCandidates([entry('a', 'amd64'), entry('a', 'arm64')], { preferred: 'arm64' }), [
      { architecture: 'arm64' },
    ])
    t.match(chooseCandidates([image('amd64'), image(undefined), image('arm64')], {}), [{ architecture: undefined }])
    t.throws(() => chooseCandidates([entry('a', 'amd64'), entry('b', 'amd64')], {}), {
      code: 'INVALID_ARGUMENT',
      message: /from a, http:\/\/a\/x\.wim; .* from b, http:\/\/b\/x\.wim$/,
    })
  },
)

t.test("installWims() and installImages() are the library's", async t => {
  const host = testHost(t)
  const notes: string[] = []
  const done = await installWims([SAMPLE], { to: `oci:${join(host.root, 'lib')}`, onNote: note => notes.push(note) })
  t.match(done, { images: [{ result: 'installed', fullName: FULL_NAME, findings: [] }] })
  await t.rejects(installWims([], {}), { code: 'INVALID_ARGUMENT' })
  await t.rejects(installImages([], {}), { code: 'IMAGE_NOT_FOUND' })
  await t.rejects(installWims([SAMPLE], { to: 'wim:x' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(installWims([SAMPLE], { to: `oci:${join(host.root, 'lib')}`, signal: AbortSignal.abort() }), {
    code: 'ABORTED',
  })
  const about = {
    name: 'NanoServer',
    version: parseVersion('10.0.14300.1010'),
    summary: '',
    source: 'x',
    architecture: undefined,
  }
  t.match(
    await installImages(
      [{ ...about, content: { type: 'file', path: SAMPLE, sha256: 'a'.repeat(64), size: wim.length } }],
      { to: `oci:${join(host.root, 'lib2')}` },
    ),
    { images: [{ result: 'failed', error: { code: 'DIGEST_MISMATCH' } }] },
  )
})
