import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Bytes } from '../../../src/blob/blob-store.js'
import { readImage, sizeOf } from '../../../src/blob/closure.js'
import { openWimDestination } from '../../../src/transport/wim/destination.js'
import { parseReference } from '../../../src/oci/reference.js'
import type { ProgressEvent } from '../../../src/progress.js'
import {
  flipped,
  layeredImage,
  makeLayer,
  makeImage,
  multiPlatformImage,
  type TestImage,
  windowsImage,
} from '../../support/images.js'
import { stowage } from '../../support/command.js'
import { writeLayout } from '../../support/images.js'
import { wimlib } from '../../support/wims.js'

const NAME = parseReference('shop:2.3')

async function write(file: string, { blobs, root }: TestImage, options = {}) {
  await using destination = await openWimDestination(file)
  return await destination.write(await readImage(blobs, root), blobs, [NAME], options)
}

t.test('write() makes a WIM of an image of Windows, and its config says what the WIM says', async t => {
  const file = join(t.testdir(), 'base.wim')
  const image = await windowsImage()
  const { sent, skipped, id } = await write(file, image)
  t.equal(id, image.root.digest)
  t.equal(sent + skipped, sizeOf(await readImage(image.blobs, image.root)))
  wimlib('verify', file)
  t.equal(wimlib('dir', file, '1').trim().split('\n').at(-1), '/Windows/System32/license.rtf')
  const info = wimlib('info', file)
  for (const line of [
    /^Name: +base$/m,
    /^Architecture: +x86_64$/m,
    /^Build: +20348$/m,
    /^Service Pack Build: +169$/m,
    /^Creation Time: +Wed Oct 12 00:00:00 2016/m,
  ])
    t.match(info, line)
})

t.test('write() makes a WIM of an image of Linux, layer upon layer', async t => {
  const file = join(t.testdir(), 'root.wim')
  const image = makeImage([
    await makeLayer({ 'etc/kept': 'a', 'etc/gone': 'b' }),
    await makeLayer({
      'etc/.wh.gone': '',
      'etc/new': { header: { uid: 7, gid: 8, mode: 0o600 }, content: Buffer.from('c') },
    }),
  ])
  await write(file, image)
  t.same(wimlib('dir', file, '1').trim().split('\n'), ['/', '/etc', '/etc/kept', '/etc/new'])
  t.match(
    wimlib('dir', file, '1', '--detailed', '--path=/etc/new', '--one-file-only'),
    /UNIX Data +=.*uid:7 gid:8 mode:0100600/,
  )
})

t.test('write() takes of an index the image of Windows, and asks where there are several', async t => {
  const windows = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.169' }
  const linux = { os: 'linux', architecture: 'amd64' }
  const file = join(t.testdir(), 'x.wim')
  await t.rejects(write(file, await multiPlatformImage([linux, { os: 'linux', architecture: 'arm64' }])), {
    code: 'INVALID_ARGUMENT',
    hint: /linux\/amd64 \(sha256:.*linux\/arm64/,
  })
  // It is chosen, and then refused: it has no Files.
  await t.rejects(write(file, await multiPlatformImage([linux, windows])), { code: 'LAYER_UNSUPPORTED' })
  t.notOk(existsSync(file))
})

for (const [fault, code, damage] of [
  [
    'wrong',
    'DIGEST_MISMATCH',
    (image: TestImage) => image.blobs.set(image.layers[1]!.digest, flipped(image.blobs.get(image.layers[1]!.digest))),
  ],
  [
    'too short',
    'SIZE_MISMATCH',
    (image: TestImage) =>
      image.blobs.set(image.layers[1]!.digest, image.blobs.get(image.layers[1]!.digest).subarray(1)),
  ],
  [
    'too long',
    'SIZE_MISMATCH',
    (image: TestImage) =>
      image.blobs.set(
        image.layers[1]!.digest,
        Buffer.concat([image.blobs.get(image.layers[1]!.digest), Buffer.alloc(1)]),
      ),
  ],
  ['missing', 'BLOB_MISSING', (image: TestImage) => image.blobs.delete(image.layers[1]!.digest)],
] as const) {
  t.test(`write() leaves nothing when a layer is ${fault}`, async t => {
    const root = t.testdir()
    const image = await layeredImage(2)
    damage(image)
    await t.rejects(write(join(root, 'x.wim'), image), { code })
    t.same(readdirSync(root), [])
  })
}

t.test('write() stops when it is told to, and leaves nothing', async t => {
  const root = t.testdir()
  const image = await layeredImage(3)
  const controller = new AbortController()
  const stopping = {
    has: async () => true,
    async *fetch(blob: Parameters<typeof image.blobs.fetch>[0]): Bytes {
      if (blob.digest === image.layers[1]!.digest) controller.abort()
      yield* image.blobs.fetch(blob)
    },
  }
  await using destination = await openWimDestination(join(root, 'x.wim'))
  const content = await readImage(image.blobs, image.root)
  await t.rejects(destination.write(content, stopping, [NAME], { signal: controller.signal }), { code: 'ABORTED' })
  t.same(readdirSync(root), [])
})

t.test('write() reports progress that never falls and ends, and writes no second image', async t => {
  const file = join(t.testdir(), 'x.wim')
  const events: ProgressEvent[] = []
  await write(file, await layeredImage(2), { onProgress: (event: ProgressEvent) => events.push(event) })
  const done = events.flatMap(event => (event.type === 'bytes' ? [event.done] : []))
  t.same(
    done,
    [...done].sort((a, b) => a - b),
  )
  t.equal(events.at(-1)?.type, 'done')
  await t.rejects(write(file, await layeredImage(1)), { code: 'OUTPUT_EXISTS' })
})

t.test('stowage load --to wim:FILE makes a WIM of the image of a bundle', async t => {
  const root = t.testdir()
  await writeLayout(join(root, 'layout'), { 'shop:2.3': await windowsImage() })
  t.equal((await stowage(['pack', `oci:${join(root, 'layout')}`, '-o', join(root, 'bundle')])).code, 0)
  const { code, stderr } = await stowage(['load', join(root, 'bundle'), '--to', `wim:${join(root, 'x.wim')}#My image`])
  t.equal(code, 0, stderr)
  t.match(wimlib('info', join(root, 'x.wim')), /^Name: +My image$/m)
})
