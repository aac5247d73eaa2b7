import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { formatReference } from '../../../src/oci/reference.js'
import { openLayoutSource } from '../../../src/transport/oci/source.js'
import { layeredImage, multiPlatformImage, windowsImage, writeLayout } from '../../support/images.js'

const images = {
  'shop:2.3': await layeredImage(2),
  'team/multi:2.3': await multiPlatformImage(),
  'win:ltsc': await windowsImage(),
}
const layout = join(t.testdir(), 'layout')
await writeLayout(layout, images)

async function find(ref?: string, directory = layout): Promise<{ digest: string; names: string[] }> {
  await using source = await openLayoutSource(directory, ref)
  const [image, ...others] = await source.images()
  if (!image || others.length > 0) throw new Error('one image was expected')
  return { digest: image.root.digest, names: image.names.map(formatReference) }
}

t.test('openLayoutSource() finds an image by full name, familiar name, tag or digest', async t => {
  const shop = { digest: images['shop:2.3'].root.digest, names: ['docker.io/library/shop:2.3'] }
  for (const ref of ['docker.io/library/shop:2.3', 'shop:2.3', shop.digest]) t.same(await find(ref), shop, ref)
  t.same(await find('ltsc'), { digest: images['win:ltsc'].root.digest, names: ['docker.io/library/win:ltsc'] })
  t.same(await find('team/multi:2.3'), {
    digest: images['team/multi:2.3'].root.digest,
    names: ['docker.io/team/multi:2.3'],
  })
})

t.test('openLayoutSource() names what is there when it cannot tell which image is meant', async t => {
  const hint = /shop:2\.3, team\/multi:2\.3, win:ltsc/
  await t.rejects(find(), { code: 'IMAGE_NOT_FOUND', hint })
  await t.rejects(find('nginx:1'), { code: 'IMAGE_NOT_FOUND', hint })
  await t.rejects(find('2.3'), { code: 'IMAGE_NOT_FOUND', message: /2 images/ }, 'a tag that two images have')
})

t.test('openLayoutSource() takes the only image when none is named', async t => {
  const one = join(t.testdir(), 'one')
  await writeLayout(one, { 'shop:2.3': images['shop:2.3'] })
  t.same(await find(undefined, one), { digest: images['shop:2.3'].root.digest, names: ['docker.io/library/shop:2.3'] })
})

t.test('openLayoutSource() reads what skopeo writes', async t => {
  const copy = join(t.testdir(), 'copy')
  execFileSync('skopeo', ['copy', '--quiet', `oci:${layout}:ltsc`, `oci:${copy}:v9`, '--override-os', 'windows'])
  t.match(await find('v9', copy), { digest: images['win:ltsc'].root.digest })
  t.same((await find(undefined, copy)).names, [], 'a bare tag is not a name')
})

t.test('openLayoutSource() refuses what is not a layout', async t => {
  const root = t.testdir({
    empty: {},
    broken: { 'oci-layout': '{}', 'index.json': '{' },
    partial: { 'oci-layout': '{}' },
    file: 'x',
  })
  await t.rejects(openLayoutSource(join(root, 'absent')), { code: 'FILE_NOT_FOUND' })
  await t.rejects(openLayoutSource(join(root, 'empty')), { code: 'NOT_A_LAYOUT' })
  await t.rejects(openLayoutSource(join(root, 'file')), { code: 'NOT_A_LAYOUT' })
  await t.rejects(openLayoutSource(join(root, 'broken')), { code: 'INVALID_MANIFEST' })
  await t.rejects(openLayoutSource(join(root, 'partial')), { code: 'FILE_NOT_FOUND' })
})

t.test('openLayoutSource() fetches blobs as they are, and says which is missing', async t => {
  await using source = await openLayoutSource(layout, 'shop:2.3')
  const { config, layers } = images['shop:2.3']
  t.ok(await source.has(config))
  t.notOk(await source.has({ ...config, digest: `sha256:${'0'.repeat(64)}` }))
  const pieces: Uint8Array[] = []
  for await (const piece of source.fetch(layers[0]!)) pieces.push(piece)
  t.ok(Buffer.concat(pieces).equals(images['shop:2.3'].blobs.get(layers[0]!.digest)))
  await t.rejects(
    async () => {
      for await (const _piece of source.fetch({ ...config, digest: `sha256:${'0'.repeat(64)}` })) t.fail('no such blob')
    },
    { code: 'BLOB_MISSING', hint: /platforms/ },
  )
  const mediaType = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'
  const foreign = { mediaType, digest: `sha256:${'1'.repeat(64)}`, size: 1, urls: ['https://example/layer'] } as const
  await t.rejects(
    async () => {
      for await (const _piece of source.fetch(foreign)) t.fail('no such blob')
    },
    { code: 'BLOB_MISSING', hint: /foreign layer.*https:\/\/example\/layer.*blobs/ },
  )
})

t.test('openLayoutSource() does not mind fields it does not know', async t => {
  const path = join(layout, 'index.json')
  const index = JSON.parse(await readFile(path, 'utf8'))
  await writeFile(path, JSON.stringify({ ...index, annotations: { a: 'b' }, future: [1] }))
  t.match(await find('shop:2.3'), { digest: images['shop:2.3'].root.digest })
})
