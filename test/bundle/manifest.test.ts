import { createHash } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { encodeChecksums, parseChecksums } from '../../src/bundle/checksums.js'
import {
  type BundleManifest,
  encodeBundleManifest,
  isBundlePath,
  parseBundleManifest,
} from '../../src/bundle/manifest.js'
import { StowageError } from '../../src/errors.js'
import { digestOf } from '../../src/oci/digest.js'
import { writeBundle } from '../support/bundles.js'
import { layeredImage, windowsImage } from '../support/images.js'

const encode = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))
const manifest: BundleManifest = await writeBundle(
  join(t.testdir(), 'site'),
  { 'shop:1': await layeredImage(2), 'win:1': await windowsImage() },
  0,
)

/** The manifest with the value at `path` replaced, as an attacker or a later version would have it. */
function altered(path: readonly (string | number)[], value: unknown): Uint8Array {
  const copy = structuredClone(manifest) as any
  const parent = path.slice(0, -1).reduce((object, key) => object[key], copy)
  parent[path.at(-1)!] = value
  return encode(copy)
}

t.test('parseBundleManifest() reads what encodeBundleManifest() wrote', async t => {
  t.same(parseBundleManifest(encodeBundleManifest(manifest)), manifest)
  t.equal(manifest.created, '1970-01-01T00:00:00.000Z')
  t.same(
    parseBundleManifest(altered(['future'], { any: 'thing' })),
    manifest,
    'fields it does not know are let through',
  )
})

t.test('parseBundleManifest() names each field that is wrong', async t => {
  const cases: [(string | number)[], unknown][] = [
    [['generator'], 'me'],
    [['generator', 'version'], 1],
    [['created'], 5],
    [['images'], {}],
    [['images', 0, 'names'], 'shop'],
    [['images', 0, 'names', 0], 'shop'],
    [['images', 0, 'names', 0], 'UPPER'],
    [['images', 0, 'root'], null],
    [['images', 0, 'root', 'digest'], 'sha256:00'],
    [['images', 0, 'size'], -1],
    [['images', 1, 'platforms'], null],
    [['images', 1, 'platforms', 0, 'platform', 'os'], 5],
    [['images', 1, 'platforms', 0, 'manifest'], 'x'],
    [['images', 1, 'platforms', 0, 'config'], undefined],
    [['images', 1, 'platforms', 0, 'layers', 0, 'diffId'], 'x'],
    [['images', 1, 'platforms', 0, 'layers', 0, 'size'], 1.5],
    [['files'], null],
    [['files', 0, 'path'], '../x'],
    [['files', 0, 'size'], '5'],
    [['files', 0, 'integrity'], 'sha512-AAAA'],
  ]
  for (const [path, value] of cases) {
    const field = path.map(key => (typeof key === 'number' ? `[${key}]` : `.${key}`)).join('')
    try {
      parseBundleManifest(altered(path, value))
      t.fail(field)
    } catch (error) {
      t.match(error, { code: 'INVALID_MANIFEST' })
      t.ok(error instanceof StowageError && error.message.includes(`bundle.json${field}`), `${field}: ${error}`)
    }
  }
})

t.test('parseBundleManifest() names every bad field at once', async t => {
  const copy = structuredClone(manifest) as any
  copy.images[0].size = 'x'
  copy.files[1].path = '/etc'
  copy.files[2].integrity = ''
  t.throws(() => parseBundleManifest(encode(copy)), {
    message: /images\[0\]\.size.*files\[1\]\.path.*files\[2\]\.integrity/,
  })
})

t.test('parseBundleManifest() refuses what is not a JSON object, and no schema version', async t => {
  for (const version of [0, -1, 1.5, '1', null, [1]])
    t.throws(() => parseBundleManifest(altered(['schemaVersion'], version)), { code: 'INVALID_MANIFEST' })
  for (const text of ['', '[]', 'null', '{', '"x"', '\xff']) {
    t.throws(() => parseBundleManifest(encode(text)), { code: 'INVALID_MANIFEST' }, text)
  }
})

t.test('integrity is Subresource Integrity of the file', async t => {
  const entry = manifest.files.find(({ path }) => path === 'oci-layout')
  t.equal(entry?.integrity, `sha256-${createHash('sha256').update('{"imageLayoutVersion":"1.0.0"}').digest('base64')}`)
})

t.test('isBundlePath() keeps inside on every platform', async t => {
  for (const path of ['a', 'a/b', 'blobs/sha256/00', 'a..b', '...']) t.ok(isBundlePath(path), path)
  for (const path of ['', '/a', 'a//b', 'a/', './a', 'a/..', '..', 'a\\b', 'C:/x', 'c:x', 'a\0', 'a\nb']) {
    t.notOk(isBundlePath(path), path)
  }
})

t.test('encodeChecksums() sorts by bytes, and parseChecksums() reads it', async t => {
  const digest = digestOf(encode('x'))
  const sums = new Map(['b', 'a/ü', 'B', 'a-', 'a/b'].map(path => [path, digest]))
  const text = new TextDecoder().decode(encodeChecksums(sums))
  t.equal(text, ['B', 'a-', 'a/b', 'a/ü', 'b'].map(path => `${digest.slice(7)}  ${path}\n`).join(''))
  t.same(new Map(parseChecksums(encode(text))), sums)
})

t.test('parseChecksums() names the line that is wrong', async t => {
  const hex = '0'.repeat(64)
  for (const text of [
    `${hex} a\n`,
    `${hex}  ../a\n`,
    `${hex}  a`,
    `${hex}  a\r\n`,
    `\\${hex}  a\n`,
    'x\n',
    `${hex}  a\n${hex}  a\n`,
    `${hex}  /a\n`,
  ]) {
    t.throws(
      () => parseChecksums(encode(text)),
      { code: 'INVALID_MANIFEST', message: /SHA256SUMS/ },
      JSON.stringify(text),
    )
  }
})
