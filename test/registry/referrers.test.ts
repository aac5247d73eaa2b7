import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { openBundleReader } from '../../src/bundle/reader.js'
import { copy } from '../../src/verbs/copy.js'
import { loadBundle } from '../../src/verbs/load.js'
import { describe, type Descriptor } from '../../src/oci/descriptor.js'
import { digestOf } from '../../src/oci/digest.js'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import { pack } from '../../src/verbs/pack.js'
import { type FoundManifest, openRegistry, type RegistryClient } from '../../src/registry/client.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { multiPlatformImage } from '../support/images.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'

const EMPTY = Buffer.from('{}')
const registry = await startRegistry(t)
const image = await multiPlatformImage()
await pushWithSkopeo(t, registry, 'team/shop:2.3', image)
const name = `${registry.domain}/team/shop`

/** Puts an artifact of one blob there, about `subject`, under its digest or a tag. */
async function attach(
  client: RegistryClient,
  text: string,
  { subject, tag }: { subject?: Descriptor; tag?: string },
): Promise<Descriptor> {
  const artifact = await blobsOf(client, text, subject)
  await client.putManifest('team/shop', tag ?? artifact.descriptor.digest, artifact)
  return artifact.descriptor
}

/** All of such an artifact but its manifest, which is given. */
async function blobsOf(client: RegistryClient, text: string, subject: Descriptor | undefined): Promise<FoundManifest> {
  const blob = describe('application/spdx+json', Buffer.from(text))
  const config = describe('application/vnd.oci.empty.v1+json', EMPTY)
  await client.putBlob('team/shop', blob, async function* () {
    yield Buffer.from(text)
  })
  await client.putBlob('team/shop', config, async function* () {
    yield EMPTY
  })
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      artifactType: 'application/spdx+json',
      config,
      layers: [blob],
      ...(subject ? { subject } : {}),
    }),
  )
  return { descriptor: describe(OCI_MANIFEST, bytes), bytes }
}

const client = await openRegistry(registry.domain, { env: {} })
t.teardown(async () => await client[Symbol.asyncDispose]())
const child = (JSON.parse(Buffer.from(image.blobs.get(image.root.digest)).toString()) as { manifests: Descriptor[] })
  .manifests[0]!
const sbom = await attach(client, 'what is in it', {
  subject: { mediaType: child.mediaType, digest: child.digest, size: child.size },
})
const about = await attach(client, 'who says so', { subject: sbom })
const cosignTag = `${image.root.digest.replace(':', '-')}.sig`
const signature = await attach(client, 'a signature', { tag: cosignTag })

t.test('a registry without a list of referrers gets it under the tag of the distribution-spec', async t => {
  const tag = child.digest.replace(':', '-')
  const raw = execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${name}:${tag}`], {
    encoding: 'utf8',
  })
  t.match(JSON.parse(raw), {
    mediaType: OCI_INDEX,
    manifests: [{ digest: sbom.digest, artifactType: 'application/spdx+json' }],
  })
  const more = await attach(client, 'a second one', { subject: child })
  t.same(
    (await client.referrers('team/shop', child.digest)).map(({ digest }) => digest),
    [sbom.digest, more.digest],
    'one after another',
  )
})

t.test('many at a time are all in that list', async t => {
  const artifacts: FoundManifest[] = []
  for (let n = 0; n < 8; n += 1) artifacts.push(await blobsOf(client, `at once ${n}`, about))
  await Promise.all(
    artifacts.map(async artifact => await client.putManifest('team/shop', artifact.descriptor.digest, artifact)),
  )
  t.same(
    new Set((await client.referrers('team/shop', about.digest)).map(({ digest }) => digest)),
    new Set(artifacts.map(({ descriptor }) => descriptor.digest)),
  )
})

t.test("pack takes along what is about an image, by subject and by cosign's tags, and what is about that", async t => {
  const bundle = join(t.testdir(), 'site')
  const without = await pack([`${name}:2.3`], join(t.testdir(), 'plain'))
  t.equal(without.manifest.images.length, 1, 'only where it is asked for')
  await pack([`${name}:2.3`], bundle, { referrers: true })
  t.same((await verifyBundle(bundle)).findings, [])
  await using reader = await openBundleReader(bundle)
  const names = new Map(reader.manifest.images.map(({ root, names: own }) => [root.digest, own]))
  t.same(names.get(image.root.digest), [`${name}:2.3`])
  t.same(names.get(sbom.digest), [`${name}@${sbom.digest}`])
  t.same(names.get(about.digest), [`${name}@${about.digest}`])
  t.same(names.get(signature.digest), [`${name}:${cosignTag}`])

  const site = await startRegistry(t)
  const loaded = await loadBundle(bundle, { to: `docker://${site.domain}/mirror` })
  t.same(
    loaded.images.filter(({ error }) => error),
    [],
  )
  const raw = (tag: string) =>
    execFileSync('skopeo', [
      'inspect',
      '--raw',
      '--tls-verify=false',
      `docker://${site.domain}/mirror/team/shop:${tag}`,
    ])
  t.equal(digestOf(raw('2.3')), image.root.digest)
  t.equal(digestOf(raw(cosignTag)), signature.digest)
  const listed = JSON.parse(raw(child.digest.replace(':', '-')).toString()) as {
    readonly manifests: readonly { readonly digest: string }[]
  }
  t.ok(
    listed.manifests.some(({ digest }) => digest === sbom.digest),
    'and its registry lists them',
  )

  const onward = await startRegistry(t)
  const copied = await copy(`bundle:${bundle}:${name}:2.3`, `docker://${onward.domain}/other/app:1`, {
    referrers: true,
  })
  t.ok(
    copied.referrers.includes(sbom.digest) && copied.referrers.includes(signature.digest),
    'a bundle tells of them too',
  )
  const there = execFileSync('skopeo', [
    'inspect',
    '--raw',
    '--tls-verify=false',
    `docker://${onward.domain}/other/app:${cosignTag}`,
  ])
  t.equal(digestOf(there), signature.digest, 'in the repository that the image has there')
})

t.test('copy takes them from one registry to another, and into a layout', async t => {
  const onward = await startRegistry(t)
  const copied = await copy(`docker://${name}:2.3`, `docker://${onward.domain}/app/one:9`, { referrers: true })
  t.ok([sbom, about, signature].every(({ digest }) => copied.referrers.includes(digest)))
  await using there = await openRegistry(onward.domain, { env: {} })
  t.ok((await there.referrers('app/one', child.digest)).some(({ digest }) => digest === sbom.digest))
  t.ok((await there.referrers('app/one', sbom.digest)).some(({ digest }) => digest === about.digest))
  const layout = join(t.testdir(), 'layout')
  await copy(`docker://${name}:2.3`, `oci:${layout}`, { referrers: true })
  const back = await copy(`oci:${layout}:${name}:2.3`, `docker://${onward.domain}/app/two:9`, { referrers: true })
  t.equal(back.referrers.length, copied.referrers.length)
})
