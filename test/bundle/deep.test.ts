import { execFileSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { digestOf } from '../../src/oci/digest.js'
import { blobPath } from '../../src/oci/layout.js'
import { OCI_LAYER } from '../../src/oci/media-type.js'
import { writeBundle } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { makeImage, makeLayer, noise, type TestImage, type TestLayer } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const plain = await makeLayer({ data: noise(300_000, 'deep') }, 'none')
const gzip = await makeLayer({ data: noise(300_000, 'deep') })

/** The same tar, compressed by another program or called something else. */
function layerOf(blob: Uint8Array, mediaType: string, diffId = plain.diffId): TestLayer {
  return { descriptor: { mediaType, digest: digestOf(blob), size: blob.length }, diffId, blob }
}

const half = plain.blob.length >> 1
const members = Buffer.concat([gzipSync(plain.blob.subarray(0, half)), gzipSync(plain.blob.subarray(half))])
const frames = Buffer.concat(
  [plain.blob.subarray(0, half), plain.blob.subarray(half)].map(input => execFileSync('zstd', ['-qc'], { input })),
)
const WRONG = digestOf(Buffer.from('another tar'))

async function bundleOf(path: string, layer: TestLayer): Promise<TestImage> {
  const image = makeImage([layer])
  await writeBundle(path, { 'deep:1': image })
  return image
}

t.test('verifyBundle() proves that layers hold what the config says, however they are compressed', async t => {
  const layers = [plain, gzip, layerOf(members, `${OCI_LAYER}+gzip`), layerOf(frames, `${OCI_LAYER}+zstd`)]
  for (const layer of layers) {
    for (const form of ['x', 'x.tar', 'x.tar.gz']) {
      const path = join(scratch(t), form)
      await bundleOf(path, layer)
      const { findings, deep, layers } = await verifyBundle(path)
      t.same([findings, deep, layers], [[], true, { proved: 1, unproved: [] }], form)
    }
  }
})

t.test('verifyBundle() finds a layer that is not what the config says, unless it is told not to look', async t => {
  const truncated = gzip.blob.subarray(0, gzip.blob.length - 100)
  const cases = [
    { ...plain, diffId: WRONG },
    { ...gzip, diffId: WRONG },
    layerOf(frames, `${OCI_LAYER}+zstd`, WRONG),
    layerOf(truncated, `${OCI_LAYER}+gzip`),
    // Its type says gzip, and it is: of something else
    layerOf(gzipSync(gzip.blob), `${OCI_LAYER}+gzip`),
  ]
  for (const layer of cases) {
    for (const form of ['x', 'x.tar', 'x.tar.gz']) {
      const path = join(scratch(t), form)
      await bundleOf(path, layer)
      const { ok, findings } = await verifyBundle(path)
      t.equal(ok, false)
      t.match(findings, [{ code: 'DIFF_ID_MISMATCH', path: blobPath(layer.descriptor.digest), message: layer.diffId }])
      t.equal(findings.length, 1)
      t.match(await verifyBundle(path, { deep: false }), { ok: true, deep: false, layers: { proved: 0, unproved: [] } })
    }
  }
})

t.test('stowage verify says what it did not prove', async t => {
  const encrypted = layerOf(noise(1000, 'secret'), `${OCI_LAYER}+gzip+encrypted`)
  const path = join(scratch(t), 'x')
  await bundleOf(path, encrypted)
  const { code, stdout } = await stowage(['verify', path])
  t.equal(code, 0)
  t.match(
    stdout,
    `Not proved: ${encrypted.descriptor.digest}: ${OCI_LAYER}+gzip+encrypted is not a tar that can be read\n`,
  )
  t.match(await stowage(['verify', '--no-deep', path]), { code: 0, stdout: /^Not proved without decompressing: /m })
})

t.test('verifyBundle() says of a damaged layer that it is damaged, and no more', async t => {
  const path = join(scratch(t), 'x')
  await bundleOf(path, gzip)
  await writeFile(join(path, blobPath(gzip.descriptor.digest)), noise(gzip.blob.length, 'other'))
  const { findings } = await verifyBundle(path)
  t.same(
    findings.map(({ code }) => code),
    ['DIGEST_MISMATCH'],
  )
})
