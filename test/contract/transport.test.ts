/** A transport of the test's own, registered without touching src/: what copies images asks capabilities, and knows no scheme. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { BlobDirectory } from '../../src/blob/directory.js'
import { wantedBlobs } from '../../src/blob/fill.js'
import { registerTransport } from '../../src/transport/list.js'
import { formatLocation, parseLocation } from '../../src/transport/location.js'
import type { Transport } from '../../src/transport/transport.js'
import type { SourceImage } from '../../src/image/image-source.js'
import { copy } from '../../src/verbs/copy.js'
import { inspect, inspectRaw } from '../../src/verbs/inspect.js'
import { loadBundle } from '../../src/verbs/load.js'
import { pack } from '../../src/verbs/pack.js'
import { pullImages } from '../../src/verbs/pull.js'
import { pushImages } from '../../src/verbs/push.js'
import { openImageStore } from '../../src/transport/open.js'
import { InstallTarget } from '../../src/base-image/install-target.js'
import { makeImage, makeLayer, writeLayout } from '../support/images.js'

/** `shelf:DIR`: blobs in a directory, and the images in memory. */
function shelfTransport(shelves: Map<string, SourceImage[]>, scheme = 'shelf'): Transport {
  return {
    scheme,
    onDisk: true,
    parse: rest => (rest === '' ? undefined : { scheme, path: rest }),
    format: ({ path }) => `${scheme}:${path}`,
    source: {
      form: `${scheme}:DIR`,
      manifests: 'kept',
      async open({ path }) {
        const blobs = new BlobDirectory(path)
        return {
          images: async () => shelves.get(path) ?? [],
          has: async blob => await blobs.has(blob),
          fetch: (blob, options) => blobs.fetch(blob, options),
          async [Symbol.asyncDispose]() {},
        }
      },
    },
    destination: {
      form: `${scheme}:DIR`,
      naming: 'names',
      takesRef: false,
      artifacts: true,
      additive: true,
      disk: ({ path }) => path,
      async open({ path }) {
        const blobs = new BlobDirectory(path)
        return {
          async write(image, source, names) {
            for (const { blob, store } of wantedBlobs(image, source)) {
              if (!(await blobs.has(blob))) await blobs.put(blob, () => store.fetch(blob))
            }
            shelves.set(path, [...(shelves.get(path) ?? []), { root: image.root, names }])
            return { names, id: image.root.digest, sent: 0, skipped: 0 }
          },
          async [Symbol.asyncDispose]() {},
        }
      },
    },
  }
}

t.test('registerTransport() makes a transport that copy, pack, load and inspect take', async t => {
  const cwd = t.testdir()
  const at = (name: string): string => join(cwd, name)
  const image = makeImage([await makeLayer({ 'hello.txt': 'hello' })])
  await writeLayout(at('layout'), { 'shop:1': image })
  using _registered = registerTransport(shelfTransport(new Map()))
  t.equal(formatLocation(parseLocation(`shelf:${at('a')}`)), `shelf:${at('a')}`)

  const copied = await copy(`oci:${at('layout')}`, `shelf:${at('a')}`)
  t.equal(copied.id, image.root.digest)
  t.equal((await copy(`shelf:${at('a')}`, `oci:${at('back')}`)).id, image.root.digest)

  const packed = await pack([`shelf:${at('a')}`], at('bundle'))
  t.same(
    packed.manifest.images.map(({ names, root }) => [names, root.digest]),
    [[['docker.io/library/shop:1'], image.root.digest]],
  )
  const loaded = await loadBundle(at('bundle'), { to: `shelf:${at('b')}` })
  t.same(
    loaded.images.map(({ id }) => id),
    [image.root.digest],
  )

  const { images } = await inspect(`shelf:${at('b')}`)
  t.same(
    images.map(({ root }) => root?.digest),
    [image.root.digest],
  )
  t.same(
    Buffer.from(await inspectRaw(`shelf:${at('b')}`, 'manifest')),
    readFileSync(new BlobDirectory(at('layout')).path(image.root.digest)),
  )
})

t.test('what a transport cannot do is refused, with the forms of those that can', async t => {
  const { source, ...unreadable } = shelfTransport(new Map(), 'sink')
  t.ok(source)
  using _registered = registerTransport(unreadable)
  const shelf = 'sink:x'
  const refused = async (work: () => Promise<unknown>, message: string, hint: RegExp): Promise<void> => {
    await t.rejects(work(), { code: 'INVALID_ARGUMENT', message, hint }, message)
  }
  const location = /^Write docker-daemon:(?:,| or) oci:DIR/
  await refused(
    async () => await copy('sink:x', 'oci:y'),
    'cannot read images from sink:x',
    /docker:\/\/NAME.*wim:FILE/,
  )
  await refused(async () => await pullImages(['a:1'], { to: shelf }), 'cannot pull to sink:x', location)
  await refused(async () => await pushImages(['a.example/a:1'], { from: shelf }), 'cannot push from sink:x', location)
  await refused(async () => await openImageStore({ store: shelf }), 'cannot list images in sink:x', location)
  await refused(
    async () => await copy('oci:x', 'dir:y'),
    'cannot copy to dir:y',
    /oci:DIR.*sink:DIR$|oci:DIR.*sink:DIR\./,
  )
  await refused(async () => await InstallTarget.open('wim:x.wim', {}), 'cannot install to wim:x.wim', /sink:DIR/)
  await refused(async () => await InstallTarget.open('oci:x:1', {}), 'cannot install to oci:x:1', /Name no image in it/)
})
