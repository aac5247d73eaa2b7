/** What is compressed has the same bytes on every machine whose compressors are the published ones. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { compressed } from '../../src/archive/compression.js'
import type { Bytes } from '../../src/blob/blob-store.js'
import { compressors, compressorsText, PUBLISHED_COMPRESSORS } from '../../src/compressors.js'
import { writeLayerFromWim } from '../../src/layer/make/from-wim.js'
import { writeWimFromLayers } from '../../src/layer/to-wim/wim-from-layers.js'
import { ARCHIVE_COMPRESSION_NAMES } from '../../src/oci/compression.js'
import { digestOf } from '../../src/oci/digest.js'
import { openWim } from '../../src/wim/wim-file.js'
import { makeLayer } from '../support/images.js'
import { incompressible, text } from '../../fixtures/make/bytes.js'

const GOLDEN = {
  'x.tar.gz': 'sha256:0702b0a448c448fbfc3dbc2303593202f632e33a4cdf53df79b3f4fb446306a3',
  'x.tar.zst': 'sha256:7e852858e758e29f12af5866ece0f2df9b458f07d40e0d949883fb8b556a8453',
  'x.tar': 'sha256:aa91e16e0d5ef8ffa1bd11fbe224c2960e8c41be5c8db1622ea8b702f6c1963c',
  'archive.gzip': 'sha256:a6e4f4040fcd5e3790b4121bde0ad4f2501a7c9bc3c76109fc80aeb50467e1dd',
  'archive.zstd': 'sha256:bdfb35f40842c3fd0ac204a2d5fcb4c371abe629e832ac6814e56b04fe7f77d4',
  'archive.xz': 'sha256:aaa8d9e04fcf4244963cbd449b9e35213fdb6d2d4b327dcb97e138dba28a9236',
  'none.wim': 'sha256:f55b7ea1ae893e4fe0e4eb12c7bae9ebe3b3d024234f2943a45785b4113dc783',
  'xpress.wim': 'sha256:34e1ba1208d4cd548e8fd94fabf938ddb84743d777713cbf0cfbfa0f006543af',
}

async function* piece(bytes: Uint8Array): Bytes {
  yield bytes
}

t.test('a layer, a WIM and a compressed archive have the digests that they have everywhere', async t => {
  const own = t.testdir()
  const at = (name: string): string => join(own, name)
  const files = {
    'Windows/System32/text.txt': text('golden', 3_000_000),
    'data/random.bin': incompressible('golden', 500_000),
  }
  const made = await makeLayer(files, 'none')
  await writeFile(at('made.tar'), made.blob)
  const options = { unixData: true, created: 0n }
  for (const type of ['none', 'xpress'] as const)
    await writeWimFromLayers([at('made.tar')], at(`${type}.wim`), { ...options, compression: { type } })
  await using wim = await openWim(at('none.wim'))
  for (const [name, type] of [
    ['x.tar.gz', 'gzip'],
    ['x.tar.zst', 'zstd'],
    ['x.tar', 'none'],
  ] as const)
    await writeLayerFromWim(wim, at(name), { unixData: true, compression: { type } })
  for (const compression of ARCHIVE_COMPRESSION_NAMES)
    await writeFile(at(`archive.${compression}`), compressed(piece(made.blob), compression))
  const found = await Promise.all(
    Object.keys(GOLDEN).map(async name => [name, digestOf(await readFile(at(name)))] as const),
  )
  const published = compressorsText(compressors()) === compressorsText(PUBLISHED_COMPRESSORS)
  if (!published) t.comment(`not compared, because other compressors are here: ${compressorsText(compressors())}`)
  for (const [name, digest] of found)
    if (published || !/gz|zst|xz/.test(name)) t.equal(digest, GOLDEN[name as keyof typeof GOLDEN], name)
})

t.test('a build with other compressors says that its layers may differ', t => {
  t.equal(compressorsText(PUBLISHED_COMPRESSORS), 'libdeflate 1.14, zstd 1.5.4, liblzma 5.4.1')
  t.equal(
    compressorsText({ libdeflate: '1.10', zstd: '1.5.4', liblzma: '5.4.1' }),
    'libdeflate 1.10, zstd 1.5.4, liblzma 5.4.1 (published builds have libdeflate 1.14, zstd 1.5.4, liblzma 5.4.1: what is compressed here may have other digests)',
  )
  t.end()
})
