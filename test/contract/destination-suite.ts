/** What every image destination keeps to, whatever it writes to. */
import type { Test } from 'tap'
import type { Bytes } from '../../src/blob/blob-store.js'
import { readImage, sizeOf } from '../../src/blob/closure.js'
import type { ImageDestination } from '../../src/image/image-destination.js'
import type { Descriptor } from '../../src/oci/descriptor.js'
import { parseReference } from '../../src/oci/reference.js'
import type { ProgressEvent } from '../../src/progress.js'
import { flipped, layeredImage, type MemoryBlobs, multiPlatformImage, type TestImage } from '../support/images.js'

/** A fresh place, and which images it has by name, as somebody else sees it. */
export interface Place {
  open(): Promise<ImageDestination>
  /** Root digest by full name. */
  images(): Promise<ReadonlyMap<string, string>>
  /** Digest of what the place has as the root, where that is not the image's own: one platform of several. */
  rootOf?(image: TestImage): Promise<string>
}

const NAME = 'docker.io/library/shop:2.3'

async function write(
  destination: ImageDestination,
  { blobs, root }: TestImage,
  options?: Parameters<ImageDestination['write']>[3],
) {
  return await destination.write(await readImage(blobs, root), blobs, [parseReference(NAME)], options)
}

export function destinationContract(t: Test, makePlace: (directory: string) => Promise<Place>): void {
  t.test('write() gives the image its name, and says what it sent', async t => {
    for (const image of [await layeredImage(2), await multiPlatformImage()]) {
      const place = await makePlace(t.testdir())
      await using destination = await place.open()
      const written = await write(destination, image)
      t.equal(written.sent + written.skipped, sizeOf(await readImage(image.blobs, image.root)))
      t.same(await place.images(), new Map([[NAME, (await place.rootOf?.(image)) ?? image.root.digest]]))
    }
  })

  t.test('write() reads no blob twice, and none that is there already', async t => {
    const place = await makePlace(t.testdir())
    await using destination = await place.open()
    await write(destination, await layeredImage(2))
    const image = await layeredImage(3)
    const content = await readImage(image.blobs, image.root)
    const fetched: string[] = []
    const counting = {
      has: async () => true,
      fetch: (blob: Descriptor): Bytes => (fetched.push(blob.digest), image.blobs.fetch(blob)),
    }
    const { skipped } = await destination.write(content, counting, [parseReference('other:1')])
    t.same(
      fetched.filter(digest => image.layers.some(layer => layer.digest === digest)),
      [image.layers[2]!.digest],
    )
    t.ok(skipped >= image.layers[0]!.size + image.layers[1]!.size)
  })

  for (const [fault, code, damage] of [
    ['wrong', 'DIGEST_MISMATCH', (blobs, { digest }) => blobs.set(digest, flipped(blobs.get(digest)))],
    ['too short', 'SIZE_MISMATCH', (blobs, { digest }) => blobs.set(digest, blobs.get(digest).subarray(1))],
    [
      'too long',
      'SIZE_MISMATCH',
      (blobs, { digest }) => blobs.set(digest, Buffer.concat([blobs.get(digest), Buffer.alloc(1)])),
    ],
    ['missing', 'BLOB_MISSING', (blobs, { digest }) => blobs.delete(digest)],
  ] as [string, string, (blobs: MemoryBlobs, layer: Descriptor) => void][]) {
    t.test(`write() names nothing when a layer is ${fault}`, async t => {
      const place = await makePlace(t.testdir())
      const image = await layeredImage(2)
      damage(image.blobs, image.layers[1]!)
      await using destination = await place.open()
      await t.rejects(write(destination, image), { code })
      t.equal((await place.images()).size, 0)
    })
  }

  t.test('write() stops when it is told to, and names nothing', async t => {
    const place = await makePlace(t.testdir())
    const image = await layeredImage(3)
    const controller = new AbortController()
    const stopping = {
      has: async () => true,
      async *fetch(blob: Descriptor): Bytes {
        if (blob.digest === image.layers[1]!.digest) controller.abort()
        yield* image.blobs.fetch(blob)
      },
    }
    await using destination = await place.open()
    const content = await readImage(image.blobs, image.root)
    await t.rejects(destination.write(content, stopping, [parseReference(NAME)], { signal: controller.signal }))
    t.equal((await place.images()).size, 0)
  })

  t.test('write() reports progress that never falls and ends', async t => {
    const place = await makePlace(t.testdir())
    const events: ProgressEvent[] = []
    await using destination = await place.open()
    await write(destination, await layeredImage(2), { onProgress: event => events.push(event) })
    const done = events.flatMap(event => (event.type === 'bytes' ? [event.done] : []))
    t.same(
      done,
      [...done].sort((a, b) => a - b),
    )
    t.equal(events.at(-1)?.type, 'done')
  })
}
