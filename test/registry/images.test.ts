import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { copy } from '../../src/verbs/copy.js'
import { loadBundle } from '../../src/verbs/load.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { digestOf } from '../../src/oci/digest.js'
import { OCI_INDEX } from '../../src/oci/media-type.js'
import { formatPlatform, type Platform } from '../../src/oci/platform.js'
import { pack } from '../../src/verbs/pack.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { sumsAgree } from '../support/bundles.js'
import { makeImage, makeLayer, MemoryBlobs, noise, type TestImage, writeLayout } from '../support/images.js'
import { startRegistry, startServer } from '../support/registry.js'

/** An index of images for these platforms, each with an attestation as buildkit makes them; the last is in an index of its own. */
async function widelyBuilt(
  platforms: readonly Platform[],
): Promise<TestImage & { readonly children: readonly Descriptor[] }> {
  const blobs = new MemoryBlobs()
  const add = (mediaType: string, value: unknown) => blobs.add(mediaType, Buffer.from(JSON.stringify(value)))
  const children: Descriptor[] = []
  const attestations: Descriptor[] = []
  let first: TestImage | undefined
  for (const platform of platforms) {
    const layer = await makeLayer({ os: formatPlatform(platform), data: noise(50_000, formatPlatform(platform)) })
    const image = makeImage([layer], { platform, blobs })
    first ??= image
    children.push({ ...image.root, platform })
    const statement = makeImage([await makeLayer({ provenance: `of ${image.root.digest}` })], {
      platform: { os: 'unknown', architecture: 'unknown' },
      blobs,
    })
    attestations.push({
      ...statement.root,
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: {
        'vnd.docker.reference.type': 'attestation-manifest',
        'vnd.docker.reference.digest': image.root.digest,
      },
    })
  }
  const inner = add(OCI_INDEX, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: children.slice(-1) })
  const root = add(OCI_INDEX, {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: [...children.slice(0, -1), ...attestations, inner],
  })
  return { ...first!, root, blobs, children }
}

const PLATFORMS: readonly Platform[] = [
  { os: 'linux', architecture: 'amd64' },
  { os: 'linux', architecture: 'arm', variant: 'v7' },
  { os: 'linux', architecture: 'arm64' },
  { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.169' },
  { os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763.1' },
]
const registry = await startRegistry(t, ["validation: {manifests: {urls: {allow: ['^https?://']}}}"])
const image = await widelyBuilt(PLATFORMS)
const layout = join(t.testdir(), 'layout')
await writeLayout(layout, { 'shop:2.3': image })
const name = `${registry.domain}/team/shop:2.3`
await copy(`oci:${layout}`, `docker://${name}`)
const rawOf = (words: readonly string[]) => execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', ...words])

t.test('an index with attestations and an index in it goes from place to place byte for byte', async t => {
  t.equal(digestOf(rawOf([`docker://${name}`])), image.root.digest)
  const bundle = join(t.testdir(), 'bundle')
  const { manifest } = await pack([name], bundle)
  t.equal(manifest.images[0]?.root.digest, image.root.digest)
  t.same(
    manifest.images[0]?.platforms.map(({ platform }) => formatPlatform(platform)),
    PLATFORMS.map(formatPlatform),
  )
  t.same((await verifyBundle(bundle)).findings, [])
  t.same(
    new Set(
      manifest.files
        .filter(({ path }) => path.startsWith('blobs/'))
        .map(({ path }) => path.slice('blobs/sha256/'.length)),
    ),
    new Set(image.blobs.digests().map(digest => digest.slice('sha256:'.length))),
  )
})

t.test('of one platform its manifest is the image, and nothing of the others comes', async t => {
  for (const [selector, n] of [
    ['linux/arm/v7', 1],
    ['linux/arm64', 2],
    ['windows/amd64:10.0.20348', 3],
    ['windows/amd64:10.0.17763.1', 4],
  ] as const) {
    const bundle = join(t.testdir(), 'bundle')
    const { manifest } = await pack([name], bundle, { platforms: [selector] })
    t.equal(manifest.images[0]?.root.digest, image.children[n]!.digest, selector)
    t.equal(manifest.files.filter(({ path }) => path.startsWith('blobs/')).length, 3)
    t.same((await verifyBundle(bundle)).findings, [])
  }
})

t.test('of several platforms the index stays as it is, without the others, and every reader says so', async t => {
  const directory = t.testdir()
  const bundle = join(directory, 'bundle')
  const { manifest } = await pack([name], bundle, { platforms: ['linux/amd64', 'linux/arm64'] })
  const [packed] = manifest.images
  t.equal(packed?.original?.digest, image.root.digest)
  t.same(
    packed?.platforms.map(({ platform }) => formatPlatform(platform)),
    ['linux/amd64', 'linux/arm64'],
  )
  t.ok(packed?.absent?.includes(image.children[1]!.digest))
  t.same((await verifyBundle(bundle)).findings, [])
  t.ok(sumsAgree(bundle))
  const files = manifest.files.map(({ path }) => path)
  t.notOk(files.includes(`blobs/sha256/${image.children[3]!.digest.slice(7)}`))
  const attestation = image.blobs.digests().filter(digest => files.includes(`blobs/sha256/${digest.slice(7)}`))
  t.equal(
    attestation.length,
    1 + 1 + 2 * 3 + 2 * 3,
    'both indexes, and manifest, config and layer of both images and of their attestations',
  )

  // As a layout, and out of it again
  await copy(`bundle:${bundle}`, `oci:${join(directory, 'onward')}`)
  await copy(`oci:${join(directory, 'onward')}`, `oci:${join(directory, 'one')}`, { platforms: ['linux/arm64'] })
  const again = await pack([`oci:${join(directory, 'onward')}`], join(directory, 'again.tar'))
  t.same(again.manifest.images[0]?.absent, packed?.absent)
  t.same((await verifyBundle(join(directory, 'again.tar'))).findings, [])
  const words = [
    '--override-os',
    'linux',
    '--override-arch',
    'arm64',
    'copy',
    '--quiet',
    `oci:${bundle}:2.3`,
    `dir:${join(directory, 'dir')}`,
  ]
  execFileSync('skopeo', words)
  t.equal(
    digestOf(readFileSync(join(directory, 'dir', 'manifest.json'))),
    image.children[2]!.digest,
    'skopeo takes one of it',
  )

  await t.rejects(copy(`bundle:${bundle}`, `oci:${join(directory, 'none')}`, { platforms: ['windows'] }), {
    code: 'IMAGE_NOT_FOUND',
  })
  await copy(`docker://${name}`, `oci:${join(directory, 'onward')}`)
  const whole = await pack([`oci:${join(directory, 'onward')}`], join(directory, 'whole'))
  t.notOk(whole.manifest.images[0]?.absent, 'a layout that gets the rest later is whole')
})

t.test('a platform that an image does not have is an error that names those it has', async t => {
  const bundle = join(t.testdir(), 'bundle')
  await t.rejects(pack([name], bundle, { platforms: ['linux/amd64', 'linux/s390x'] }), {
    code: 'IMAGE_NOT_FOUND',
    message: /linux\/s390x/,
    hint: /linux\/arm\/v7/,
  })
  await t.rejects(pack([name], bundle, { platforms: ['Linux'] }), { code: 'INVALID_ARGUMENT' })
  const single = join(t.testdir(), 'single')
  await writeLayout(single, { 'one:1': makeImage([await makeLayer({ a: 'b' })], { platform: PLATFORMS[2]! }) })
  await t.rejects(pack([`oci:${single}`], bundle, { platforms: ['linux/amd64'] }), {
    code: 'IMAGE_NOT_FOUND',
    hint: /linux\/arm64/,
  })
  await pack([`oci:${single}`], bundle, { platforms: ['linux/arm64'] })
})

/** An image whose lowest layer is foreign: in no registry, at an address of its own. */
async function foreignImage(urls: readonly string[]) {
  const blobs = new MemoryBlobs()
  const [base, own] = [
    await makeLayer({ 'Files/Windows/a': noise(300_000, 'base') }),
    await makeLayer({ 'Files/app': 'mine' }),
  ]
  const made = makeImage([base, own], { platform: PLATFORMS[3]!, blobs })
  const document = JSON.parse(Buffer.from(blobs.get(made.root.digest)).toString()) as {
    layers: Record<string, unknown>[]
  }
  document.layers[0] = {
    ...document.layers[0],
    mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    urls,
  }
  const root = blobs.add(made.root.mediaType, Buffer.from(JSON.stringify(document)))
  return { image: { ...made, root }, layer: base, document }
}

t.test('a foreign layer is fetched where it says it is, checked, and kept foreign or made plain', async t => {
  const seen: (string | undefined)[] = []
  let bytes: Uint8Array = Buffer.alloc(0)
  const elsewhere = await startServer(t, (request, response) => {
    seen.push(request.headers.authorization)
    if (request.url === '/gone') response.writeHead(404).end()
    else response.end(bytes)
  })
  const {
    image: foreign,
    layer,
    document,
  } = await foreignImage([`http://${elsewhere}/gone`, `http://${elsewhere}/base`])
  bytes = layer.blob
  const directory = t.testdir()
  await pushForeign(t, foreign, document)
  const bundle = join(directory, 'bundle')
  const kept = await pack([`${registry.domain}/win/app:1`], bundle)
  t.equal(kept.manifest.images[0]?.root.digest, foreign.root.digest)
  t.same((await verifyBundle(bundle)).findings, [])
  t.same(seen, [undefined, undefined], 'nobody is told there who we are')

  const plain = await pack([`${registry.domain}/win/app:1`], join(directory, 'plain'), { foreignLayers: 'plain' })
  t.not(plain.manifest.images[0]?.root.digest, foreign.root.digest)
  t.same((await verifyBundle(join(directory, 'plain'))).findings, [])
  const site = await startRegistry(t)
  await loadBundle(join(directory, 'plain'), { to: `docker://${site.domain}` })
  execFileSync('skopeo', [
    '--override-os',
    'windows',
    'copy',
    '--quiet',
    '--src-tls-verify=false',
    `docker://${site.domain}/win/app:1`,
    `oci:${join(directory, 'theirs')}:1`,
  ])

  bytes = noise(layer.blob.length, 'another')
  await t.rejects(pack([`${registry.domain}/win/app:1`], join(directory, 'wrong')), { code: 'DIGEST_MISMATCH' })
})

/** All but the foreign layer, as a registry has it; skopeo skips such layers. */
async function pushForeign(
  t: Test,
  { root, blobs }: TestImage,
  document: { layers: Record<string, unknown>[] },
): Promise<void> {
  const upload = async (path: string, method: string, headers: Record<string, string>, body?: Uint8Array) =>
    await fetch(new URL(path, `http://${registry.domain}`), {
      method,
      headers,
      ...(body ? { body: Buffer.from(body) } : {}),
    })
  const { config, layers } = document as unknown as { config: Descriptor; layers: Descriptor[] }
  for (const blob of [config, layers[1]!]) {
    const begun = await upload('/v2/win/app/blobs/uploads/', 'POST', {})
    const place = new URL(begun.headers.get('location') ?? '', `http://${registry.domain}`)
    place.searchParams.set('digest', blob.digest)
    t.equal((await upload(place.href, 'PUT', {}, blobs.get(blob.digest))).status, 201)
  }
  const put = await upload('/v2/win/app/manifests/1', 'PUT', { 'content-type': root.mediaType }, blobs.get(root.digest))
  t.equal(put.status, 201, await put.text())
}

t.test('files are carried beside the images, checked like everything else', async t => {
  const directory = t.testdir({ 'compose.yaml': 'services: {}', big: 'x'.repeat(3_000_000) })
  for (const output of [join(directory, 'site'), join(directory, 'site.tar')]) {
    const files = [
      { from: join(directory, 'compose.yaml'), path: 'compose.yaml' },
      { from: join(directory, 'big'), path: 'data/big.bin' },
    ]
    await pack([`oci:${layout}`], output, { files })
    t.same((await verifyBundle(output)).findings, [])
  }
  t.equal(readFileSync(join(directory, 'site', 'files', 'compose.yaml'), 'utf8'), 'services: {}')
  t.ok(sumsAgree(join(directory, 'site')))
  const listed = execFileSync('tar', ['tf', join(directory, 'site.tar')], { encoding: 'utf8' })
  t.match(listed, /^files\/data\/big\.bin$/m)
  for (const path of ['../up', '/etc/passwd', 'a//b', 'con', 'what?.txt', 'dot.', '', 'x'.repeat(300)]) {
    const packing = pack([`oci:${layout}`], join(directory, 'refused'), {
      files: [{ from: join(directory, 'big'), path }],
    })
    await t.rejects(packing, { code: 'INVALID_ARGUMENT' }, JSON.stringify(path))
  }
  const twice = ['One', 'one'].map(path => ({ from: join(directory, 'big'), path }))
  await t.rejects(pack([`oci:${layout}`], join(directory, 'refused'), { files: twice }), {
    code: 'INVALID_ARGUMENT',
    message: /the same name on FAT/,
  })
})
