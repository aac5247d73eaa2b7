/** Every verb that copies images honours every option of a copy: a table of verbs by options. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { installImages } from '../../src/base-image/install.js'
import { parseVersion } from '../../src/base-image/version.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { blobPath } from '../../src/oci/layout.js'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import { openRegistry } from '../../src/registry/client.js'
import type { TransferOptions } from '../../src/transfer/options.js'
import { copy } from '../../src/verbs/copy.js'
import { inspect } from '../../src/verbs/inspect.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { pullImages } from '../../src/verbs/pull.js'
import { pushImages } from '../../src/verbs/push.js'
import { stowage } from '../support/command.js'
import {
  makeImage,
  MemoryBlobs,
  multiPlatformImage,
  type TestImage,
  windowsImage,
  writeLayout,
} from '../support/images.js'
import { startFaultyProxy, startRegistry } from '../support/registry.js'

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

const FOREIGN = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'
const WINDOWS = 'windows/amd64'

/** An index of two platforms, whose Windows image has a foreign layer that is at hand, and its signature by cosign's tag. */
async function signedImage(): Promise<{ image: TestImage; windows: Descriptor; signature: TestImage; tag: string }> {
  const linux = await multiPlatformImage([{ os: 'linux', architecture: 'amd64' }])
  const base = await windowsImage()
  const blobs = new MemoryBlobs()
  for (const from of [linux, base]) {
    for (const digest of from.blobs.digests()) blobs.add('', from.blobs.get(digest))
  }
  const layers = base.layers.map(layer => ({ ...layer, mediaType: FOREIGN, urls: ['http://127.0.0.1:1/gone'] }))
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: base.config, layers }
  const windows = blobs.add(OCI_MANIFEST, json(manifest))
  const platform = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.169' }
  const [first] = (JSON.parse(Buffer.from(linux.blobs.get(linux.root.digest)).toString()) as { manifests: unknown[] })
    .manifests
  const manifests = [first, { ...windows, platform }]
  const root = blobs.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
  const own = new MemoryBlobs()
  const config = own.add('application/vnd.oci.empty.v1+json', json({}))
  const payload = own.add('application/vnd.dev.cosign.simplesigning.v1+json', json({ critical: root.digest }))
  const signed = own.add(OCI_MANIFEST, json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [payload] }))
  const tag = `${root.digest.replace(':', '-')}.sig`
  const signature = { ...makeImage([], { blobs: own }), root: signed, blobs: own }
  return { image: { ...base, root, blobs }, windows, signature, tag }
}

const cwd = t.testdir()
const at = (name: string): string => join(cwd, name)
const foreignAllowed = ["validation: {manifests: {urls: {allow: ['^https?://']}}}"]
const [hub, site] = [await startRegistry(t, foreignAllowed), await startRegistry(t, foreignAllowed)]
const limited = await startFaultyProxy(t, hub, () => ({
  headers: { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '3;w=21600' },
}))
const { image, windows, signature, tag } = await signedImage()
const names = [hub.domain, limited.domain, site.domain].map(domain => `${domain}/team/shop`)
const held = names.flatMap(name => [[`${name}:2.3`, image] as const, [`${name}:${tag}`, signature] as const])
await writeLayout(at('from'), Object.fromEntries(held))
for (const [name] of held.slice(0, 2)) await copy(`oci:${at('from')}:${name}`, `docker://${name}`)
await pack(
  held.map(([name]) => `oci:${at('from')}:${name}`),
  at('bundle'),
)

/** Where a verb finds the image: in the layout, or in the registry that lets little more be asked. */
interface Way {
  /** Runs the verb, and says where the image is now. Throws what became of it. */
  readonly run: (to: string, options: TransferOptions) => Promise<string>
  /** With the limited registry as one end. */
  readonly limited: (to: string, options: TransferOptions) => Promise<unknown>
  /** With an engine as one end. */
  readonly engine: (to: string, options: TransferOptions) => Promise<unknown>
}

function thrown(results: readonly { readonly error?: Error | undefined }[]): void {
  for (const { error } of results) if (error) throw error
}

const entry = (location: string): Parameters<typeof installImages>[0][number] => ({
  name: 'Shop',
  version: parseVersion('10.0.20348.169'),
  summary: '',
  source: 'test',
  architecture: 'amd64',
  content: { type: 'image', location, digest: undefined, size: undefined },
})

const [inHub, inLimited, inSite] = names.map(name => `${name}:2.3`) as [string, string, string]

const VERBS: Readonly<Record<string, Way>> = {
  copy: {
    async run(to, options) {
      await copy(`oci:${at('from')}:${inHub}`, `oci:${to}`, options)
      return `oci:${to}`
    },
    limited: async (to, options) => await copy(`docker://${inLimited}`, `oci:${to}`, options),
    engine: async (to, options) => await copy('docker-daemon:shop:2.3', `oci:${to}`, options),
  },
  pack: {
    async run(to, options) {
      await pack([`oci:${at('from')}:${inHub}`], to, options)
      return `bundle:${to}`
    },
    limited: async (to, options) => await pack([`docker://${inLimited}`], to, options),
    engine: async (to, options) => await pack(['docker-daemon:shop:2.3'], to, options),
  },
  load: {
    async run(to, options) {
      thrown((await loadBundle(at('bundle'), { ...options, to: `oci:${to}`, names: [inHub] })).images)
      return `oci:${to}`
    },
    limited: async (_to, options) =>
      await loadBundle(at('bundle'), { ...options, to: `docker://${limited.domain}/more`, names: [inHub] }),
    engine: async (_to, options) => await loadBundle(at('bundle'), { ...options, to: 'docker-daemon:' }),
  },
  pull: {
    async run(to, options) {
      thrown((await pullImages([inHub], { ...options, to: `oci:${to}` })).images)
      return `oci:${to}`
    },
    limited: async (to, options) => await pullImages([inLimited], { ...options, to: `oci:${to}` }),
    engine: async (_to, options) => await pullImages([inHub], { ...options, to: 'docker-daemon:' }),
  },
  push: {
    async run(_to, options) {
      thrown((await pushImages([inSite], { ...options, from: `oci:${at('from')}` })).images)
      return `docker://${inSite}`
    },
    limited: async (_to, options) => await pushImages([inLimited], { ...options, from: `oci:${at('from')}` }),
    engine: async (_to, options) => thrown((await pushImages([inSite], { ...options, from: 'docker-daemon:' })).images),
  },
  install: {
    async run(to, options) {
      thrown((await installImages([entry(`oci:${at('from')}:${inHub}`)], { ...options, to: `oci:${to}` })).images)
      return `oci:${to}`
    },
    limited: async (to, options) =>
      await installImages([entry(`docker://${inLimited}`)], { ...options, to: `oci:${to}` }),
    engine: async (_to, options) =>
      await installImages([entry(`docker://${inHub}`)], { ...options, to: 'docker-daemon:' }),
  },
}

/** All manifests that a place lists, and the layers of its images. */
async function whatIsAt(location: string): Promise<{ roots: readonly string[]; layers: readonly string[] }> {
  if (location.startsWith('docker:')) {
    await using client = await openRegistry(site.domain, { env: {} })
    const found = await Promise.all(['2.3', tag].map(async each => await client.headManifest('team/shop', each)))
    const { images } = await inspect(location)
    const layers = images.flatMap(({ platforms }) => platforms.flatMap(each => each.layers))
    return { roots: found.flatMap(each => each?.digest ?? []), layers: layers.map(({ mediaType }) => mediaType ?? '') }
  }
  const directory = location.slice(location.indexOf(':') + 1)
  const index = JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')) as { manifests: Descriptor[] }
  const manifests = index.manifests.flatMap(({ digest }) => {
    const read = (each: string): { manifests?: Descriptor[]; layers?: Descriptor[] } =>
      JSON.parse(readFileSync(join(directory, blobPath(each as Descriptor['digest'])), 'utf8')) as never
    const top = read(digest)
    return top.manifests ? top.manifests.map(child => read(child.digest)) : [top]
  })
  return {
    roots: index.manifests.map(({ digest }) => digest),
    layers: manifests.flatMap(({ layers = [] }) => layers.map(({ mediaType }) => mediaType)),
  }
}

for (const [verb, { run, limited: runLimited, engine }] of Object.entries(VERBS)) {
  t.test(`${verb} - honours every option of a copy`, async t => {
    const plain = await whatIsAt(await run(at(`${verb}-plain`), {}))
    t.ok(plain.roots.includes(image.root.digest), 'the whole index, without options')
    t.notOk(plain.roots.includes(signature.root.digest), 'and no signature')
    t.ok(plain.layers.includes(FOREIGN), 'and foreign layers are what they are')

    const chosen = await whatIsAt(await run(at(`${verb}-platform`), { platforms: [WINDOWS] }))
    t.ok(chosen.roots.includes(windows.digest), 'platforms: the one manifest')

    const signed = await whatIsAt(await run(at(`${verb}-referrers`), { referrers: true }))
    t.ok(signed.roots.includes(signature.root.digest), 'referrers: the signature comes with it')

    const settings = { platforms: [WINDOWS], referrers: true, sparse: 'strip' } as const
    const stripped = await whatIsAt(await run(at(`${verb}-sparse`), settings))
    t.ok(stripped.roots.includes(windows.digest), 'sparse: strip leaves the one manifest')

    const made = await whatIsAt(await run(at(`${verb}-foreign`), { foreignLayers: 'plain' }))
    t.notOk(made.layers.includes(FOREIGN), 'foreignLayers: plain')

    const slow = await whatIsAt(await run(at(`${verb}-jobs`), { jobs: 1 }))
    t.ok(slow.roots.includes(image.root.digest), 'jobs')

    const notices: string[] = []
    await runLimited(at(`${verb}-limited`), { onNotice: sentence => notices.push(sentence) })
    t.match(notices, [/3 of 100/], 'onNotice: the limit of a registry')

    const host = 'unix:///nowhere/docker.sock'
    await t.rejects(engine(at(`${verb}-engine`), { host }), { code: 'ENGINE_UNREACHABLE', message: /nowhere/ }, 'host')
  })

  t.test(`stowage ${verb} - has them all`, async t => {
    const { stdout, code } = await stowage([verb, '--help'])
    t.equal(code, 0)
    for (const option of ['platform', 'referrers', 'foreign-layers', 'sparse', 'jobs', 'host', 'insecure']) {
      t.match(stdout, new RegExp(`--${option}\\b`), option)
    }
  })
}
