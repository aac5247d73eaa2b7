import { join } from 'node:path'
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { readImage } from '../../src/blob/closure.js'
import {
  dockerPlatform,
  encodeDockerManifest,
  encodeIndex,
  engineNames,
  padHead,
  reserveHeads,
} from '../../src/archive/heads.js'
import { openBundleWriter } from '../../src/bundle/writer.js'
import { formatReference, parseReference } from '../../src/oci/reference.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { layeredImage, multiPlatformImage, type TestImage } from '../support/images.js'

const named = async ({ blobs, root }: TestImage, ...names: string[]) => ({
  image: await readImage(blobs, root),
  names: names.map(parseReference),
})

t.test('dockerPlatform() is linux/amd64, else the first Linux, else the first', async t => {
  const platforms = async (...all: string[]) => {
    const list = all.map(text => ({ os: text.split('/')[0]!, architecture: text.split('/')[1]! }))
    const { image } = await named(await multiPlatformImage(list))
    const chosen = dockerPlatform(image.platforms)
    return chosen && `${chosen.config.platform.os}/${chosen.config.platform.architecture}`
  }
  t.equal(await platforms('linux/arm64', 'windows/amd64', 'linux/amd64'), 'linux/amd64')
  t.equal(await platforms('windows/amd64', 'linux/s390x', 'linux/arm64'), 'linux/s390x')
  t.equal(await platforms('windows/amd64', 'windows/arm64'), 'windows/amd64')
  t.equal(await platforms('unknown/unknown'), undefined)
})

t.test('engineNames() drops digests, and names that are nothing else', async t => {
  const digest = `sha256:${'0'.repeat(64)}`
  const names = ['shop:1', `shop:1@${digest}`, `shop@${digest}`, 'other:2'].map(parseReference)
  t.same(engineNames(names).map(formatReference), ['docker.io/library/shop:1', 'docker.io/library/other:2'])
  const index = JSON.parse(
    new TextDecoder().decode(encodeIndex([await named(await layeredImage(1), `shop@${digest}`)])),
  )
  t.equal(index.manifests[0].annotations, undefined, 'no reader is told a name it cannot give')
})

t.test('padHead() fills with blanks, and refuses what does not fit', async t => {
  const padded = padHead(new TextEncoder().encode('{"a":1}\n'), 20, 'index.json')
  t.equal(new TextDecoder().decode(padded), `{"a":1}${' '.repeat(12)}\n`)
  t.equal(padHead(padded, 20, 'index.json').length, 20)
  t.throws(() => padHead(padded, 19, 'index.json'), { code: 'UNSUPPORTED', hint: /directory/ })
})

t.test('reserveHeads() is exact when all is known, and leaves room for what is not', async t => {
  const images = [await named(await layeredImage(3), 'a:1', 'b:1'), await named(await multiPlatformImage(), 'c:1')]
  t.same(reserveHeads(images, 0), { index: encodeIndex(images).length, docker: encodeDockerManifest(images).length })
  const long = `registry.example:5000/${'x'.repeat(60)}/${'y'.repeat(150)}:${'t'.repeat(128)}`
  const unmade = [...images, await named(await layeredImage(8), long)]
  const room = reserveHeads(images, 1)
  t.ok(encodeIndex(unmade).length <= room.index)
  t.ok(encodeDockerManifest(unmade).length <= room.docker)
})

t.test('a tar with room left in its heads is a bundle like any other', async t => {
  const bundle = join(t.testdir(), 'x.tar')
  const { blobs, root } = await layeredImage(2)
  await using writer = await openBundleWriter(bundle)
  await writer.plan([], { pendingImages: 3 })
  await writer.write(await readImage(blobs, root), blobs, [parseReference('shop:1')])
  const { files } = await writer.seal()
  t.equal(files.find(({ path }) => path === 'index.json')?.size, reserveHeads([], 3).index)
  t.same((await verifyBundle(bundle)).findings, [])
  t.match((await readFile(bundle)).toString('latin1'), / {1000}\n/)
})
