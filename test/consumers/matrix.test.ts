/**
 * The consumers' matrix: every kind of bundle into every program that takes bundles. Each cell arrives whole, or is
 * refused with a reason before any of it is sent. Writes docs/consumers.md. What cannot be had here is "not run".
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { copy } from '../../src/verbs/copy.js'
import { pack, type PackImage } from '../../src/verbs/pack.js'
import {
  type Consumer,
  ctrConsumer,
  ENGINES,
  type MadeBundle,
  registryConsumer,
  skopeoConsumer,
} from '../support/consumers.js'
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

const bundles: MadeBundle[] = []
for (const [title, images] of Object.entries(BUNDLES)) {
  const directory = join(work, `bundle-${bundles.length}`)
  const tar = `${directory}.tar`
  const { manifest } = await pack(images, directory)
  await pack(images, tar)
  bundles.push({ title, directory, tar, images: manifest.images })
}

/** A cell for each bundle, by the title of the consumer. */
const page = new Map<string, { readonly command: string; readonly cells: readonly string[] }>()
const reasons: string[] = []

function note(reason: string): string {
  const found = reasons.indexOf(reason)
  return `refused [${found < 0 ? reasons.push(reason) : found + 1}]`
}

async function judge(title: string, start: () => Promise<Consumer>): Promise<void> {
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

const only = process.env['STOWAGE_CONSUMERS']?.split(',')
const wanted = (name: string): boolean => only === undefined || only.includes(name)

if (wanted('registry'))
  await judge('docker-registry', async () => registryConsumer(registry.domain, 'docker-registry 2.8'))
if (wanted('own')) {
  await judge('skopeo', async () => await skopeoConsumer(work))
  await judge('ctr', async () => await ctrConsumer(work))
}
if (wanted('engines')) for (const [name, start] of Object.entries(ENGINES)) await judge(name, start)
if (only === undefined) {
  // Not in this Debian, or not tried yet
  for (const name of [
    'Docker 28',
    'podman 4 and 5',
    'nerdctl',
    'crane',
    'oras',
    'regctl',
    'umoci',
    'docker-registry 3',
  ])
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
end. "Not run" means that the program was not tried where this page was made.

${sections.join('\n')}
## Reasons

${legend}`
}
