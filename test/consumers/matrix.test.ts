/**
 * The consumers' matrix: every kind of bundle into every program that takes bundles. Each cell arrives whole, or is
 * refused with a reason before any of it is sent. Writes docs/consumers.md. What cannot be had here is "not run".
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { copy } from '../../src/verbs/copy.js'
import { pack } from '../../src/verbs/pack.js'
import type { PackImage } from '../../src/verbs/pack-requests.js'
import {
  craneConsumer,
  ctrConsumer,
  dockerLoadConsumer,
  orasConsumer,
  podmanConsumer,
  servedConsumer,
  skopeoConsumer,
  thisMachine,
  umociConsumer,
} from '../support/consumer-tools.js'
import {
  type Consumer,
  engineConsumer,
  ENGINES,
  type MadeBundle,
  registryConsumer,
  titleOf,
} from '../support/consumers.js'
import { Debian } from '../support/debian.js'
import { stowage } from '../support/command.js'
import {
  addAttestation,
  layeredImage,
  makeImage,
  makeLayer,
  MemoryBlobs,
  multiPlatformImage,
  type TestImage,
  windowsImage,
  writeLayout,
} from '../support/images.js'
import { startRegistry } from '../support/registry.js'

const PAGE = join(import.meta.dirname, '../../docs/consumers.md')
const work = mkdtempSync(join(tmpdir(), 'stowage-consumers-'))
t.teardown(() => rmSync(work, { recursive: true, force: true }))

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** amd64 and arm64 with what buildkit attests of the first. */
async function attestedImage(): Promise<TestImage> {
  const image = await multiPlatformImage([
    { os: 'linux', architecture: 'amd64' },
    { os: 'linux', architecture: 'arm64' },
  ])
  const { blobs } = image
  const index = JSON.parse(Buffer.from(blobs.get(image.root.digest)).toString()) as { manifests: Descriptor[] }
  const attestation = addAttestation(blobs, index.manifests[0]?.digest)
  const manifests = [...index.manifests, attestation]
  return { ...image, root: blobs.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })) }
}

function artifact(): TestImage {
  const blobs = new MemoryBlobs()
  const config = blobs.add('application/vnd.oci.empty.v1+json', json({}))
  const chart = blobs.add('application/vnd.cncf.helm.chart.content.v1.tar+gzip', Buffer.from('a chart'))
  const artifactType = 'application/vnd.cncf.helm.chart.v1'
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, artifactType, config, layers: [chart] }
  return { ...makeImage([], { blobs }), root: blobs.add(OCI_MANIFEST, json(manifest)), blobs }
}

async function zstdImage(): Promise<TestImage> {
  const plain = await makeLayer({ 'a.txt': 'zstd' }, 'none')
  const blob = execFileSync('zstd', ['-q', '-c'], { input: plain.blob })
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+zstd'
  return makeImage([{ ...plain, blob, descriptor: { ...plain.descriptor, mediaType } }])
}

const layout = join(work, 'layout')
await writeLayout(layout, {
  'lab/one:1': await layeredImage(2),
  'lab/multi:1': await multiPlatformImage([
    { os: 'linux', architecture: 'amd64' },
    { os: 'linux', architecture: 'arm64' },
    { os: 'linux', architecture: 's390x' },
  ]),
  'lab/attested:1': await attestedImage(),
  'lab/windows:1': await windowsImage(),
  'lab/chart:1': artifact(),
  'lab/zstd:1': await zstdImage(),
  'registry.example:5000/lab/port:1': await layeredImage(1, { seed: 'port' }),
})
const at = (name: string): string => `oci:${layout}:${name}`
const bare = await layeredImage(1, { seed: 'bare' })
await writeLayout(join(work, 'bare'), { 'lab/bare:1': bare })
const registry = await startRegistry(t)
await copy(`oci:${join(work, 'bare')}`, `docker://${registry.domain}/lab/bare:1`)

const BUNDLES: Readonly<Record<string, readonly (string | PackImage)[]>> = {
  'one platform': [at('lab/one:1')],
  'two of three platforms': [{ image: at('lab/multi:1'), platforms: ['linux/amd64', 'linux/arm64'] }],
  'all three platforms': [at('lab/multi:1')],
  'attestations in the index': [at('lab/attested:1')],
  'Linux and Windows': [at('lab/one:1'), at('lab/windows:1')],
  'an artifact (a chart)': [at('lab/chart:1')],
  'zstd layers': [at('lab/zstd:1')],
  'a name with a port': [at('registry.example:5000/lab/port:1')],
  'a digest as its only name': [`docker://${registry.domain}/lab/bare@${bare.root.digest}`],
}

const platformWords = ({ platforms = [] }: PackImage): readonly string[] =>
  platforms.flatMap(platform => ['--platform', platform])

const bundles: MadeBundle[] = []
for (const [title, images] of Object.entries(BUNDLES)) {
  const directory = join(work, `bundle-${bundles.length}`)
  const tar = `${directory}.tar`
  const words = images.flatMap(image => (typeof image === 'string' ? [image] : [image.image, ...platformWords(image)]))
  const { stderr: notes, code } = await stowage(['pack', ...words, '-o', directory])
  if (code !== 0) throw new Error(notes)
  const { manifest } = await pack(images, tar)
  bundles.push({ title, directory, tar, images: manifest.images, notes })
}

/** A cell for each bundle, by the title of the consumer. */
const page = new Map<string, { readonly command: string; readonly cells: readonly string[] }>()
const reasons: string[] = []

function note(reason: string): string {
  const found = reasons.indexOf(reason)
  return `refused [${found < 0 ? reasons.push(reason) : found + 1}]`
}

async function judge(t: Test, title: string, start: () => Promise<Consumer>): Promise<void> {
  await t.test(title, async t => {
    const consumer = await start()
    const cells: string[] = []
    try {
      for (const bundle of bundles) {
        const outcome = await consumer.take(bundle).catch((error: unknown) => error as Error)
        t.notOk(outcome instanceof Error, `${bundle.title}: ${outcome instanceof Error ? outcome.message : ''}`)
        if (outcome instanceof Error) cells.push('FAILS')
        else cells.push('whole' in outcome ? `whole, by ${outcome.whole}` : note(outcome.refused))
      }
    } finally {
      await consumer.stop()
    }
    page.set(consumer.title, { command: consumer.command, cells })
  })
}

/** What to run, by name, where not all of it: `STOWAGE_CONSUMERS=own;forky`. */
const only = process.env['STOWAGE_CONSUMERS']?.split(';')
const wanted = (name: string): boolean => only === undefined || only.includes(name)

if (wanted('registry')) {
  await judge(t, 'docker-registry', async () => registryConsumer(registry.domain, 'docker-registry 2.8'))
}
if (wanted('own')) {
  const here = thisMachine(work)
  await judge(t, 'skopeo', async () => await skopeoConsumer(here))
  await judge(t, 'skopeo, served', async () => await servedConsumer(here))
  await judge(t, 'ctr, kind', async () => await ctrConsumer(here, 'kind'))
  await judge(t, 'ctr, k3s', async () => await ctrConsumer(here, 'k3s'))
}
for (const [name, start] of Object.entries(ENGINES)) {
  if (!wanted('engines') && !wanted(name)) continue
  await t.test(name, async t => {
    const engine = await start()
    t.teardown(async () => await engine.stop())
    const title = await titleOf(engine, name)
    await judge(t, 'load', async () => engineConsumer(engine, title))
    await judge(t, 'docker load', async () => dockerLoadConsumer(engine, `${title}, without Stowage`))
  })
}
for (const suite of ['bookworm', 'trixie', 'forky'] as const) {
  if (!wanted(suite)) continue
  await t.test(suite, async t => {
    const debian = await Debian.open(suite, work)
    t.teardown(async () => await debian.remove())
    await judge(t, 'podman', async () => await podmanConsumer(debian))
    await judge(t, 'umoci', async () => await umociConsumer(debian))
    if (suite === 'bookworm') return
    await judge(t, 'skopeo', async () => await skopeoConsumer(debian))
    await judge(t, 'ctr, kind', async () => await ctrConsumer(debian, 'kind'))
    await judge(t, 'ctr, k3s', async () => await ctrConsumer(debian, 'k3s'))
    await judge(t, 'oras', async () => await orasConsumer(debian, registry.domain))
    if (suite === 'forky') await judge(t, 'crane', async () => await craneConsumer(debian, registry.domain))
  })
}
/** No release of Debian has them. */
for (const name of ['docker-registry 3', 'nerdctl', 'regctl']) {
  page.set(name, { command: '', cells: bundles.map(() => 'not run') })
}

if (only === undefined) writeFileSync(PAGE, pageText())

function pageText(): string {
  const legend = reasons.map((reason, n) => `${n + 1}. ${reason.replaceAll(work, '…')}\n`).join('')
  const sections = bundles.map(({ title }, n) => {
    const rows = [...page].map(
      ([consumer, { command, cells }]) => `| ${consumer} | ${command && `\`${command}\``} | ${cells[n]} |\n`,
    )
    return `## ${title[0]?.toUpperCase()}${title.slice(1)}\n\n| consumer | command | result |\n|---|---|---|\n${rows.join('')}`
  })
  return `# Who takes a bundle

Every kind of bundle, and the programs that take it. \`npm run test:consumers\` makes this page: it packs each bundle, gives it to each
program, and compares what the program has then, by the digest of the manifest or index, or by the diffIDs of the layers.
"Refused" means that Stowage, or the kind of the program, says so before any byte of that image is sent; the reasons are at the
end. "Not run" means that the program could not be had where this page was made.

${sections.join('\n')}
## Reasons

${legend}`
}
