import { appendFile, cp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { encodeChecksums } from '../../src/bundle/checksums.js'
import { integrityOf } from '../../src/bundle/manifest.js'
import { openBundleReader } from '../../src/bundle/reader.js'
import { StowageError } from '../../src/errors.js'
import { loadBundle } from '../../src/verbs/load.js'
import { digestOf } from '../../src/oci/digest.js'
import { blobPath, LAYOUT_BYTES } from '../../src/oci/layout.js'
import { encodeHeader, padding, TAR_END } from '../../src/tar/header.js'
import { verifyBundle } from '../../src/bundle/verify.js'
import { readTree, writeBundle } from '../support/bundles.js'
import { flipped, layeredImage, type TestImage, windowsImage, writeLayout } from '../support/images.js'

const images: Record<string, TestImage> = { 'shop:1': await layeredImage(2), 'win:1': await windowsImage() }
const pristine = join(t.testdir(), 'site')
await writeBundle(pristine, images)
const layer = blobPath(images['shop:1']!.layers[1]!.digest)

async function copyOf(t: Test): Promise<string> {
  const bundle = join(t.testdir(), 'site')
  await cp(pristine, bundle, { recursive: true })
  return bundle
}

/** Makes the lists say what the files are: one who can write the medium can do that too. */
async function relist(bundle: string): Promise<void> {
  const manifest = JSON.parse(await readFile(join(bundle, 'bundle.json'), 'utf8'))
  const files = [...(await readTree(bundle))].filter(([path]) => path !== 'SHA256SUMS' && path !== 'bundle.json')
  manifest.files = files.map(([path, bytes]) => ({ path, size: bytes.length, integrity: integrityOf(digestOf(bytes)) }))
  const text = JSON.stringify(manifest)
  await writeFile(join(bundle, 'bundle.json'), text)
  const sums = new Map(files.map(([path, bytes]) => [path, digestOf(bytes)]))
  await writeFile(join(bundle, 'SHA256SUMS'), encodeChecksums(sums.set('bundle.json', digestOf(Buffer.from(text)))))
}

async function load(bundle: string) {
  const store = `${bundle}-store`
  const result = await loadBundle(bundle, { to: `oci:${store}` })
  return { codes: result.images.map(({ error }) => error?.code), store }
}

t.test('openBundleReader() refuses small files that are not as listed', async t => {
  for (const file of ['bundle.json', 'index.json', 'manifest.json', 'oci-layout']) {
    const bundle = await copyOf(t)
    await appendFile(join(bundle, file), ' ')
    await t.rejects(openBundleReader(bundle), { code: 'DIGEST_MISMATCH', hint: /verify/ }, file)
    await rm(join(bundle, file))
    await t.rejects(
      openBundleReader(bundle),
      { code: file === 'bundle.json' ? 'NOT_A_BUNDLE' : 'BUNDLE_INVALID' },
      file,
    )
  }
})

t.test('openBundleReader() says what else a path may be', async t => {
  const root = t.testdir({ empty: {} })
  await writeLayout(join(root, 'layout'), images)
  await t.rejects(openBundleReader(join(root, 'layout')), { code: 'NOT_A_BUNDLE', hint: /oci:/ })
  await t.rejects(openBundleReader(join(root, 'empty')), { code: 'NOT_A_BUNDLE' })
  await t.rejects(openBundleReader(join(root, 'absent')), { code: 'FILE_NOT_FOUND' })
})

t.test('loadBundle() loads nothing of an image with a wrong layer, and all of the others', async t => {
  for (const [damage, code] of [
    [async (path: string) => await writeFile(path, flipped(await readFile(path))), 'DIGEST_MISMATCH'],
    [async (path: string) => await writeFile(path, 'short'), 'SIZE_MISMATCH'],
    [rm, 'BLOB_MISSING'],
  ] as const) {
    const bundle = await copyOf(t)
    await damage(join(bundle, layer))
    const { codes, store } = await load(bundle)
    t.same(codes, [code, undefined])
    const index = JSON.parse(await readFile(join(store, 'index.json'), 'utf8'))
    t.same(
      index.manifests.map(({ digest }: { digest: string }) => digest),
      [images['win:1']!.root.digest],
    )
    t.notOk((await readdir(join(store, 'blobs/sha256'))).includes(layer.slice('blobs/sha256/'.length)))
  }
})

t.test('loadBundle() believes digests, not lists', async t => {
  const bundle = await copyOf(t)
  await writeFile(join(bundle, layer), flipped(await readFile(join(bundle, layer))))
  await relist(bundle)
  t.same((await load(bundle)).codes, ['DIGEST_MISMATCH', undefined])
  const { findings } = await verifyBundle(bundle)
  t.match(findings, [{ code: 'DIGEST_MISMATCH', path: layer, message: /its name/ }])
})

t.test('a link in the place of a layer is not followed', async t => {
  const bundle = await copyOf(t)
  await rm(join(bundle, layer))
  await symlink(join(pristine, layer), join(bundle, layer))
  t.same((await load(bundle)).codes, ['BLOB_MISSING', undefined])
})

t.test('a bundle.json with an image that index.json has not is refused', async t => {
  const bundle = await copyOf(t)
  const index = JSON.parse(await readFile(join(bundle, 'index.json'), 'utf8'))
  index.manifests.shift()
  await writeFile(join(bundle, 'index.json'), JSON.stringify(index))
  await relist(bundle)
  await t.rejects(openBundleReader(bundle), { code: 'BUNDLE_INVALID' })
})

t.test('an image that names itself, or says it is huge, ends with an error', async t => {
  const bundle = await copyOf(t)
  const digest = images['shop:1']!.root.digest
  for (const root of [
    { mediaType: 'application/vnd.oci.image.index.v1+json', digest, size: 405 },
    { mediaType: 'x/y', digest, size: 2 ** 50 },
  ]) {
    const index = JSON.parse(await readFile(join(pristine, 'index.json'), 'utf8'))
    Object.assign(index.manifests[0], root)
    await writeFile(join(bundle, 'index.json'), JSON.stringify(index))
    await relist(bundle)
    t.notOk((await verifyBundle(bundle)).ok)
  }
})

t.test(
  'a document that is nested deep, long in a field or wrong throughout is a finding with a short message',
  async t => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000)
    const long = JSON.stringify('x'.repeat(2_000_000))
    const cases: [string, string][] = [
      ['bundle.json', `{"schemaVersion":${deep}}`],
      ['bundle.json', `{"schemaVersion":1,"generator":1,"images":{"a":${deep}},"files":[${'0,'.repeat(300_000)}0]}`],
      ['bundle.json', `{"schemaVersion":1,"generator":${deep},"images":[],"files":[]}`],
      ['index.json', `{"manifests":${deep}}`],
      ['index.json', `{"manifests":[{"mediaType":"x","size":1,"digest":${deep}}]}`],
      ['index.json', `{"manifests":[{"mediaType":"x","size":1,"digest":${long}}]}`],
      ['manifest.json', deep],
      ['manifest.json', `[{"Config":${deep},"Layers":[]}]`],
    ]
    for (const [file, text] of cases) {
      const bundle = await copyOf(t)
      await writeFile(join(bundle, file), text)
      const { findings } = await verifyBundle(bundle)
      t.ok(
        findings.some(({ code, path }) => code === 'INVALID_MANIFEST' && path === file),
        text.slice(0, 60),
      )
      t.ok(findings.every(({ message }) => message.length < 4000))
      await t.rejects(openBundleReader(bundle), StowageError)
    }
  },
)

t.test('an image that index.json names twice, and the second time otherwise, is a finding', async t => {
  for (const other of [{ size: 1 }, { mediaType: 'application/vnd.docker.distribution.manifest.v2+json' }]) {
    const bundle = await copyOf(t)
    const index = JSON.parse(await readFile(join(bundle, 'index.json'), 'utf8'))
    index.manifests.push({ ...index.manifests[0], ...other })
    await writeFile(join(bundle, 'index.json'), JSON.stringify(index))
    await relist(bundle)
    t.match((await verifyBundle(bundle)).findings, [{ code: 'INVALID_MANIFEST', path: 'index.json', message: /twice/ }])
  }
})

t.test('a head that other readers take otherwise, or not at all, is a finding', async t => {
  const cases: [string, (text: string) => string][] = [
    ['oci-layout', () => 'garbage'],
    ['oci-layout', () => '{"imageLayoutVersion":"9.0.0"}'],
    ['index.json', text => `\ufeff${text}`],
    ['index.json', text => text.replace('"manifests"', '"Manifests":[],"manifests"')],
    ['index.json', text => text.replace('"digest"', `"Digest":"sha256:${'0'.repeat(64)}","digest"`)],
    ['manifest.json', text => `\ufeff${text}`],
    ['manifest.json', text => text.replace('"Layers"', '"repotags":["other:1"],"Layers"')],
    ['manifest.json', text => JSON.stringify([{ ...JSON.parse(text)[0], RepoTags: ['other:1'] }, ...JSON.parse(text)])],
  ]
  for (const [file, change] of cases) {
    const bundle = await copyOf(t)
    await writeFile(join(bundle, file), change(await readFile(join(bundle, file), 'utf8')))
    await relist(bundle)
    const { findings } = await verifyBundle(bundle)
    t.ok(
      findings.some(({ path }) => path === file),
      `${file} ${change}`,
    )
  }
})

t.test('an oversized document in a tar is refused without reading it', async t => {
  const path = join(t.testdir(), 'x.tar')
  const size = 65 * 1024 * 1024
  const member = (name: string, bytes: Uint8Array) => [
    encodeHeader({ name, size: bytes.length }),
    bytes,
    padding(bytes.length),
  ]
  const names = ['SHA256SUMS', 'index.json', 'manifest.json']
  const small = [...member('oci-layout', LAYOUT_BYTES), ...names.flatMap(name => member(name, Buffer.from('{}')))]
  await writeFile(path, Buffer.concat([...small, ...member('bundle.json', Buffer.alloc(size, 0x20)), TAR_END]))
  await t.rejects(openBundleReader(path), { code: 'INVALID_MANIFEST', message: /limit/ })
  t.ok(
    (await verifyBundle(path)).findings.some(
      ({ code, path: file }) => code === 'INVALID_MANIFEST' && file === 'bundle.json',
    ),
  )
})

t.test('loadBundle() refuses choices that fit nothing, naming what there is', async t => {
  const to = `oci:${join(t.testdir(), 'store')}`
  await t.rejects(loadBundle(pristine, { to, names: ['nginx'] }), { code: 'IMAGE_NOT_FOUND', hint: /shop:1, win:1/ })
  await t.rejects(loadBundle(pristine, { to, platforms: ['linux/s390x'] }), {
    code: 'IMAGE_NOT_FOUND',
    hint: /windows\/amd64:10\.0\.20348\.169/,
  })
  await t.rejects(loadBundle(pristine, { to: 'oci:x:v1' }), { code: 'INVALID_ARGUMENT' })
  await t.rejects(loadBundle(pristine, { to, signal: AbortSignal.abort() }), { code: 'ABORTED' })
  t.match(await loadBundle(pristine, { to, platforms: ['windows'] }), {
    images: [{ names: ['docker.io/library/win:1'] }],
  })
})
