import { execFileSync, spawn } from 'node:child_process'
import { readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readImage } from '../../../src/blob/closure.js'
import { BlobDirectory } from '../../../src/blob/directory.js'
import { readVerified } from '../../../src/blob/verified.js'
import { digestOf, hexOf } from '../../../src/oci/digest.js'
import { blobPath, REF_NAME_ANNOTATION } from '../../../src/oci/layout.js'
import { layerMediaType } from '../../../src/oci/compression.js'
import { OCI_LAYER } from '../../../src/oci/media-type.js'
import { formatReference } from '../../../src/oci/reference.js'
import { openDockerArchiveSource } from '../../../src/transport/archive/docker-source.js'
import { encodeHeader } from '../../../src/tar/header.js'
import { dockerEntries, type Entries, type Entry, makeArchive } from '../../support/archives.js'
import {
  flipped,
  layeredImage,
  makeImage,
  makeLayer,
  multiPlatformImage,
  noise,
  writeLayout,
} from '../../support/images.js'

const one = await makeLayer({ one: noise(50_000, 'one') }, 'none')
const two = await makeLayer({ two: noise(90_000, 'two') }, 'none')
const pair = makeImage([one, two])
const single = makeImage([one])
const config = pair.blobs.get(pair.config.digest)
const hex = hexOf(pair.config.digest)

/** A file with this tar, and a source of it. What was spooled out of it must be all that stands beside it. */
async function open(
  t: Test,
  entries: Entries | Uint8Array,
  { ref, compress }: { ref?: string; compress?: 'gzip' | 'zstd' } = {},
) {
  const directory = t.testdir({ spool: {} })
  const file = join(directory, 'images.tar')
  const tar = entries instanceof Uint8Array ? entries : await makeArchive(entries)
  writeFileSync(file, compress ? execFileSync(compress, ['-c', '-q'], { input: tar, maxBuffer: 1 << 28 }) : tar)
  const spool = new BlobDirectory(join(directory, 'spool'))
  try {
    const source = await openDockerArchiveSource(file, { ref, spool: async () => spool })
    t.teardown(() => source[Symbol.asyncDispose]())
    return { source, images: await source.images() }
  } finally {
    const left = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    t.same(
      left.filter(name => !/^(images\.tar|spool(\/blobs(\/sha256(\/[0-9a-f]{64})?)?)?)$/.test(name)),
      [],
      'nothing else is there',
    )
    if (!compress) t.same(readdirSync(join(directory, 'spool')), [], 'a plain tar is read in its place')
  }
}

const list = (Layers: readonly string[], Config: string, RepoTags: readonly string[] | null = ['shop:2.3']): string =>
  JSON.stringify([{ Config, RepoTags, Layers }])

/** What tools write: members, with the list of the image in them. */
const FORMS: Readonly<Record<string, Entries>> = {
  'docker 1.10 to 24': {
    'aa/VERSION': '1.0',
    'aa/json': '{}',
    'aa/layer.tar': one.blob,
    'bb/VERSION': '1.0',
    'bb/json': '{}',
    'bb/layer.tar': two.blob,
    [`${hex}.json`]: config,
    'manifest.json': list(['aa/layer.tar', 'bb/layer.tar'], `${hex}.json`),
    repositories: '{}',
  },
  'docker, with a layer as a symbolic link, and podman with links to files': {
    'x.tar': one.blob,
    'aa/layer.tar': { symlink: '../x.tar' },
    'y.tar': two.blob,
    'bb/layer.tar': { link: 'y.tar' },
    [`${hex}.json`]: config,
    'manifest.json': list(['aa/layer.tar', 'bb/layer.tar'], `${hex}.json`),
  },
  'docker on Windows, with its separator': {
    'aa/layer.tar': one.blob,
    'bb/layer.tar': two.blob,
    'c.json': config,
    'manifest.json': list(['aa\\layer.tar', 'bb\\layer.tar'], 'c.json'),
  },
  'bazel, names from the root': {
    '/manifest.json': list(['/one.tar', './two.tar'], '/config.json'),
    '/config.json': config,
    '/one.tar': one.blob,
    './two.tar': two.blob,
  },
  'the list first, a member twice': [
    ['./', ''],
    ['./manifest.json', list(['one', 'two'], 'c')],
    ['./c', config],
    ['one', one.blob],
    ['two', two.blob],
    ['one', one.blob],
  ],
}

for (const compress of [undefined, 'gzip', 'zstd'] as const) {
  t.test(`openDockerArchiveSource() gives layers and config as they are, ${compress ?? 'plain'}`, async t => {
    for (const [form, entries] of Object.entries(FORMS)) {
      const {
        source,
        images: [image, ...others],
      } = await open(t, Array.isArray(entries) ? entries.slice(1) : entries, compress ? { compress } : {})
      t.equal(others.length, 0)
      t.same(image?.names.map(formatReference), ['docker.io/library/shop:2.3'], form)
      const content = await readImage(source, image!.root)
      t.equal(content.configs[0]?.descriptor.digest, pair.config.digest)
      t.same(
        content.layers.map(({ digest, mediaType }) => [digest, mediaType]),
        pair.diffIds.map(digest => [digest, OCI_LAYER]),
      )
      t.equal(content.root.digest, pair.root.digest, 'the manifest around them is the one that pack has always written')
      for (const layer of content.layers) {
        t.ok(
          Buffer.from(await readVerified(layer, source.fetch(layer), layer.size)).equals(pair.blobs.get(layer.digest)),
        )
      }
    }
  })
}

t.test(
  'openDockerArchiveSource() keeps layers that are compressed in the archive, as kaniko and bazel write them',
  async t => {
    const packed = [
      await makeLayer({ one: noise(50_000, 'one') }),
      await makeLayer({ two: noise(90_000, 'two') }),
    ] as const
    const names = packed.map(({ descriptor }) => `${hexOf(descriptor.digest)}.tar.gz`)
    const entries = {
      [`sha256:${hex}`]: makeImage(packed).blobs.get(pair.config.digest),
      [names[0]!]: packed[0].blob,
      [names[1]!]: packed[1].blob,
      'manifest.json': list(names, `sha256:${hex}`),
    }
    for (const compress of [undefined, 'gzip'] as const) {
      const {
        source,
        images: [image],
      } = await open(t, entries, compress ? { compress } : {})
      const { layers } = await readImage(source, image!.root)
      t.same(
        layers.map(({ digest, mediaType }) => [digest, mediaType]),
        packed.map(({ descriptor }) => [descriptor.digest, layerMediaType('gzip')]),
      )
      for (const layer of layers) await readVerified(layer, source.fetch(layer), layer.size)
    }
  },
)

t.test('openDockerArchiveSource() reads what skopeo writes, and skopeo reads the same image there', async t => {
  const directory = t.testdir()
  await writeLayout(join(directory, 'layout'), {
    'team/shop:2.3': await layeredImage(3),
    'lab/twice:1': makeImage([one, one]),
  })
  for (const [tag, name] of [
    ['2.3', 'team/shop:2.3'],
    ['1', 'lab/twice:1'],
  ] as const) {
    const tar = join(directory, `${tag}.tar`)
    execFileSync('skopeo', ['copy', '-q', `oci:${join(directory, 'layout')}:${tag}`, `docker-archive:${tar}:${name}`])
    const config = execFileSync('skopeo', ['inspect', '--config', '--raw', `docker-archive:${tar}`])
    await using source = await openDockerArchiveSource(tar, {
      ref: name,
      spool: async () => t.fail('a plain tar') as never,
    })
    const [image] = await source.images()
    t.same(image?.names.map(formatReference), [`docker.io/${name}`])
    const content = await readImage(source, image!.root)
    t.equal(content.configs[0]?.descriptor.digest, digestOf(config))
    for (const layer of content.layers) await readVerified(layer, source.fetch(layer), layer.size)
    t.same(
      content.layers.map(({ digest }) => digest),
      [...new Set(content.platforms[0]!.config.diffIds)],
    )
  }
})

t.test('openDockerArchiveSource() reads a pipe, once', async t => {
  const directory = t.testdir({ spool: {} })
  const [tar, pipe] = [join(directory, 'images.tar'), join(directory, 'pipe')]
  writeFileSync(tar, await makeArchive(FORMS['docker 1.10 to 24']!))
  execFileSync('mkfifo', [pipe])
  spawn('sh', ['-c', 'gzip -c "$1" > "$2"', 'sh', tar, pipe])
  await using source = await openDockerArchiveSource(pipe, {
    spool: async () => new BlobDirectory(join(directory, 'spool')),
  })
  const [image] = await source.images()
  t.equal((await readImage(source, image!.root)).configs[0]?.descriptor.digest, pair.config.digest)
})

t.test('openDockerArchiveSource() finds the image that is meant among several', async t => {
  const entries = dockerEntries([
    { image: pair, tags: ['team/shop:2.3', 'team/shop:latest'] },
    { image: single, tags: null },
    { image: await layeredImage(1), tags: ['registry.example:5000/other:1', 'not A name'] },
  ])
  const all = await open(t, entries)
  t.same(
    all.images.map(({ names }) => names.map(formatReference)),
    [['docker.io/team/shop:2.3', 'docker.io/team/shop:latest'], [], ['registry.example:5000/other:1']],
  )
  const configOf = async (ref: string) => {
    const {
      source,
      images: [image, ...others],
    } = await open(t, entries, { ref })
    t.equal(others.length, 0)
    return (await readImage(source, image!.root)).configs[0]?.descriptor.digest
  }
  for (const ref of [
    'team/shop:2.3',
    'docker.io/team/shop:2.3',
    'team/shop',
    '2.3',
    '@0',
    pair.config.digest,
    pair.root.digest,
  ]) {
    t.equal(await configOf(ref), pair.config.digest, ref)
  }
  for (const ref of ['@1', single.config.digest, single.root.digest])
    t.equal(await configOf(ref), single.config.digest, ref)
  for (const ref of ['team/shop:9', '@3', '@', `sha256:${'0'.repeat(64)}`]) {
    await t.rejects(open(t, entries, { ref }), { code: 'IMAGE_NOT_FOUND' }, ref)
  }
  await t.rejects(open(t, entries, { ref: 'team/shop:9' }), { code: 'IMAGE_NOT_FOUND', hint: /team\/shop:2\.3/ })
  await t.rejects(open(t, entries, { ref: '@3' }), { code: 'IMAGE_NOT_FOUND', hint: /@0 to @2/ })
  await t.rejects(open(t, { 'manifest.json': '[]' }), { code: 'IMAGE_NOT_FOUND' })
})

/** As docker 25 and later write it: a layout with the list of docker in it. */
function layoutEntries(
  image: typeof pair,
  { left = [], annotations }: { left?: readonly string[]; annotations?: Record<string, string> } = {},
): Record<string, Entry> {
  const root = { ...image.root, ...(annotations ? { annotations } : {}) }
  const blobs = image.blobs.digests().filter(digest => !left.includes(digest))
  return {
    ...Object.fromEntries(blobs.map(digest => [blobPath(digest), image.blobs.get(digest)])),
    'index.json': JSON.stringify({ schemaVersion: 2, manifests: [root] }),
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'manifest.json': list(
      image.layers.map(({ digest }) => blobPath(digest)),
      blobPath(image.config.digest),
    ),
  }
}

t.test('openDockerArchiveSource() takes the layout in the archive as it is, where there is one', async t => {
  for (const image of [await layeredImage(2), await multiPlatformImage()]) {
    for (const ref of [undefined, '@0', 'shop:2.3', image.config.digest, image.root.digest]) {
      const { images } = await open(t, layoutEntries(image), ref === undefined ? {} : { ref })
      t.same(
        images.map(({ root, names }) => [root.digest, names.map(formatReference)]),
        [[image.root.digest, ['docker.io/library/shop:2.3']]],
        'names of the list, as the index has none',
      )
    }
  }
  const named = layoutEntries(pair, {
    annotations: { 'io.containerd.image.name': 'docker.io/team/app:1', [REF_NAME_ANNOTATION]: '1' },
  })
  t.same(
    (await open(t, named)).images[0]?.names.map(formatReference),
    ['docker.io/team/app:1', 'docker.io/library/shop:2.3'],
    'with the names of both lists',
  )
  await t.rejects(open(t, named, { ref: '@1' }), { code: 'IMAGE_NOT_FOUND' })
})

t.test('openDockerArchiveSource() takes the one whole platform of an index that an engine saved in part', async t => {
  const image = await multiPlatformImage()
  const { platforms } = await readImage(image.blobs, image.root)
  const left = platforms
    .slice(1)
    .flatMap(({ descriptor, manifest }) =>
      [descriptor, manifest.config, ...manifest.layers].map(({ digest }) => digest),
    )
  const { images } = await open(t, layoutEntries(image, { left }))
  t.equal(images[0]?.root.digest, platforms[0]?.descriptor.digest)
  await t.rejects(open(t, layoutEntries(image, { left: [...left, image.layers[0]!.digest] })), {
    code: 'BLOB_MISSING',
    message: new RegExp(image.layers[0]!.digest),
  })
})

t.test('openDockerArchiveSource() keeps a layer that stands elsewhere as a foreign one', async t => {
  const source = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: `sha256:${'a'.repeat(64)}`,
    size: 99,
    urls: ['https://example.com/base'],
  }
  const entries = dockerEntries([{ image: pair, tags: ['shop:1'] }])
  const [image] = JSON.parse(entries['manifest.json'] as string) as { Layers: string[] }[]
  delete entries[image!.Layers[0]!]
  const listed = JSON.stringify([{ ...image, LayerSources: { [pair.diffIds[0]!]: source } }])
  const opened = await open(t, { ...entries, 'manifest.json': listed })
  const { layers } = await readImage(opened.source, opened.images[0]!.root)
  t.match(layers[0], source)
  t.equal(await opened.source.has(layers[0]!), false)
  await t.rejects(open(t, entries), { code: 'BLOB_MISSING' }, 'but not where nothing says where it is')
})

t.test('openDockerArchiveSource() refuses hostile archives in words, plain and compressed', async t => {
  const good = { a: one.blob, b: two.blob, c: config }
  const docker = (layers: Readonly<Record<string, Entry>>, order = ['a', 'b']) => ({
    ...layers,
    c: config,
    'manifest.json': list(order, 'c'),
  })
  const cases: readonly (readonly [string, Entries, string, RegExp])[] = [
    ['a name that climbs', { ...docker(good), '../../x': 'x' }, 'INVALID_TAR', /leads out of/],
    ['one name, two files', [...Object.entries(docker(good)), ['a', two.blob]], 'INVALID_TAR', /"a" twice/],
    ['a file and a link', [...Object.entries(docker(good)), ['a', { symlink: 'b' }]], 'INVALID_TAR', /"a" twice/],
    [
      'links in a loop',
      docker({ a: { symlink: 'x' }, x: { symlink: 'a' }, b: two.blob }),
      'BLOB_MISSING',
      /a loop of links behind/,
    ],
    ['a link to itself', docker({ a: { link: 'a' }, b: two.blob }), 'BLOB_MISSING', /a loop of links behind/],
    [
      'a link out',
      docker({ a: { symlink: '../../../etc/passwd' }, b: two.blob }),
      'BLOB_MISSING',
      /no \S*etc\/passwd, which a is a link to/,
    ],
    ['an absolute link out', docker({ a: { symlink: '/etc/passwd' }, b: two.blob }), 'BLOB_MISSING', /etc\/passwd/],
    ['too few layers', docker(good, ['a']), 'INVALID_MANIFEST', /1 layers.*2 diff_ids/],
    ['too many layers', docker(good, ['a', 'b', 'b']), 'INVALID_MANIFEST', /3 layers.*2 diff_ids/],
    ['a layer that is missing', docker(good, ['a', 'z']), 'BLOB_MISSING', /no z/],
    ['a config that is missing', { ...good, 'manifest.json': list(['a', 'b'], 'z') }, 'BLOB_MISSING', /no z/],
    [
      'a config elsewhere',
      { ...good, 'manifest.json': list(['a', 'b'], '../../etc/shadow') },
      'BLOB_MISSING',
      /etc\/shadow/,
    ],
    ['a list that is none', { ...good, 'manifest.json': '{}' }, 'INVALID_MANIFEST', /expected an array/],
    ['a list that is not JSON', { ...good, 'manifest.json': '[' }, 'INVALID_MANIFEST', /manifest\.json is not JSON/],
    [
      'layers that are not names',
      { ...good, 'manifest.json': '[{"Config":"c","Layers":[5]}]' },
      'INVALID_MANIFEST',
      /Layers\[0\]/,
    ],
    ['no list', good, 'INVALID_MANIFEST', /no manifest\.json/],
  ]
  for (const [name, entries, code, message] of cases) {
    for (const compress of [undefined, 'gzip'] as const) {
      await t.rejects(
        open(t, entries, compress ? { compress } : {}),
        { code, message },
        `${name}, ${compress ?? 'plain'}`,
      )
    }
  }
})

t.test('openDockerArchiveSource() finds a layer that is not its diffID', async t => {
  const wrong = { ...FORMS['docker 1.10 to 24'], 'bb/layer.tar': flipped(two.blob) } as Record<string, Entry>
  await t.rejects(open(t, wrong, { compress: 'zstd' }), { code: 'DIGEST_MISMATCH', message: /layer 2.*bb\/layer\.tar/ })
  const {
    source,
    images: [image],
  } = await open(t, wrong)
  const { layers } = await readImage(source, image!.root)
  await t.rejects(
    readVerified(layers[1]!, source.fetch(layers[1]!), layers[1]!.size),
    { code: 'DIGEST_MISMATCH' },
    'in its place, when it is read',
  )
  const packed = { ...FORMS['docker 1.10 to 24'], 'bb/layer.tar': (await makeLayer({ other: 'x' })).blob } as Record<
    string,
    Entry
  >
  await t.rejects(open(t, packed), { code: 'DIGEST_MISMATCH', message: /layer 2.*bb\/layer\.tar holds/ })
})

t.test(
  'openDockerArchiveSource() refuses what is cut short, and what is not an archive, saying what it looks like',
  async t => {
    const whole = await makeArchive(FORMS['docker 1.10 to 24']!)
    for (const length of [100, 700, whole.length >> 1, whole.length - 1536]) {
      await t.rejects(open(t, whole.subarray(0, length)), { code: 'INVALID_TAR' }, `${length} bytes`)
    }
    const gzip = execFileSync('gzip', ['-c'], { input: whole })
    const directory = t.testdir({ 'cut.tar.gz': '', 'empty.tar': '', 'some.txt': 'x'.repeat(5000), spool: {} })
    writeFileSync(join(directory, 'cut.tar.gz'), gzip.subarray(0, gzip.length >> 1))
    const at = async (name: string) =>
      await openDockerArchiveSource(join(directory, name), {
        spool: async () => new BlobDirectory(join(directory, 'spool')),
      })
    await t.rejects(at('cut.tar.gz'), { code: 'INVALID_TAR', message: /is incomplete/ })
    await t.rejects(at('empty.tar'), { code: 'INVALID_TAR', message: /empty/ })
    await t.rejects(at('some.txt'), { code: 'INVALID_TAR' })
    await t.rejects(at('spool'), { code: 'INVALID_ARGUMENT', hint: /oci:.*dir:/ })
    await t.rejects(at('nowhere.tar'), { code: 'FILE_NOT_FOUND' })
    await t.rejects(open(t, { repositories: '{}', 'aa/layer.tar': one.blob }), {
      code: 'INVALID_MANIFEST',
      hint: /before 1\.10/,
    })
    await t.rejects(open(t, { 'etc/passwd': 'root', 'bin/sh': 'x' }), {
      code: 'INVALID_MANIFEST',
      hint: /docker export.*dir:DIR/,
    })
  },
)

t.test('openDockerArchiveSource() reads no list of 1 GB', async t => {
  const directory = t.testdir()
  const file = join(directory, 'large.tar')
  const size = 1_000_000_000
  writeFileSync(file, encodeHeader({ name: 'manifest.json', size }))
  truncateSync(file, 512 + Math.ceil(size / 512) * 512 + 1024)
  const before = process.memoryUsage().rss
  await using source = await openDockerArchiveSource(file, { spool: async () => t.fail('a plain tar') as never })
  await t.rejects(source.images(), { code: 'INVALID_MANIFEST', message: /1000000000 bytes; the limit is/ })
  t.ok(process.memoryUsage().rss - before < 100_000_000)
})
