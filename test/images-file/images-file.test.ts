import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import t from 'tap'
import { parse, stringify } from 'yaml'
import { StowageError } from '../../src/errors.js'
import { parseImagesFile, readImagesFile } from '../../src/images-file/images-file.js'
import { imagesFileSchema } from '../../src/images-file/schema.js'

const read = (text: string | Uint8Array) => parseImagesFile(Buffer.from(text), 'site/images.yaml')
const valid = new Ajv2020({ allowUnionTypes: true }).compile(imagesFileSchema)

/** The lines of the error that `text` gives. */
function faultsOf(text: string | Uint8Array): readonly string[] {
  try {
    read(text)
  } catch (error) {
    if (!(error instanceof StowageError)) throw error
    return error.message.split('\n')
  }
  return []
}

const FULL = `version: 1
defaults: {platforms: [linux/amd64], insecure: ["registry.lan:5000"]}
images:
  - nginx:1.27
  - image: docker.io/library/redis
    tags: [7.10, "7.2"]
    platforms: all
    name: site.example/redis
    referrers: true
  - {image: ghcr.example/app, tags: {semver: ">=1.27 <2", match: "^v", newest: 3}}
  - {image: oci:layout:v1, names: [a:1, b:2]}
wims:
  - NanoServer.wim
  - {file: /w/x.wim, image: 2, name: nano:1, carry: true, compression: zstd:3, order: tree, lossless: true, skipUnsupported: false, references: [base.wim]}
files:
  - setup.exe
  - {from: docs, to: read/me}
`

t.test('parseImagesFile() reads all that the form has, paths from where the file stands', async t => {
  const { images, wims, files, insecure } = read(FULL)
  t.same(insecure, ['registry.lan:5000'])
  t.match(images, [
    {
      at: { line: 4, column: 5 },
      location: { scheme: 'docker', path: 'nginx:1.27' },
      platforms: ['linux/amd64'],
      names: [],
      referrers: false,
    },
    {
      tags: [{ tag: '7.10', at: { line: 6, column: 12 } }, { tag: '7.2' }],
      names: [{ name: { domain: 'site.example', path: 'redis' } }],
      referrers: true,
    },
    { tags: { rule: { semver: '>=1.27 <2', match: '^v', newest: 3 } } },
    { location: { scheme: 'oci', path: join('site', 'layout'), ref: 'v1' } },
  ])
  t.same(images[1]?.platforms, [])
  t.match(wims, [
    { file: join('site', 'NanoServer.wim'), carry: false },
    {
      file: '/w/x.wim',
      image: '2',
      carry: true,
      layer: {
        compression: { type: 'zstd', level: 3 },
        order: 'tree',
        lossless: true,
        skipUnsupported: false,
        references: [join('site', 'base.wim')],
      },
    },
  ])
  t.match(files, [
    { from: join('site', 'setup.exe'), to: 'setup.exe' },
    { from: join('site', 'docs'), to: 'read/me' },
  ])
  t.ok(valid(parse(FULL)), JSON.stringify(valid.errors))
})

t.test('parseImagesFile() tells every fault at once, with its line and column', async t => {
  t.same(
    faultsOf(`version: 2
defaults: {platform: linux/amd64, insecure: []}
images:
  - {image: nginx, tag: "1.27"}
  - image: NGINX
    platforms: [linux amd64]
  - 
  - {image: nginx:1, tags: [a, a, "b c"]}
wims: [{file: x.wim, carry: maybe, compression: brotli}]
files: [{from: x, to: ../x}]
`).map(line => line.slice(0, 64)),
    [
      'site/images.yaml:1:10: expected version 1 but found 2; a later v',
      'site/images.yaml:2:12: unknown key "platform": did you mean "pla',
      'site/images.yaml:2:45: insecure: expected a list but found an em',
      'site/images.yaml:4:20: unknown key "tag": did you mean "tags"?',
      'site/images.yaml:5:12: "NGINX" is not a location. Write docker:/',
      'site/images.yaml:6:17: "linux amd64" is not a platform. Write os',
      'site/images.yaml:7:5: expected an image: a name, or a place such',
      'site/images.yaml:8:13: "tags" requires a repository, but nginx:1',
      'site/images.yaml:8:32: the tag a is listed twice',
      'site/images.yaml:8:35: "x:b c" is not an image reference. A tag ',
      'site/images.yaml:9:29: carry: expected true, false, only but fou',
      'site/images.yaml:9:49: "brotli" is not a layer compression. Writ',
      'site/images.yaml:10:23: expected a relative path with "/" and wi',
    ],
  )
})

for (const [what, text, line] of [
  ['nothing', '', /:1:1: expected a map with "version" but found nothing/],
  ['a list', '- nginx', /:1:1: expected a map with "version" and "images" but found a list/],
  ['no version', 'images: [nginx]', /:1:1: "version" is required/],
  ['nothing to pack', 'version: 1', /:1:1: expected "images", "wims" or "files"/],
  ['an empty list', 'version: 1\nimages: []', /:2:9: images: expected a list but found an empty list/],
  ['a list that was left empty', 'version: 1\nimages:\n', /:2:8: images: expected a list but found nothing/],
  ['a key twice', 'version: 1\nimages: [nginx]\nimages: [redis]', /:3:1: map keys must be unique/],
  ['a tab', 'version: 1\nimages:\n\t- nginx', /:3:1: tabs are not allowed as indentation/],
  ['YAML that breaks off', 'version: 1\nimages: [nginx', /:2:15: /],
  ['two documents', 'version: 1\nimages: [a]\n---\nversion: 1', /:3:1: expected one document but found another/],
  [
    'a URL for a registry',
    'version: 1\ndefaults: {insecure: ["http://x"]}\nimages: [a]',
    /:2:23: expected a registry, HOST\[:PORT\], but found http:\/\/x/,
  ],
  ['an alias of nothing', 'version: 1\nimages: *none', /:2:9: expected an anchor &none before its alias/],
  ['a tag of YAML', 'version: 1\nimages: [!run nginx]', /:2:10: unresolved tag/],
  ['a map as a name', 'version: 1\nimages: [{? {a: b} : c}]', /expected a name but found a map/],
  [
    'a regex that does not compile',
    'version: 1\nimages: [{image: nginx, tags: {match: "("}}]',
    /:2:39: .* is not a regular expression/,
  ],
  [
    'a range that is none',
    'version: 1\nimages: [{image: nginx, tags: {semver: newest}}]',
    /:2:40: "newest" is not a range of versions/,
  ],
  [
    'newest 0',
    'version: 1\nimages: [{image: nginx, tags: {newest: 0}}]',
    /:2:40: expected a number from 1, or "all", but found 0/,
  ],
  ['an empty rule', 'version: 1\nimages: [{image: nginx, tags: {}}]', /:2:31: expected "semver", "match" or "newest"/],
  [
    'tags of a layout',
    'version: 1\nimages: [{image: "oci:x", tags: [a]}]',
    /"tags" requires a repository in a registry/,
  ],
  ['one name for many', 'version: 1\nimages: [{image: nginx, tags: [a, b], name: "x:1"}]', /:2:45: .*omit its tag/],
  ['name and names', 'version: 1\nimages: [{image: nginx, name: x, names: [y]}]', /cannot be used together/],
  ['a WIM among images', 'version: 1\nimages: ["wim:x.wim"]', /list it under "wims"/],
  ['a name of a digest', `version: 1\nimages: [{image: nginx, name: "x@sha256:${'0'.repeat(64)}"}]`, /has a digest/],
  ['lists in lists', `version: 1\nimages: ${'['.repeat(50)}${']'.repeat(50)}`, /nested more than 20 deep/],
] as const) {
  t.test(`parseImagesFile() refuses ${what}`, async t => {
    t.match(faultsOf(text).join('\n'), line)
  })
}

t.test('parseImagesFile() takes the bare name of a file for no image', async t => {
  const directory = t.testdir({ 'site.tar': '', nginx: {} })
  const parse = (image: string): unknown =>
    parseImagesFile(Buffer.from(`version: 1\nimages:\n  - ${image}\n`), join(directory, 'images.yaml')).images
  t.throws(() => parse('site.tar'), {
    code: 'IMAGES_FILE_INVALID',
    message: /:3:5: site\.tar is a file here.*docker-archive:site\.tar, or docker:\/\/site\.tar/,
  })
  for (const image of ['docker://site.tar', 'docker-archive:site.tar', 'nginx', 'other.tar']) t.ok(parse(image), image)
})

t.test('parseImagesFile() takes aliases, and none that multiply', async t => {
  t.match(
    read('version: 1\nimages:\n - {image: a, platforms: &p [linux/arm64]}\n - {image: b, platforms: *p}').images[1],
    { platforms: ['linux/arm64'] },
  )
  const levels = Array.from(
    { length: 9 },
    (_, n) => `&l${n} [${Array.from({ length: 9 }, () => (n === 0 ? 'x' : `*l${n - 1}`)).join(', ')}]`,
  )
  const start = Date.now()
  t.match(
    faultsOf(`version: 1\nimages: [${levels.join(', ')}]`).join('\n'),
    /aliases expand this file to more than 100000 values/,
  )
  t.ok(Date.now() - start < 10_000)
})

t.test('parseImagesFile() refuses what is not text or too long', async t => {
  t.match(faultsOf(Buffer.from([0xff, 0xfe, 0x00])), [/expected UTF-8/])
  t.match(faultsOf(Buffer.alloc(1024 * 1024 + 1, '#')), [/is larger than 1048576 bytes/])
  t.equal(
    faultsOf(`version: 1\nimages: [${Array.from({ length: 30 }, (_, n) => `X${n}`).join(', ')}]`).length,
    21,
    'twenty faults, and how many more',
  )
})

t.test('readImagesFile() names a file that is not there', async t => {
  const directory = t.testdir()
  writeFileSync(join(directory, 'images.yaml'), FULL)
  t.equal((await readImagesFile(join(directory, 'images.yaml'))).images.length, 4)
  await t.rejects(readImagesFile(join(directory, 'none.yaml')), { code: 'FILE_NOT_FOUND' })
})

t.test('imagesFileSchema allows what parseImagesFile() reads, and no more', async t => {
  const word = fc.constantFrom(
    'image',
    'tags',
    'platforms',
    'name',
    'names',
    'referrers',
    'tag',
    'file',
    'carry',
    'from',
    'to',
    'order',
    'compression',
    'lossless',
    'semver',
    'newest',
  )
  const leaf = fc.constantFrom<unknown>(
    'nginx',
    'all',
    'only',
    'linux/amd64',
    '1.27',
    'tree',
    'gzip:3',
    '',
    true,
    false,
    3,
    null,
    [],
    ['nginx'],
    ['linux/amd64'],
    { semver: '1.x' },
    { newest: 2 },
    {},
  )
  const plain = fc.constantFrom<unknown>(
    'nginx',
    { image: 'nginx', tags: ['1.27'] },
    { file: 'x.wim', carry: true },
    { from: 'x', to: 'y/z' },
    'setup.exe',
  )
  const entry = fc.oneof({ weight: 12, arbitrary: plain }, leaf, fc.dictionary(word, leaf, { maxKeys: 4 }))
  const document = fc.record(
    {
      version: fc.constantFrom<unknown>(1, 1, 1, 1, 1, 2),
      images: fc.oneof(leaf, { weight: 4, arbitrary: fc.array(entry, { maxLength: 2 }) }),
      wims: fc.array(entry, { minLength: 1, maxLength: 2 }),
      files: fc.array(entry, { minLength: 1, maxLength: 2 }),
      defaults: fc.oneof(
        { weight: 4, arbitrary: fc.constant({}) },
        fc.dictionary(fc.constantFrom('platforms', 'insecure', 'referrers', 'tags'), leaf, { maxKeys: 2 }),
      ),
    },
    { requiredKeys: ['version'] },
  )
  let [read, refused] = [0, 0]
  fc.assert(
    fc.property(document, value => {
      const faults = faultsOf(stringify(value))
      if (faults.length === 0) {
        read += 1
        return valid(value)
      }
      refused += 1
      // What only the meaning shows, no schema can
      const meaning =
        /but .* is one image|but .* is not one|cannot be used together|does not become an image|omit its tag|no place|is not an image reference|names? no|expected "images"|is not a platform|not a range|relative path/
      return faults.some(fault => meaning.test(fault)) || !valid(value)
    }),
    { numRuns: 5000 },
  )
  t.ok(read > 100 && refused > 100, `${read} were read, ${refused} refused`)
})
