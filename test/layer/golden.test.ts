/** What is compressed has the same bytes on every machine whose compressors are the published ones. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { compressors, compressorsText, PUBLISHED_COMPRESSORS } from '../../src/compressors.js'
import { writeLayerFromWim } from '../../src/layer/make/from-wim.js'
import { writeWimFromLayers } from '../../src/layer/to-wim/wim-from-layers.js'
import { digestOf } from '../../src/oci/digest.js'
import { openWim } from '../../src/wim/wim-file.js'
import { makeLayer } from '../support/images.js'
import { incompressible, text } from '../../fixtures/make/bytes.js'

const GOLDEN = {
  'x.tar.gz': 'sha256:0702b0a448c448fbfc3dbc2303593202f632e33a4cdf53df79b3f4fb446306a3',
  'x.tar.zst': 'sha256:7e852858e758e29f12af5866ece0f2df9b458f07d40e0d949883fb8b556a8453',
  'x.tar': 'sha256:aa91e16e0d5ef8ffa1bd11fbe224c2960e8c41be5c8db1622ea8b702f6c1963c',
  'none.wim': 'sha256:f55b7ea1ae893e4fe0e4eb12c7bae9ebe3b3d024234f2943a45785b4113dc783',
  'xpress.wim': 'sha256:34e1ba1208d4cd548e8fd94fabf938ddb84743d777713cbf0cfbfa0f006543af',
}

t.test('a layer and a WIM have the digests that they have everywhere', async t => {
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
  const found = await Promise.all(
    Object.keys(GOLDEN).map(async name => [name, digestOf(await readFile(at(name)))] as const),
  )
  const published = compressorsText(compressors()) === compressorsText(PUBLISHED_COMPRESSORS)
  if (!published) t.comment(`not compared, because other compressors are here: ${compressorsText(compressors())}`)
  for (const [name, digest] of found)
    if (published || !/gz|zst/.test(name)) t.equal(digest, GOLDEN[name as keyof typeof GOLDEN], name)
})

t.test('a build with other compressors says that its layers may differ', t => {
  t.equal(compressorsText(PUBLISHED_COMPRESSORS), 'libdeflate 1.14, zstd 1.5.4')
  t.equal(
    compressorsText({ libdeflate: '1.10', zstd: '1.5.4' }),
    'libdeflate 1.10, zstd 1.5.4 (published builds have libdeflate 1.14, zstd 1.5.4: layers that are compressed here may have other digests)',
  )
  t.end()
})
