/** What every image source keeps to, whatever it reads from. */
import type { Test } from 'tap'
import { readImage } from '../../src/blob/closure.js'
import { readVerified } from '../../src/blob/verified.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { formatReference } from '../../src/oci/reference.js'
import type { ImageSource } from '../../src/image/image-source.js'
import type { TestImage } from '../support/images.js'

const ABSENT: Descriptor = { mediaType: 'application/octet-stream', digest: `sha256:${'0'.repeat(64)}`, size: 1 }

/** `open` opens a place that holds `image` under `name`; `damage` makes the blob's bytes wrong in the place itself. */
export function sourceContract(
  t: Test,
  place: { open(): Promise<ImageSource>; damage(blob: Descriptor): Promise<void>; image: TestImage; name: string },
): void {
  const { open, damage, image, name } = place

  t.test('images() gives the root as it was, with its full name', async t => {
    await using source = await open()
    const [found, ...others] = await source.images()
    t.equal(others.length, 0)
    t.match(found?.root, { digest: image.root.digest, mediaType: image.root.mediaType, size: image.root.size })
    t.same(found?.names.map(formatReference), [name])
    t.same(
      (await source.images()).map(({ root }) => root.digest),
      [image.root.digest],
      'and again when asked again',
    )
  })

  t.test('every blob of the image is there, byte for byte', async t => {
    await using source = await open()
    const [found] = await source.images()
    const { manifests, configs, layers } = await readImage(source, found!.root)
    const blobs = [...manifests, ...configs].map(({ descriptor }) => descriptor).concat(layers)
    t.same(new Set(blobs.map(({ digest }) => digest)), new Set(image.blobs.digests()))
    for (const blob of blobs) {
      t.ok(await source.has(blob))
      t.ok(Buffer.from(await readVerified(blob, source.fetch(blob), blob.size)).equals(image.blobs.get(blob.digest)))
    }
  })

  t.test('fetch() is lazy, and can be left in the middle', async t => {
    await using source = await open()
    await source.images()
    source.fetch(ABSENT)
    for await (const _piece of source.fetch(image.layers[0]!)) break
    t.equal(
      (await readVerified(image.layers[0]!, source.fetch(image.layers[0]!), image.layers[0]!.size)).length,
      image.layers[0]!.size,
    )
  })

  t.test('a blob that is not there is BLOB_MISSING', async t => {
    await using source = await open()
    await source.images()
    t.equal(await source.has(ABSENT), false)
    await t.rejects(readVerified(ABSENT, source.fetch(ABSENT), 1), { code: 'BLOB_MISSING' })
  })

  t.test('a blob whose bytes are wrong does not pass', async t => {
    await using source = await open()
    await source.images() // where blobs are is known from then on
    const layer = image.layers[0]!
    await damage(layer)
    await t.rejects(readVerified(layer, source.fetch(layer), layer.size), { code: 'DIGEST_MISMATCH' })
  })
}
