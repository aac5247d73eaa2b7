import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { verifyBundle } from '../../src/bundle/verify.js'
import { digestOf } from '../../src/oci/digest.js'
import { blobPath } from '../../src/oci/layout.js'
import { OCI_LAYER } from '../../src/oci/media-type.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { writeBundle } from '../support/bundles.js'
import { stowage } from '../support/command.js'
import { makeImage, makeLayer, noise, type TestImage, type TestLayer, writeLayout } from '../support/images.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'
import { scratch } from '../support/scratch.js'

/** From 1 MiB on, a native thread writes a blob and looks into it. */
const SIZES = { small: 300_000, large: 3_000_000 }
const WRONG = digestOf(Buffer.from('another tar'))

function layerOf(blob: Uint8Array, mediaType: string, diffId: TestLayer['diffId']): TestLayer {
  return { descriptor: { mediaType, digest: digestOf(blob), size: blob.length }, diffId, blob }
}

/** The same tar in every form that a layer can have. */
async function layersOf(size: number): Promise<Readonly<Record<'plain' | 'gzip' | 'members' | 'zstd', TestLayer>>> {
  const plain = await makeLayer({ data: noise(size, 'pack-deep') }, 'none')
  const half = plain.blob.length >> 1
  const [one, two] = [plain.blob.subarray(0, half), plain.blob.subarray(half)]
  const members = Buffer.concat([gzipSync(one), gzipSync(two)])
  const frames = Buffer.concat([one, two].map(input => execFileSync('zstd', ['-qc'], { input, maxBuffer: 2 * size })))
  return {
    plain,
    gzip: layerOf(gzipSync(plain.blob), `${OCI_LAYER}+gzip`, plain.diffId),
    members: layerOf(members, `${OCI_LAYER}+gzip`, plain.diffId),
    zstd: layerOf(frames, `${OCI_LAYER}+zstd`, plain.diffId),
  }
}

async function layoutOf(directory: string, image: TestImage): Promise<string> {
  await writeLayout(directory, { 'docker.io/library/deep:1': image })
  return `oci:${directory}`
}

const ALL = { small: await layersOf(SIZES.small), large: await layersOf(SIZES.large) }

for (const [name, layers] of Object.entries(ALL)) {
  t.test(`pack() proves what is in ${name} layers, however they are compressed`, async t => {
    const from = await layoutOf(join(scratch(t), 'layout'), makeImage(Object.values(layers)))
    for (const form of ['x', 'x.tar', 'x.tar.gz']) {
      const { deep, layers } = await pack([from], join(scratch(t), form))
      t.same([deep, layers], [true, { proved: 4, unproved: [] }], form)
    }
    const { layers: proofs } = await pack([from], join(scratch(t), 'x.tar'), { volumeSize: 1_000_000 })
    t.same(proofs, { proved: 4, unproved: [] }, 'volumes')
  })

  t.test(`pack() refuses a ${name} layer that is not what the config says, and seals nothing`, async t => {
    const { plain, gzip, members, zstd } = layers
    const cases = {
      plain: [{ ...plain, diffId: WRONG }, plain.diffId],
      gzip: [{ ...gzip, diffId: WRONG }, gzip.diffId],
      members: [{ ...members, diffId: WRONG }, gzip.diffId],
      zstd: [{ ...zstd, diffId: WRONG }, gzip.diffId],
      cut: [layerOf(gzip.blob.subarray(0, -100), `${OCI_LAYER}+gzip`, plain.diffId), 'it has none'],
      cutZstd: [layerOf(zstd.blob.subarray(0, -100), `${OCI_LAYER}+zstd`, plain.diffId), 'it has none'],
      twice: [layerOf(gzipSync(gzip.blob), `${OCI_LAYER}+gzip`, plain.diffId), gzip.descriptor.digest],
    } as const
    for (const [what, [layer, found]] of Object.entries(cases)) {
      const image = makeImage([layer])
      const from = await layoutOf(join(scratch(t), 'layout'), image)
      for (const form of ['x', 'x.tar']) {
        const directory = scratch(t)
        const error = await pack([from], join(directory, form)).catch((error: Error) => error)
        const says = [layer.descriptor.digest, image.config.digest, layer.diffId, found]
        t.match(error, { code: 'DIFF_ID_MISMATCH' }, `${what} ${form}`)
        for (const each of says) t.match((error as Error).message, each)
        t.same(await readdir(directory), [], 'nothing is left')
      }
      await t.rejects(pack([from], join(scratch(t), 'x.tar'), { volumeSize: 1_000_000 }), { code: 'DIFF_ID_MISMATCH' })
      const shallow = join(scratch(t), 'x')
      t.match(await pack([from], shallow, { deep: false }), { deep: false, layers: { proved: 0, unproved: [] } })
      t.match(await verifyBundle(shallow), { findings: [{ code: 'DIFF_ID_MISMATCH' }] }, 'which verify finds')
    }
  })
}

t.test('pack() looks into what archives, bundles and registries hold', async t => {
  const { gzip } = ALL.large
  const image = makeImage([{ ...gzip, diffId: WRONG }])
  const layout = join(scratch(t), 'layout')
  await layoutOf(layout, image)
  const archive = join(scratch(t), 'x.tar')
  execFileSync('tar', ['-cf', archive, '-C', layout, '.'])
  const bundle = join(scratch(t), 'bundle')
  await writeBundle(bundle, { 'deep:1': image })
  const registry = await startRegistry(t)
  await pushWithSkopeo(t, registry, 'team/deep:1', image)
  for (const from of [`oci-archive:${archive}`, `bundle:${bundle}`, `docker://${registry.domain}/team/deep:1`]) {
    for (const form of ['x', 'x.tar', 'x.tar.zst'])
      await t.rejects(pack([from], join(scratch(t), form)), { code: 'DIFF_ID_MISMATCH' }, `${from} ${form}`)
  }
})

t.test('pack() looks into a layer that an interrupted run has left, too', async t => {
  for (const { gzip } of Object.values(ALL)) {
    const wrong = { ...gzip, diffId: WRONG }
    for (const [layer, code] of [[gzip], [wrong, 'DIFF_ID_MISMATCH']] as const) {
      const from = await layoutOf(join(scratch(t), 'layout'), makeImage([layer]))
      const output = join(scratch(t), 'x')
      await mkdir(join(output, 'blobs', 'sha256'), { recursive: true })
      await writeFile(join(output, 'INCOMPLETE'), '')
      await writeFile(join(output, blobPath(layer.descriptor.digest)), layer.blob)
      if (code) await t.rejects(pack([from], output), { code })
      else t.match(await pack([from], output), { layers: { proved: 1, unproved: [] } })
    }
  }
})

t.test('pack() says what it cannot look into', async t => {
  const type = `${OCI_LAYER}+gzip+encrypted`
  const secret = layerOf(noise(1000, 'secret'), type, WRONG)
  const from = await layoutOf(join(scratch(t), 'layout'), makeImage([secret]))
  const output = join(scratch(t), 'x')
  const { code, stdout, stderr } = await stowage(['pack', '--json', from, '-o', output])
  const unproved = [{ digest: secret.descriptor.digest, reason: `${type} is not a tar that can be read` }]
  t.match([code, JSON.parse(stdout)], [0, { deep: true, layers: { proved: 0, unproved } }])
  const line = `Not proved that ${secret.descriptor.digest} is what the config of its image says: ${type} is not a tar`
  t.match(stderr, line)

  const { gzip } = ALL.small
  const other = await layoutOf(join(scratch(t), 'layout'), makeImage([{ ...gzip, diffId: WRONG }]))
  const refused = await stowage(['pack', other, '-o', join(scratch(t), 'y')])
  t.match(refused, { code: 4, stderr: /the layer sha256:\S+ is wrong: the config sha256:\S+ says its tar is/ })
  const shallow = await stowage(['pack', '--json', '--no-deep', other, '-o', join(scratch(t), 'y')])
  t.match([shallow.code, JSON.parse(shallow.stdout)], [0, { deep: false }])
  t.match(shallow.stderr, 'Not proved without decompressing')
})

t.test('pack() of what it has proved stays loadable, and a second run has nothing to prove', async t => {
  const { gzip } = ALL.large
  const from = await layoutOf(join(scratch(t), 'layout'), makeImage([gzip]))
  const output = join(scratch(t), 'x')
  await pack([from], output)
  const reason = 'it was there already, and was not read'
  t.match(await pack([from], output), { unchanged: true, layers: { proved: 0, unproved: [{ reason }] } })
  const target = join(scratch(t), 'layout')
  t.match(await loadBundle(output, { to: `oci:${target}` }), { images: [{ error: undefined }] })
  t.ok(existsSync(join(target, blobPath(gzip.descriptor.digest))))
})
