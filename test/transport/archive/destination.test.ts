import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readImage } from '../../../src/blob/closure.js'
import { openDockerArchiveDestination } from '../../../src/transport/archive/docker-destination.js'
import { openOciArchiveDestination } from '../../../src/transport/archive/oci-destination.js'
import { digestOf } from '../../../src/oci/digest.js'
import { layerMediaType } from '../../../src/oci/compression.js'
import { OCI_MANIFEST } from '../../../src/oci/media-type.js'
import { formatReference, parseReference } from '../../../src/oci/reference.js'
import { openDockerArchiveSource } from '../../../src/transport/archive/docker-source.js'
import { openOciArchiveSource } from '../../../src/transport/archive/oci-source.js'
import {
  layeredImage,
  makeImage,
  makeLayer,
  MemoryBlobs,
  multiPlatformImage,
  type TestImage,
  windowsImage,
} from '../../support/images.js'

const KINDS = [
  ['oci-archive', openOciArchiveDestination, openOciArchiveSource],
  ['docker-archive', openDockerArchiveDestination, openDockerArchiveSource],
] as const
type Kind = (typeof KINDS)[number]

const skopeo = (...words: readonly string[]): Buffer =>
  execFileSync('skopeo', words, { stdio: ['ignore', 'pipe', 'pipe'] })
const plain = async (): Promise<never> => {
  throw new TypeError('a plain tar is read in its place')
}

/** Writes an archive of `images` by name. */
async function write(
  [, open]: Kind,
  file: string,
  images: Readonly<Record<string, TestImage>>,
  options: Parameters<Kind[1]>[1] = {},
) {
  await using destination = await open(file, options)
  const written = []
  for (const [name, { blobs, root }] of Object.entries(images)) {
    written.push(
      await destination.write(await readImage(blobs, root), blobs, name === '' ? [] : [parseReference(name)]),
    )
  }
  await destination.finish?.()
  return written
}

async function read([, , open]: Kind, file: string): Promise<readonly (readonly [string, readonly string[]])[]> {
  await using source = await open(file, { spool: plain })
  return (await source.images()).map(({ root, names }) => [root.digest, names.map(formatReference)] as const)
}

/** What GNU tar lists, which must have nothing to say about it. */
function listed(t: Test, file: string): readonly string[] {
  const { stdout, stderr, status } = spawnSync('tar', ['-tvf', file], { encoding: 'utf8' })
  t.same([stderr, status], ['', 0])
  return stdout.trim().split('\n')
}

for (const kind of KINDS) {
  const [type, open] = kind

  t.test(`${type}: the same images give the same bytes, with the time they were given`, async t => {
    const directory = t.testdir()
    const images = {
      'team/shop:2.3': await layeredImage(3),
      'registry.example:5000/other:1': await layeredImage(2, { seed: 'other' }),
    }
    for (const name of ['one', 'two']) await write(kind, join(directory, name), images)
    await write(kind, join(directory, 'dated'), images, { epoch: 1_700_000_000 })
    t.ok(readFileSync(join(directory, 'one')).equals(readFileSync(join(directory, 'two'))))
    for (const line of listed(t, join(directory, 'one'))) t.match(line, /^[-d]rw[-x]r-[-x]r-[-x] 0\/0 .*1970-01-01/)
    for (const line of listed(t, join(directory, 'dated'))) t.match(line, /2023-11-14/)
    t.same(readdirSync(directory).sort(), ['dated', 'one', 'two'])
    const shared = readFileSync(join(directory, 'one'))
    await write(kind, join(directory, 'three'), { ...images, 'again:1': images['team/shop:2.3'] })
    t.ok(readFileSync(join(directory, 'three')).length - shared.length < 10_240, 'a blob stands there once')
  })

  t.test(`${type}: never takes the place of a file, and takes up what a killed run left`, async t => {
    const directory = t.testdir({ 'there.tar': 'something', 'x.tar.partial': 'half' })
    await t.rejects(open(join(directory, 'there.tar')), { code: 'OUTPUT_EXISTS', hint: /never overwritten/ })
    await t.rejects(open(join(directory, 'nowhere', 'x.tar')), { code: 'FILE_NOT_FOUND' })
    const destination = await open(join(directory, 'x.tar'))
    const image = await layeredImage(1)
    await destination.write(await readImage(image.blobs, image.root), image.blobs, [])
    writeFileSync(join(directory, 'x.tar'), 'somebody was faster')
    await t.rejects(destination.finish!(), { code: 'OUTPUT_EXISTS' })
    await destination[Symbol.asyncDispose]()
    t.equal(readFileSync(join(directory, 'x.tar'), 'utf8'), 'somebody was faster')
    t.equal(readFileSync(join(directory, 'there.tar'), 'utf8'), 'something')
    // What a killed run left is kept for the next one, and what a run began that has failed itself is not
    t.same(readdirSync(directory).sort(), ['there.tar', 'x.tar', 'x.tar.partial'])
    rmSync(join(directory, 'x.tar'))
    rmSync(join(directory, 'x.tar.partial'))
    const fresh = await open(join(directory, 'x.tar'))
    await fresh.write(await readImage(image.blobs, image.root), image.blobs, [])
    writeFileSync(join(directory, 'x.tar'), 'somebody was faster')
    await t.rejects(fresh.finish!(), { code: 'OUTPUT_EXISTS' })
    await fresh[Symbol.asyncDispose]()
    t.same(readdirSync(directory).sort(), ['there.tar', 'x.tar'])
  })

  t.test(`${type}: an archive with no image is none`, async t => {
    const directory = t.testdir()
    const destination = await open(join(directory, 'x.tar'))
    await t.rejects(destination.finish!(), { code: 'INVALID_ARGUMENT' })
    await destination[Symbol.asyncDispose]()
    t.same(readdirSync(directory), [])
  })

  t.test(`${type}: an image that failed leaves the others whole`, async t => {
    const file = join(t.testdir(), 'x.tar')
    const [good, bad] = [await layeredImage(1), await layeredImage(2, { seed: 'bad' })]
    bad.blobs.delete(bad.layers[1]!.digest)
    await using destination = await open(file)
    await t.rejects(destination.write(await readImage(bad.blobs, bad.root), bad.blobs, [parseReference('bad:1')]), {
      code: 'BLOB_MISSING',
    })
    await destination.write(await readImage(good.blobs, good.root), good.blobs, [parseReference('good:1')])
    await destination.finish?.()
    t.same(await read(kind, file), [[good.root.digest, ['docker.io/library/good:1']]])
    listed(t, file)
  })

  t.test(`${type}: names are of one image each`, async t => {
    const directory = t.testdir()
    const [one, other] = [await layeredImage(1), await layeredImage(2)]
    await t.rejects(write(kind, join(directory, 'x'), { 'shop:1': one, 'docker.io/library/shop:1': other }), {
      code: 'INVALID_ARGUMENT',
      message: /two different images/,
    })
    await t.rejects(write(kind, join(directory, 'x'), { 'shop:1': one, 'shop:2': other }, { ref: 'named:1' }), {
      code: 'INVALID_ARGUMENT',
      message: /named for one image/,
    })
    t.same(readdirSync(directory), [])
    await write(kind, join(directory, 'several'), {
      'shop:1': one,
      'shop:2': one,
      'team/shop:1': other,
      '': await layeredImage(3),
    })
    t.same(await read(kind, join(directory, 'several')), [
      [one.root.digest, ['docker.io/library/shop:1', 'docker.io/library/shop:2']],
      [other.root.digest, ['docker.io/team/shop:1']],
      [(await layeredImage(3)).root.digest, []],
    ])
    await write(kind, join(directory, 'named'), { 'shop:1': one }, { ref: 'mirror.example/shop:9' })
    t.same(await read(kind, join(directory, 'named')), [[one.root.digest, ['mirror.example/shop:9']]])
  })
}

t.test('oci-archive: goes through skopeo and comes back with its digests', async t => {
  const directory = t.testdir()
  for (const [name, image] of [
    ['one', await layeredImage(3)],
    ['several', await multiPlatformImage()],
  ] as const) {
    const file = join(directory, `${name}.tar`)
    await write(KINDS[0], file, { 'team/shop:2.3': image })
    t.equal(digestOf(skopeo('inspect', '--raw', `oci-archive:${file}:2.3`)), image.root.digest)
    skopeo(
      'copy',
      '-q',
      '--all',
      '--preserve-digests',
      `oci-archive:${file}:2.3`,
      `oci-archive:${join(directory, `${name}-back.tar`)}:docker.io/team/shop:2.3`,
    )
    t.same(await read(KINDS[0], join(directory, `${name}-back.tar`)), [
      [image.root.digest, ['docker.io/team/shop:2.3']],
    ])
  }
})

t.test('oci-archive: has the reference that it was named with, as skopeo looks for it', async t => {
  const directory = t.testdir()
  const image = await layeredImage(1)
  for (const [ref, names] of [
    ['v9', ['docker.io/team/shop:v9']],
    ['team/other:1', ['docker.io/team/other:1']],
    ['stable+2', []],
  ] as const) {
    const file = join(directory, `${ref.replace(/\W/g, '-')}.tar`)
    const [written] = await write(KINDS[0], file, { 'team/shop:2.3': image }, { ref })
    t.same(written?.names.map(formatReference), names)
    t.same(await read(KINDS[0], file), [[image.root.digest, names]])
    t.equal(digestOf(skopeo('inspect', '--raw', `oci-archive:${file}:${ref}`)), image.root.digest)
    await using source = await openOciArchiveSource(file, { ref, spool: plain })
    t.equal((await source.images())[0]?.root.digest, image.root.digest)
  }
})

t.test(
  'oci-archive: refuses a reference that the image-spec has no grammar for, and docker-archive one that is not a name',
  async t => {
    const directory = t.testdir()
    for (const ref of ['any thing', '-x', 'a//b', 'ä'])
      await t.rejects(openOciArchiveDestination(join(directory, 'x'), { ref }), { code: 'INVALID_REFERENCE' }, ref)
    for (const ref of ['Not A Name', 'x:-'])
      await t.rejects(openDockerArchiveDestination(join(directory, 'x'), { ref }), { code: 'INVALID_REFERENCE' }, ref)
    await t.rejects(openDockerArchiveDestination(join(directory, 'x'), { ref: `x@sha256:${'a'.repeat(64)}` }), {
      code: 'INVALID_ARGUMENT',
    })
    t.same(readdirSync(directory), [])
  },
)

t.test('docker-archive: skopeo reads every image of it by name, and the layers are the same', async t => {
  const directory = t.testdir()
  const file = join(directory, 'x.tar')
  const images = {
    'team/shop:2.3': await layeredImage(3),
    'lab/plain:1': makeImage([await makeLayer({ a: 'a' }, 'none')]),
    'win:1': await windowsImage(),
  }
  await write(KINDS[1], file, images)
  for (const [name, image] of Object.entries(images)) {
    const [os, architecture] =
      name === 'win:1' ? ['windows', 'amd64'] : ['linux', process.arch === 'x64' ? 'amd64' : process.arch]
    t.equal(
      digestOf(
        skopeo(
          '--override-os',
          os,
          '--override-arch',
          architecture,
          'inspect',
          '--config',
          '--raw',
          `docker-archive:${file}:${name}`,
        ),
      ),
      image.config.digest,
      name,
    )
    if (os === 'windows') continue
    skopeo('copy', '-q', `docker-archive:${file}:${name}`, `docker-archive:${join(directory, 'back.tar')}:${name}`)
    await using source = await openDockerArchiveSource(join(directory, 'back.tar'), { spool: plain })
    const [back] = await source.images()
    const { platforms, configs } = await readImage(source, back!.root)
    t.equal(configs[0]?.descriptor.digest, image.config.digest)
    t.same(platforms[0]?.config.diffIds, image.diffIds)
    execFileSync('rm', [join(directory, 'back.tar')])
  }
  const manifest = JSON.parse(execFileSync('tar', ['-xOf', file, 'manifest.json'], { encoding: 'utf8' })) as {
    RepoTags: string[]
  }[]
  t.same(
    manifest.map(({ RepoTags }) => RepoTags),
    [['docker.io/team/shop:2.3'], ['docker.io/lab/plain:1'], ['docker.io/library/win:1']],
  )
})

t.test('docker-archive: holds one platform, and says which', async t => {
  const file = join(t.testdir(), 'x.tar')
  const image = await multiPlatformImage([
    { os: 'linux', architecture: 's390x' },
    { os: 'linux', architecture: 'amd64' },
  ])
  const { platforms } = await readImage(image.blobs, image.root)
  const [written] = await write(KINDS[1], file, { 'shop:1': image })
  t.same(written?.platforms, [{ os: 'linux', architecture: 'amd64' }])
  t.equal(written?.id, platforms[1]?.descriptor.digest)
  t.same(await read(KINDS[1], file), [[platforms[1]?.descriptor.digest, ['docker.io/library/shop:1']]])
  const [single] = await write(KINDS[1], `${file}.single`, { 'shop:1': await layeredImage(1) })
  t.notOk(single && 'platforms' in single, 'where there is one, there is nothing to say')
})

t.test('docker-archive: refuses what not every engine can load, before it writes', async t => {
  const directory = t.testdir()
  const layer = await makeLayer({ a: 'a' })
  const zstd = makeImage([{ ...layer, descriptor: { ...layer.descriptor, mediaType: layerMediaType('zstd') } }])
  await t.rejects(write(KINDS[1], join(directory, 'x'), { 'shop:1': zstd }), {
    code: 'UNSUPPORTED',
    message: /zstd/,
    hint: /oci-archive:/,
  })
  const blobs = new MemoryBlobs()
  const config = blobs.add('application/vnd.example.thing+json', Buffer.from('{}'))
  const root = blobs.add(
    OCI_MANIFEST,
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers: [] })),
  )
  const artifact: TestImage = { root, blobs, config, layers: [], diffIds: [] }
  await t.rejects(write(KINDS[1], join(directory, 'x'), { 'thing:1': artifact }), {
    code: 'UNSUPPORTED',
    hint: /oci-archive:/,
  })
  t.same(readdirSync(directory), [])
  await write(KINDS[0], join(directory, 'x'), { 'thing:1': artifact })
  t.same(
    await read(KINDS[0], join(directory, 'x')),
    [[root.digest, ['docker.io/library/thing:1']]],
    'which an OCI archive holds',
  )
})
