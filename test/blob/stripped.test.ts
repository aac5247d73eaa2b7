import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { rootEntry, stripAbsent, strippedAway, withStripped } from '../../src/blob/stripped.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { OCI_INDEX } from '../../src/oci/media-type.js'
import { makeImage, makeLayer, MemoryBlobs } from '../support/images.js'

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
const blobs = new MemoryBlobs()

async function manifestOf(architecture: string): Promise<Descriptor> {
  const layer = await makeLayer({ 'platform.txt': architecture })
  return makeImage([layer], { platform: { os: 'linux', architecture }, blobs }).root
}

const indexOf = (manifests: readonly Descriptor[], more: object = {}): Descriptor =>
  blobs.add(OCI_INDEX, json({ schemaVersion: 2, mediaType: OCI_INDEX, ...more, manifests }))

const [amd, arm, ibm] = [await manifestOf('amd64'), await manifestOf('arm64'), await manifestOf('s390x')]
const note = { annotations: { 'org.example.note': 'kept' }, 'vendor.field': [1, 2] }

t.test('stripAbsent() leaves an index that names only what is there', async t => {
  const root = indexOf([amd, arm, ibm], note)
  const image = await readImage(blobs, root, { absent: [ibm.digest] })
  const stripped = stripAbsent(image)
  const [document] = stripped.manifests.slice(-1)
  t.same(JSON.parse(Buffer.from(document?.bytes ?? []).toString()), {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    ...note,
    manifests: [amd, arm],
  })
  t.match(stripped, { root: document?.descriptor, absent: [], platforms: image.platforms, layers: image.layers })
  blobs.add(OCI_INDEX, document?.bytes ?? new Uint8Array())
  t.same(await readImage(blobs, stripped.root), stripped, 'and is read as a whole image')
  t.same([...strippedAway(image)], [root.digest])
  t.same(stripAbsent(image), stripped, 'the same bytes again')
  t.same(withStripped(image).manifests.at(-1)?.descriptor, image.root, 'of both, the original comes last')
})

t.test('stripAbsent() gives the manifest that is left alone, and an image that lacks nothing as it is', async t => {
  const root = indexOf([amd, arm])
  const image = await readImage(blobs, root, { absent: [arm.digest] })
  const { root: left, manifests } = stripAbsent(image)
  t.same(left, amd)
  t.same(
    manifests.map(({ descriptor }) => descriptor.digest),
    [amd.digest],
  )
  t.equal(withStripped(image), image, 'no document is added')
  const whole = await readImage(blobs, root)
  t.equal(stripAbsent(whole), whole)
  t.equal(strippedAway(whole).size, 0)
})

t.test('stripAbsent() reaches into nested indexes', async t => {
  const inner = indexOf([arm, ibm])
  const empty = indexOf([ibm])
  const root = indexOf([amd, { ...inner, annotations: { 'org.example.part': 'inner' } }, empty])
  const image = await readImage(blobs, root, { absent: [ibm.digest] })
  const { root: left, manifests } = stripAbsent(image)
  const top = JSON.parse(Buffer.from(manifests.at(-1)?.bytes ?? []).toString()) as { manifests: Descriptor[] }
  t.equal(manifests.at(-1)?.descriptor.digest, left.digest)
  t.same(top.manifests, [amd, { ...arm, annotations: { 'org.example.part': 'inner' } }])
  t.same([...strippedAway(image)].sort(), [root.digest, inner.digest, empty.digest].sort())
})

t.test('rootEntry() lists what remains with the original beside it, or the original alone', async t => {
  const root = indexOf([amd, arm, ibm])
  const image = await readImage(blobs, root, { absent: [ibm.digest] })
  t.match(rootEntry(image), {
    digest: stripAbsent(image).root.digest,
    annotations: {
      'stowage.image.absent': ibm.digest,
      'stowage.image.original': `${root.digest} ${root.size} ${OCI_INDEX}`,
    },
  })
  t.same(rootEntry(image, 'keep'), { ...root, annotations: { 'stowage.image.absent': ibm.digest } })
})
