import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { incompressible, text } from '../../fixtures/make/bytes.js'
import type { LayerCompression } from '../../src/layer/compression.js'
import { type WindowsLayer, writeLayerFromWim } from '../../src/layer/make/from-wim.js'
import { pack } from '../../src/verbs/pack.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { openWim } from '../../src/wim/wim-file.js'
import { directoryWim, richWim } from '../support/wims.js'

async function make(
  wim: string,
  output: string,
  compression: LayerCompression,
  threads?: number,
): Promise<WindowsLayer> {
  await using opened = await openWim(wim)
  return await writeLayerFromWim(opened, output, { compression, threads, force: true })
}

/** Over three frames, compressible and not. */
const FILES = {
  'text.txt': text('frames', 5_000_000),
  'random.bin': incompressible('frames', 1_500_000),
  empty: new Uint8Array(),
}

t.test(
  'writeLayerFromWim() compresses with zstd to what zstd and bsdtar read, the same on any number of threads',
  async t => {
    const wim = directoryWim(t, { files: FILES })
    const output = join(t.testdir(), 'layer.tar.zst')
    const plain = await make(wim, `${output}.tar`, { type: 'none' })
    const first = await make(wim, output, { type: 'zstd' }, 1)
    for (const threads of [2, 5]) t.same(await make(wim, output, { type: 'zstd' }, threads), first)
    t.equal(first.mediaType, 'application/vnd.oci.image.layer.v1.tar+zstd')
    t.equal(first.diffId, plain.diffId)
    t.same(execFileSync('zstd', ['-dcq', output], { maxBuffer: 1 << 28 }), readFileSync(`${output}.tar`))
    t.match(
      execFileSync('zstd', ['-lv', output], { encoding: 'utf8' }),
      /^# Zstandard Frames: 4$/m,
      'one frame for each 2 MiB',
    )
    t.same(
      execFileSync('bsdtar', ['-xOf', output, 'Files/random.bin'], { maxBuffer: 1 << 28 }),
      Buffer.from(FILES['random.bin']),
    )
  },
)

t.test('writeLayerFromWim() gives zstd its levels, near the size that zstd gives', async t => {
  const wim = directoryWim(t, { files: FILES })
  const output = join(t.testdir(), 'layer.tar.zst')
  const sizes = []
  for (const level of [1, 3, 7, 19]) sizes.push((await make(wim, output, { type: 'zstd', level })).size)
  t.equal(new Set(sizes).size, 4)
  t.ok((sizes[3] ?? 0) < Math.min(...sizes.slice(0, 3)), 'the last is the smallest')
  await make(wim, `${output}.tar`, { type: 'none' })
  execFileSync('zstd', ['-3q', `${output}.tar`, '-o', `${output}.peer`])
  t.ok((sizes[1] ?? 0) <= 1.05 * statSync(`${output}.peer`).size)
  for (const level of [0, 20, 2.5])
    await t.rejects(make(wim, output, { type: 'zstd', level }), { code: 'INVALID_ARGUMENT', message: /1 to 19/ })
})

t.test('pack() of a WIM with zstd gives a bundle that skopeo takes apart and verifyBundle() passes', async t => {
  const directory = t.testdir()
  const bundle = join(directory, 'bundle')
  await pack([`wim:${richWim(t)}`], bundle, { layer: { compression: { type: 'zstd' } } })
  t.match(await verifyBundle(bundle), { ok: true, findings: [] })
  const copied = join(directory, 'copied')
  execFileSync('skopeo', ['--override-os', 'windows', 'copy', '--dest-decompress', `oci:${bundle}`, `dir:${copied}`], {
    stdio: 'pipe',
  })
  const manifest = JSON.parse(readFileSync(join(copied, 'manifest.json'), 'utf8')) as {
    layers: { digest: string; mediaType: string }[]
    config: { digest: string }
  }
  const config = JSON.parse(readFileSync(join(copied, manifest.config.digest.slice(7)), 'utf8')) as {
    rootfs: { diff_ids: string[] }
  }
  t.same(
    manifest.layers.map(layer => layer.digest),
    config.rootfs.diff_ids,
    'decompressed, the layer is what the config names',
  )
})
