/** Some of an image's platforms: what is packed arrives everywhere, and the original index goes with it. */
import { execFile, execFileSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { type Digest, digestOf as sha256 } from '../../src/oci/digest.js'
import { blobPath } from '../../src/oci/layout.js'
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-type.js'
import { openRegistry } from '../../src/registry/client.js'
import { copy } from '../../src/verbs/copy.js'
import { inspect } from '../../src/verbs/inspect.js'
import { loadBundle, type LoadedImage } from '../../src/verbs/load.js'
import { integrityOf } from '../../src/bundle/manifest.js'
import { pack } from '../../src/verbs/pack.js'
import { pushImages } from '../../src/verbs/push.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { stowage } from '../support/command.js'
import { packImagesFile } from '../../src/images-file/pack-images-file.js'
import { addAttestation, makeImage, makeLayer, MemoryBlobs, type TestImage, writeLayout } from '../support/images.js'
import { pushWithSkopeo, startFaultyProxy, startRegistry } from '../support/registry.js'
import { ask, serve } from '../support/serving.js'

const [AMD, ARM, IBM] = ['linux/amd64', 'linux/arm64', 'linux/s390x']
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

interface Evidence {
  readonly image: TestImage
  /** By architecture. */
  readonly manifests: Readonly<Record<string, Descriptor>>
  /** What buildkit attests of the amd64 image, in the index. */
  readonly attestation: Descriptor
  /** Of the index and of the amd64 manifest, by cosign's tags. */
  readonly signatures: readonly (readonly [string, TestImage])[]
}

/** Three platforms, an attestation of the first in the index, a signature of the index and one of the first manifest. */
async function signedImage(): Promise<Evidence> {
  const blobs = new MemoryBlobs()
  const manifests: Record<string, Descriptor> = {}
  for (const architecture of ['amd64', 'arm64', 's390x']) {
    const layer = await makeLayer({ 'platform.txt': architecture })
    manifests[architecture] = makeImage([layer], { platform: { os: 'linux', architecture }, blobs }).root
  }
  const attestation = addAttestation(blobs, manifests['amd64']?.digest)
  const children = [
    ...Object.entries(manifests).map(([architecture, root]) => ({ ...root, platform: { os: 'linux', architecture } })),
    attestation,
  ]
  const root = blobs.add(
    OCI_INDEX,
    json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: children, annotations: { 'org.example.kept': 'yes' } }),
  )
  const signatures = [root, manifests['amd64'] as Descriptor].map(({ digest }) => signatureOf(digest))
  return { image: { ...makeImage([], { blobs }), root }, manifests, attestation, signatures }
}

function signatureOf(digest: Digest): readonly [string, TestImage] {
  const blobs = new MemoryBlobs()
  const config = blobs.add('application/vnd.oci.empty.v1+json', json({}))
  const payload = blobs.add('application/vnd.dev.cosign.simplesigning.v1+json', json({ critical: { image: digest } }))
  const root = blobs.add(OCI_MANIFEST, json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [payload] }))
  return [`${digest.replace(':', '-')}.sig`, { ...makeImage([], { blobs }), root }]
}

const cwd = t.testdir()
const at = (name: string): string => join(cwd, name)
const { image, manifests, attestation, signatures } = await signedImage()
/** What is said of the signature of the index, and of that of the manifest, in the order of their names. */
const inOrder = <T>(ofIndex: T, ofManifest: T): readonly T[] =>
  (signatures[0]?.[0] ?? '') < (signatures[1]?.[0] ?? '') ? [ofIndex, ofManifest] : [ofManifest, ofIndex]
const digestOf = (architecture: string): string => manifests[architecture]?.digest ?? ''
const hub = await startRegistry(t)
const shop = `${hub.domain}/team/shop:2.3`
await pushWithSkopeo(t, hub, 'team/shop:2.3', image)
for (const [tag, signature] of signatures) await pushWithSkopeo(t, hub, `team/shop:${tag}`, signature)

interface Index {
  readonly manifests: readonly Descriptor[]
  readonly annotations?: Readonly<Record<string, string>>
}
const read = (path: string): Index => JSON.parse(readFileSync(path, 'utf8')) as Index // as written by pack

/** Pulls everything that the reference names with skopeo, which wants every manifest of an index. */
async function pullAll(t: Test, source: string, words: readonly string[] = []): Promise<void> {
  await promisify(execFile)('skopeo', ['copy', '--quiet', '--all', ...words, source, `dir:${join(t.testdir(), 'all')}`])
}

const only = ({ images: [first] }: { readonly images: readonly LoadedImage[] }): LoadedImage => first as LoadedImage // one was loaded

t.test('pack - two of three platforms', async t => {
  const { stderr, code } = await stowage([
    'pack',
    `docker://${shop}`,
    '--platform',
    AMD,
    '--platform',
    ARM,
    '-o',
    at('two'),
  ])
  t.equal(code, 0)
  t.match(stderr, /note: .*shop:2\.3: only linux\/amd64, linux\/arm64 of its platforms; 1 manifest left behind\./)
  t.match(stderr, new RegExp(`original index ${image.root.digest} is in the bundle`))
  const bundle = JSON.parse(readFileSync(at('two/bundle.json'), 'utf8')) as {
    images: { root: Descriptor; original: Descriptor; absent: string[] }[]
  }
  const [packed] = bundle.images
  t.match(packed, { original: { digest: image.root.digest }, absent: [digestOf('s390x')] })
  t.same(
    readFileSync(at(`two/${blobPath(image.root.digest)}`)),
    Buffer.from(image.blobs.get(image.root.digest)),
    'the original index is there, byte for byte',
  )
  const [listed] = read(at('two/index.json')).manifests
  t.equal(listed?.digest, packed?.root.digest)
  const stripped = read(at(`two/${blobPath(listed?.digest as Digest)}`))
  t.same(
    stripped.manifests.map(({ digest }) => digest),
    [digestOf('amd64'), digestOf('arm64'), attestation.digest],
    'what remains of it names only what is there, with the attestation',
  )
  t.same(stripped.annotations, { 'org.example.kept': 'yes' })

  const { findings } = await verifyBundle(at('two'))
  t.same(findings, [])
  t.match(await inspect(`bundle:${at('two')}`), { images: [{ root: { digest: image.root.digest } }] })
  execFileSync('sha256sum', ['-c', '--quiet', 'SHA256SUMS'], { cwd: at('two') })
  await pullAll(t, `oci:${at('two')}:2.3`)
  await pack([`docker://${shop}`], at('two.tar'), { platforms: [AMD, ARM] })
  await pullAll(t, `oci-archive:${at('two.tar')}:2.3`)
})

t.test('pack - the bundle is the same whether it is packed from the registry or from a bundle', async t => {
  await pack([`bundle:${at('two')}`], at('again'))
  t.same(readFileSync(at('again/SHA256SUMS')), readFileSync(at('two/SHA256SUMS')))
  await copy(`bundle:${at('two')}`, `bundle:${at('copied')}`)
  t.same(readFileSync(at('copied/SHA256SUMS')), readFileSync(at('two/SHA256SUMS')))
})

t.test('load - a registry that refuses the original index gets what remains of it', async t => {
  const site = await startRegistry(t)
  const { stderr, code } = await stowage(['load', at('two'), '--to', `docker://${site.domain}/mirror`])
  t.equal(code, 0)
  t.match(stderr, new RegExp(`refused the index ${image.root.digest}, which names absent platforms`))
  await pullAll(t, `docker://${site.domain}/mirror/team/shop:2.3`, ['--src-tls-verify=false'])
  const again = await loadBundle(at('two'), { to: `docker://${site.domain}/mirror` })
  t.match(only(again), { strippedFrom: image.root.digest, platforms: [AMD, ARM], error: undefined })

  const refused = await loadBundle(at('two'), { to: `docker://${site.domain}/kept`, sparse: 'keep' })
  t.match(only(refused).error, { code: 'REGISTRY_REFUSED', hint: /omit --sparse keep/ })
})

t.test('load - a registry that accepts the original index keeps it', async t => {
  const site = await startRegistry(t)
  // A stand-in for registries that take an index before its manifests, as crane's and GitHub's do: this one never does
  const lenient = await startFaultyProxy(t, site, (incoming, outgoing) => {
    if (incoming.method !== 'PUT' || !/\/manifests\/2\.3$/.test(incoming.url ?? '')) return undefined
    incoming.resume()
    outgoing.writeHead(201, { 'docker-content-digest': image.root.digest }).end()
    return 'answered'
  })
  const loaded = await loadBundle(at('two'), { to: `docker://${lenient.domain}/mirror` })
  t.match(only(loaded), { id: image.root.digest, strippedFrom: undefined, platforms: [AMD, ARM], error: undefined })
})

t.test('load --platform - chooses manifests inside an image', async t => {
  const site = await startRegistry(t)
  const loaded = await loadBundle(at('two'), { to: `docker://${site.domain}/one`, platforms: [ARM] })
  t.match(only(loaded), { platforms: [ARM], id: digestOf('arm64') })
  await using client = await openRegistry(site.domain, { env: {} })
  t.equal((await client.headManifest('one/team/shop', '2.3'))?.digest, digestOf('arm64'))
  await t.rejects(loadBundle(at('two'), { to: `docker://${site.domain}/one`, platforms: [IBM] }), {
    code: 'IMAGE_NOT_FOUND',
  })
})

t.test('copy and push - from a bundle to a registry that refuses the original index', async t => {
  const site = await startRegistry(t)
  const copied = await copy(`bundle:${at('two')}`, `docker://${site.domain}/copied:1`)
  t.match(copied, { strippedFrom: image.root.digest, platforms: [AMD, ARM] })
  await pullAll(t, `docker://${site.domain}/copied:1`, ['--src-tls-verify=false'])
  await copy(`bundle:${at('two')}`, `oci:${at('store')}`, { name: `${site.domain}/pushed:1` })
  const pushed = await pushImages([`${site.domain}/pushed:1`], { from: `oci:${at('store')}` })
  t.match(pushed.images, [{ strippedFrom: image.root.digest, error: undefined }])
  await pullAll(t, `docker://${site.domain}/pushed:1`, ['--src-tls-verify=false'])
})

t.test('copy - an OCI archive lists what remains, and is read as the original', async t => {
  await copy(`bundle:${at('two')}`, `oci-archive:${at('two.oci.tar')}`)
  await pullAll(t, `oci-archive:${at('two.oci.tar')}:2.3`)
  t.match(await inspect(`oci-archive:${at('two.oci.tar')}`), { images: [{ root: { digest: image.root.digest } }] })
})

t.test('serve - the tag is what is complete, and the original has its digest', async t => {
  const server = await serve(t, [at('two')])
  await pullAll(t, `docker://127.0.0.1:${server.address.port}/team/shop:2.3`, ['--src-tls-verify=false'])
  const { status, body } = await ask(server, `/v2/team/shop/manifests/${image.root.digest}`)
  t.equal(status, 200)
  t.same(body, Buffer.from(image.blobs.get(image.root.digest)))
})

t.test('--sparse - keep and strip', async t => {
  const kept = await pack([`docker://${shop}`], at('kept'), { platforms: [AMD, ARM], sparse: 'keep' })
  t.match(kept.manifest.images, [
    { root: { digest: image.root.digest }, absent: [digestOf('s390x')], original: undefined },
  ])
  t.same((await verifyBundle(at('kept'))).findings, [])
  const site = await startRegistry(t)
  const old = await loadBundle(at('kept'), { to: `docker://${site.domain}/kept` })
  t.match(only(old), { strippedFrom: image.root.digest, error: undefined }, 'which arrives all the same')

  const { manifest, undelivered } = await pack([`docker://${shop}`], at('stripped'), {
    platforms: [AMD, ARM],
    sparse: 'strip',
    referrers: true,
  })
  t.same((await verifyBundle(at('stripped'))).findings, [])
  t.match(manifest.images, [
    { absent: undefined, original: undefined },
    { root: { digest: signatures[1]?.[1].root.digest } },
  ])
  t.equal(manifest.images.length, 2)
  t.same(undelivered, [signatures[0]?.[1].root.digest], 'the signature of the index describes nothing there')
  t.same(
    manifest.images.flatMap(image => image.undelivered ?? []),
    undelivered,
    'and bundle.json says so',
  )
})

t.test('--referrers - evidence travels with one platform', async t => {
  const { manifest } = await pack([`docker://${shop}`], at('one'), { platforms: [AMD], referrers: true })
  t.same((await verifyBundle(at('one'))).findings, [])
  t.match(manifest.images, [
    { original: { digest: image.root.digest }, absent: [digestOf('arm64'), digestOf('s390x')] },
    ...inOrder(
      { root: { digest: signatures[0]?.[1].root.digest } },
      { root: { digest: signatures[1]?.[1].root.digest } },
    ),
  ])
  const [first] = read(at('one/index.json')).manifests
  t.same(
    read(at(`one/${blobPath(first?.digest as Digest)}`)).manifests.map(({ digest }) => digest),
    [digestOf('amd64'), attestation.digest],
  )
  const site = await startRegistry(t)
  const { images } = await loadBundle(at('one'), { to: `docker://${site.domain}/x` })
  t.match(images, [
    { strippedFrom: image.root.digest, error: undefined },
    ...inOrder<object>(
      { leftOut: /it describes sha256:/, id: undefined, error: undefined },
      { id: signatures[1]?.[1].root.digest, error: undefined },
    ),
  ])
  const found = await loadBundle(at('one'), {
    to: `docker://${site.domain}/y`,
    names: [shop],
    referrers: true,
  })
  t.match(only(found), { strippedFrom: image.root.digest, undelivered: [signatures[0]?.[1].root.digest] })
  const plain = await pack([`docker://${shop}`], at('plain'), { platforms: [AMD] })
  t.match(plain.manifest.images, [{ root: { digest: digestOf('amd64') }, absent: undefined, original: undefined }])
})

t.test('verify - names an original that is missing, and one that the stripped index was not made from', async t => {
  const missing = join(t.testdir(), 'missing')
  cpSync(at('two'), missing, { recursive: true })
  rmSync(join(missing, blobPath(image.root.digest)))
  const { findings } = await verifyBundle(missing)
  t.match(findings[0], { code: 'FILE_MISSING', path: blobPath(image.root.digest) })

  const forged = join(t.testdir(), 'forged')
  cpSync(at('two'), forged, { recursive: true })
  const index = readFileSync(join(forged, 'index.json'), 'utf8')
  const other = Buffer.from(index.replace(digestOf('s390x'), `${digestOf('s390x')} ${digestOf('arm64')}`))
  writeFileSync(join(forged, 'index.json'), other)
  const bundle = readFileSync(join(forged, 'bundle.json'), 'utf8')
  const sum = (bytes: string | Buffer): Digest => sha256(Buffer.from(bytes))
  writeFileSync(join(forged, 'bundle.json'), bundle.replace(integrityOf(sum(index)), integrityOf(sum(other))))
  execFileSync('sh', ['-c', 'cut -c67- SHA256SUMS | xargs sha256sum > sums && mv sums SHA256SUMS'], { cwd: forged })
  const report = await verifyBundle(forged)
  t.match(report.findings, [{ code: 'IMAGES_DIFFER', path: 'index.json', message: /is not what remains of sha256:/ }])
})

t.test('pack -f - the lock of some platforms gives the same bundle again', async t => {
  const list = join(t.testdir(), 'images.yaml')
  writeFileSync(list, `version: 1\nimages: [{image: "${shop}", platforms: [${AMD}, ${ARM}]}]\n`)
  const first = await packImagesFile(list, at('listed'))
  const lock = JSON.parse(readFileSync(first.lock ?? '', 'utf8')) as { images: { images: { size: number }[] }[] }
  t.equal(lock.images[0]?.images[0]?.size, first.manifest.images[0]?.size)
  await packImagesFile(list, at('locked'), { locked: true })
  t.same(readFileSync(at('locked/SHA256SUMS')), readFileSync(at('listed/SHA256SUMS')))
})

t.test('pack - platforms of one image that are asked for apart are one image in the bundle', async t => {
  const requests = [AMD, ARM].map(platform => ({ image: `docker://${shop}`, platforms: [platform], referrers: true }))
  for (const output of [at('apart'), at('apart.tar')]) {
    const { manifest } = await pack(requests, output)
    t.same((await verifyBundle(output)).findings, [], output)
    const [first] = manifest.images
    t.match(first, { original: { digest: image.root.digest }, absent: [digestOf('s390x')] })
    t.same(
      first?.platforms.map(({ manifest: digest }) => digest),
      [digestOf('amd64'), digestOf('arm64')],
    )
  }
})

t.test('pack - says which images not everybody takes', async t => {
  const blobs = new MemoryBlobs()
  const config = blobs.add('application/vnd.oci.empty.v1+json', json({}))
  const layers = [blobs.add('application/vnd.cncf.helm.chart.content.v1.tar+gzip', Buffer.from('a chart'))]
  const chart = {
    root: blobs.add(OCI_MANIFEST, json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers })),
    blobs,
  }
  const plain = await makeLayer({ 'a.txt': 'zstd' }, 'none')
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+zstd'
  const blob = execFileSync('zstd', ['-q', '-c'], { input: plain.blob })
  const squeezed = makeImage([{ ...plain, blob, descriptor: { ...plain.descriptor, mediaType } }])
  await writeLayout(at('limits'), { 'chart:1': { ...squeezed, ...chart }, 'squeezed:1': squeezed })
  const sources = ['chart:1', 'squeezed:1'].map(name => `oci:${at('limits')}:${name}`)
  const { stderr, code } = await stowage(['pack', ...sources, '-o', at('limited.tar')])
  t.equal(code, 0, stderr)
  t.match(stderr, /note: chart:1 is an artifact, not a container image: .* engines do not/)
  t.match(stderr, /note: squeezed:1 has zstd layers, which Docker 20\.10 and umoci 0\.4 cannot read\./)
})

t.test('pack - an image named by its digest keeps that name, and loads to a registry under it', async t => {
  const named = `${shop.slice(0, shop.lastIndexOf(':'))}@${image.root.digest}`
  const { manifest } = await pack([`docker://${named}`], at('by-digest'))
  t.same(manifest.images[0]?.names, [named])
  t.same((await verifyBundle(at('by-digest'))).findings, [])
  const site = await startRegistry(t)
  const { id } = only(await loadBundle(at('by-digest'), { to: `docker://${site.domain}/mirror` }))
  t.equal(id, image.root.digest)
  const there = `docker://${named.replace(/^[^/]+/, `${site.domain}/mirror`)}`
  t.match(await inspect(there), { images: [{ root: { digest: image.root.digest } }] })
})
