/** Archives whose two lists differ, and other odd ones from public bug reports: nothing vanishes without a word. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Descriptor } from '../../../src/oci/descriptor.js'
import { hexOf } from '../../../src/oci/digest.js'
import { blobPath } from '../../../src/oci/layout.js'
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/oci/media-type.js'
import { copy } from '../../../src/verbs/copy.js'
import { listImages } from '../../../src/verbs/images.js'
import { inspect } from '../../../src/verbs/inspect.js'
import { pack } from '../../../src/verbs/pack.js'
import type { PackOptions } from '../../../src/verbs/pack-requests.js'
import { removeImages } from '../../../src/verbs/remove.js'
import { type Entries, makeArchive } from '../../support/archives.js'
import { serve } from '../../support/serving.js'
import { makeImage, makeLayer, MemoryBlobs, type TestImage, writeLayout } from '../../support/images.js'

const scratch = t.testdir()
let count = 0
/** A path that nothing is at yet. */
const fresh = (name: string): string => join(scratch, `${count++}-${name}`)

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const one = makeImage([await makeLayer({ 'a.txt': 'one' }, 'none')])
const two = makeImage([await makeLayer({ 'a.txt': 'two' }, 'none')])

const blobsOf = ({ blobs }: TestImage): Entries =>
  Object.fromEntries(blobs.digests().map(digest => [blobPath(digest), Buffer.from(blobs.get(digest))]))
const listed = ({ config, layers }: TestImage, tags: readonly string[] | null) => ({
  Config: blobPath(config.digest),
  RepoTags: tags,
  Layers: layers.map(({ digest }) => blobPath(digest)),
})
const index = (manifests: unknown): Buffer => json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests })
const named = ({ root }: TestImage, name: string) => ({ ...root, annotations: { 'io.containerd.image.name': name } })

/** What `docker save` of Docker 25 and later writes, with these lists. */
async function saved(manifests: unknown, docker: readonly unknown[]): Promise<string> {
  const file = fresh('saved.tar')
  const documents = { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': index(manifests) }
  writeFileSync(
    file,
    await makeArchive({ ...documents, ...blobsOf(one), ...blobsOf(two), 'manifest.json': json(docker) }),
  )
  return file
}

async function packed(image: string, options: PackOptions = {}) {
  const { manifest } = await pack([image], fresh('bundle'), options)
  return manifest.images.map(({ names, platforms }) => ({
    names,
    layers: platforms.flatMap(({ layers }) => layers.map(({ digest }) => digest)),
  }))
}
const layersOf = ({ layers }: TestImage) => layers.map(({ digest }) => digest)

for (const scheme of ['docker-archive', 'oci-archive']) {
  t.test(`${scheme}: images and names that stand in one list only are taken`, async t => {
    const file = await saved([one.root], [listed(one, null), listed(two, null)])
    t.match(await packed(`${scheme}:${file}`), [{ layers: layersOf(one) }, { layers: layersOf(two) }])
    t.match(await packed(`${scheme}:${file}:@1`), [{ layers: layersOf(two) }])
    const names = await saved(
      [named(one, 'docker.io/library/a:1')],
      [listed(one, ['a:1', 'b:1']), listed(two, ['c:1'])],
    )
    t.same(
      (await packed(`${scheme}:${names}`)).map(each => each.names),
      [['docker.io/library/a:1', 'docker.io/library/b:1'], ['docker.io/library/c:1']],
    )
    t.match(await packed(`${scheme}:${names}:c:1`), [{ layers: layersOf(two) }])
  })

  t.test(`${scheme}: a list that is null or empty leaves it to the other`, async t => {
    for (const manifests of [null, []]) {
      const file = await saved(manifests, [listed(one, ['a:1'])])
      t.match(await packed(`${scheme}:${file}`), [{ names: ['docker.io/library/a:1'], layers: layersOf(one) }])
    }
    const file = await saved([named(one, 'docker.io/library/a:1')], [])
    t.match(await packed(`${scheme}:${file}`), [{ names: ['docker.io/library/a:1'] }])
  })

  t.test(`${scheme}: lists that contradict each other are an error, unless a digest decides`, async t => {
    const file = await saved([named(one, 'docker.io/library/a:1')], [listed(two, ['a:1'])])
    await t.rejects(packed(`${scheme}:${file}`), {
      code: 'INVALID_MANIFEST',
      message: /a:1 is sha256:.* by index\.json but sha256:.* by manifest\.json/,
      hint: /by its digest/,
    })
    t.match(await packed(`${scheme}:${file}:${one.root.digest}`), [{ layers: layersOf(one) }])
  })
}

t.test('docker-archive: a name that cannot be kept is reported', async t => {
  const file = await saved([], [listed(one, ['plant/Pump:1.0'])])
  const notices: string[] = []
  t.match(await packed(`docker-archive:${file}`, { onNotice: sentence => notices.push(sentence) }), [{ names: [] }])
  t.match(notices, [/"plant\/Pump:1\.0" cannot be the name of an image: .*--tag/])
})

t.test('docker-archive: a layer that was left out for an engine is named', async t => {
  const entry = { ...listed(one, ['a:1']), Layers: [''] }
  const file = await saved([], [entry])
  await t.rejects(packed(`docker-archive:${file}`), {
    code: 'BLOB_MISSING',
    message: new RegExp(`layer 1 \\(${one.layers[0]?.digest}\\) is left out`),
    hint: /save the image from there/,
  })
})

t.test('docker-archive: a tar whose members are whole needs no end', async t => {
  const file = await saved([], [listed(one, ['a:1'])])
  execFileSync('python3', ['-c', END, file])
  t.match(await packed(`docker-archive:${file}`), [{ layers: layersOf(one) }])
  execFileSync('truncate', ['-s', '-600', file])
  await t.rejects(packed(`docker-archive:${file}`), { code: 'INVALID_TAR' }, 'but a member cut short is damage')
})
/** Cuts off the zero blocks at the end. */
const END = `
import sys, tarfile
name = sys.argv[1]
end = max(m.offset_data + (m.size + 511) // 512 * 512 for m in tarfile.open(name))
open(name, 'r+b').truncate(end)
`

t.test('oci: an artifact whose config has the type of an image and says nothing is carried', async t => {
  const blobs = new MemoryBlobs()
  const config = blobs.add('application/vnd.oci.image.config.v1+json', json({}))
  const layer = blobs.add('application/vnd.oci.image.layer.v1.tar+gzip', Buffer.from('policy'))
  const root = blobs.add(OCI_MANIFEST, json({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [layer] }))
  const directory = fresh('layout')
  await writeLayout(directory, { 'policy:1': { ...makeImage([], { blobs }), root } })
  t.match(await packed(`oci:${directory}:policy:1`), [{ names: ['docker.io/library/policy:1'], layers: [] }])
  const { images } = await inspect(`oci:${directory}:policy:1`)
  t.match(images, [{ platforms: [], others: [{ type: 'artifact', manifest: { digest: root.digest } }] }])
  t.same((await listImages({ store: `oci:${directory}` })).images, [], 'it is no image that could run')
  const server = await serve(t, [`oci:${directory}`])
  t.match(server, { warnings: [], images: [{ platforms: [] }] })
})

t.test('oci: referrers are found by cosign tags and by the list under a tag, without a repository', async t => {
  const directory = fresh('layout')
  const blobs = new MemoryBlobs()
  const empty = blobs.add('application/vnd.oci.empty.v1+json', json({}))
  const manifest = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: empty, layers: [empty] }
  const sbom = blobs.add(OCI_MANIFEST, json({ ...manifest, subject: one.root, artifactType: 'application/spdx+json' }))
  const signature = blobs.add(OCI_MANIFEST, json(manifest))
  const list = blobs.add(OCI_INDEX, index([sbom]))
  await writeLayout(directory, { 'x:1': one })
  mkdirSync(join(directory, 'blobs', 'sha256'), { recursive: true })
  for (const digest of blobs.digests()) writeFileSync(join(directory, blobPath(digest)), blobs.get(digest))
  const refName = (name: string) => ({ annotations: { 'org.opencontainers.image.ref.name': name } })
  const tag = `sha256-${hexOf(one.root.digest)}`
  const entries = [
    { ...one.root, ...refName('1') },
    { ...list, ...refName(tag) },
    { ...signature, ...refName(`${tag}.sig`) },
  ]
  writeFileSync(join(directory, 'index.json'), index(entries))
  const { manifest: bundle } = await pack([`oci:${directory}`], fresh('bundle'), {
    referrers: true,
    names: ['x:1'],
  })
  t.match(bundle.images, [
    { root: { digest: one.root.digest } },
    { root: { digest: signature.digest }, names: [`docker.io/library/x:${tag}.sig`] },
    { root: { digest: sbom.digest }, names: [`docker.io/library/x@${sbom.digest}`] },
  ])
  t.equal(bundle.images.length, 3)
})

// What Docker 25 to 29 save of an image of which it holds some platforms: the index, and what there is of it
t.test('platforms that docker does not hold are absent, in an archive, compressed, and unpacked', async t => {
  const blobs = new MemoryBlobs()
  const platforms: { manifest: Descriptor; layers: readonly Descriptor[]; architecture: string }[] = []
  for (const architecture of ['amd64', 'arm64', 's390x', 'ppc64le']) {
    const layer = await makeLayer({ 'platform.txt': architecture })
    const { root, layers } = makeImage([layer], { platform: { os: 'linux', architecture }, blobs })
    platforms.push({ manifest: root, layers, architecture })
  }
  const manifests = platforms.map(({ manifest, architecture }) => ({
    ...manifest,
    platform: { os: 'linux', architecture },
  }))
  const root = blobs.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
  const [amd, arm, ibm, power] = platforms.map(({ manifest }) => manifest.digest)
  const save = async (without: readonly (string | undefined)[]): Promise<readonly string[]> => {
    const documents = {
      'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
      'index.json': index([{ ...root, annotations: { 'io.containerd.image.name': 'docker.io/lab/multi:1' } }]),
      'manifest.json': json([
        {
          Config: blobPath(JSON.parse(Buffer.from(blobs.get(amd!)).toString()).config.digest),
          RepoTags: ['lab/multi:1'],
          Layers: platforms[0]?.layers.map(({ digest }) => blobPath(digest)),
        },
      ]),
    }
    const there = blobs.digests().filter(digest => !without.includes(digest))
    const files = Object.fromEntries(there.map(digest => [blobPath(digest), Buffer.from(blobs.get(digest))]))
    const file = fresh('saved.tar')
    writeFileSync(file, await makeArchive({ ...documents, ...files }))
    const unpacked = fresh('unpacked')
    mkdirSync(unpacked)
    execFileSync('tar', ['-xf', file, '-C', unpacked])
    execFileSync('xz', ['-k', file])
    return [`docker-archive:${file}`, `oci-archive:${file}`, `docker-archive:${file}.xz`, `oci:${unpacked}`]
  }
  const platformsIn = async (image: string, options: PackOptions = {}) => {
    const [found] = (await pack([image], fresh('bundle'), options)).manifest.images
    const architectures = found?.platforms.map(({ platform }) => platform.architecture)
    return { architectures, absent: found?.absent, names: found?.names, root: (found?.original ?? found?.root)?.digest }
  }
  const names = ['docker.io/lab/multi:1']

  for (const image of await save([ibm, platforms[3]?.layers[0]?.digest])) {
    const all = { architectures: ['amd64', 'arm64'], absent: [ibm, power], names, root: root.digest }
    t.same(await platformsIn(image), all, `${image}: a manifest and a layer are not there`)
    t.match(await platformsIn(image, { platforms: ['linux/arm64'] }), { architectures: ['arm64'], root: arm })
    t.match(await platformsIn(`${image}:lab/multi:1`), all)
    await t.rejects(platformsIn(image, { platforms: ['linux/s390x'] }), { message: /s390x/ }, image)
  }
  for (const image of await save([arm, ibm, power])) {
    t.match(await platformsIn(image), { architectures: ['amd64'], root: amd, names }, `${image}: one is there`)
  }
  for (const image of await save(platforms.map(({ layers }) => layers[0]?.digest)))
    await t.rejects(platformsIn(image), { code: 'BLOB_MISSING', hint: /complete image/ }, `${image}: none is there`)
})

t.test('oci: an unpacked archive of an older docker is named, with what to do', async t => {
  const directory = fresh('old')
  mkdirSync(directory)
  writeFileSync(join(directory, 'manifest.json'), '[]')
  await t.rejects(packed(`oci:${directory}`), { code: 'NOT_A_LAYOUT', hint: /tar -C .* docker-archive:/ })
})

t.test('oci: an unpacked archive of docker can be changed, and its index.json counts then', async t => {
  const file = await saved([named(one, 'docker.io/library/a:1')], [listed(one, ['a:1'])])
  const directory = fresh('changed')
  mkdirSync(directory)
  execFileSync('tar', ['-xf', file, '-C', directory])
  const other = fresh('other')
  await writeLayout(other, { 'a:1': two, 'b:1': two })
  await copy(`oci:${other}:b:1`, `oci:${directory}`)
  await copy(`oci:${other}:a:1`, `oci:${directory}`)
  t.match(await packed(`oci:${directory}:a:1`), [{ layers: layersOf(two) }], 'the name has moved')
  await removeImages(['a:1'], { store: `oci:${directory}` })
  t.match(await packed(`oci:${directory}:b:1`), [{ layers: layersOf(two) }])
})

t.test('oci: an unpacked archive whose index.json lists nothing is what manifest.json lists', async t => {
  const file = await saved([], [listed(one, ['a:1']), listed(two, ['b:1'])])
  const directory = fresh('unlisted')
  mkdirSync(directory)
  execFileSync('tar', ['-xf', file, '-C', directory])
  t.match(await packed(`oci:${directory}:a:1`), [{ names: ['docker.io/library/a:1'], layers: layersOf(one) }])
  await t.rejects(packed(`oci:${directory}`), { code: 'IMAGE_NOT_FOUND' })
})

t.test('an index that lists the same again and again is read once', async t => {
  const blobs = new MemoryBlobs()
  const image = makeImage([await makeLayer({ 'a.txt': 'deep' }, 'none')], { blobs })
  let root = image.root
  for (let depth = 0; depth < 7; depth += 1) {
    const manifests = Array.from({ length: 20 }, () => root)
    root = blobs.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }))
  }
  const files = Object.fromEntries(blobs.digests().map(digest => [blobPath(digest), Buffer.from(blobs.get(digest))]))
  const documents = { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': index([root]) }
  const file = fresh('deep.tar')
  writeFileSync(file, await makeArchive({ ...documents, ...files, 'manifest.json': '[]' }))
  const before = process.cpuUsage()
  await inspect(`docker-archive:${file}`)
  const { user, system } = process.cpuUsage(before)
  t.ok(user + system < 5_000_000, `${(user + system) / 1000} ms of processor time`)
})
