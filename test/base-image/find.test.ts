import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { StowageError } from '../../src/errors.js'
import type { CatalogEntry } from '../../src/base-image/catalog.js'
import { findIn } from '../../src/base-image/find.js'
import { readCatalog } from '../../src/base-image/read-catalog.js'
import { saveImage, wimName } from '../../src/base-image/save.js'
import { findImages } from '../../src/base-image/search.js'
import { addSource, listSources, removeSource } from '../../src/base-image/sources.js'
import { formatVersion, parseVersion } from '../../src/base-image/version.js'
import { digestOf } from '../../src/oci/digest.js'
import { SAMPLE, serveWeb } from '../support/base-images.js'
import { stowage } from '../support/command.js'
import { noise } from '../support/images.js'

const wim = readFileSync(SAMPLE)
const sumOf = (bytes: Uint8Array) => digestOf(bytes).slice('sha256:'.length)

const entry = (name: string, version: string): CatalogEntry => ({
  name,
  version: parseVersion(version),
  summary: '',
  source: 'lab',
  architecture: undefined,
  content: { type: 'file', path: '/x', sha256: undefined, size: 1 },
})
const shelf = [
  ['NanoServer', '10.0.9.1'],
  ['NanoServer', '10.0.14300.1010'],
  ['NanoServer', '10.0.14300.1000'],
  ['WindowsServerCore', '10.0.14300.1000'],
  ['nano-tools', '2'],
].map(([name = '', version = '']) => entry(name, version))
const found = (query: Parameters<typeof findIn>[1]) =>
  findIn(shelf, query).map(({ name, version }) => `${name} ${formatVersion(version)}`)

t.test('versions are compared as numbers, and read as the provider of 2016 read them', async t => {
  t.same(
    ['10', '.5', '10.0.14300.1010'].map(text => formatVersion(parseVersion(text))),
    ['10.0.0.0', '0.5.0.0', '10.0.14300.1010'],
  )
  for (const text of ['1.2.3.4.5', '', 'x', '1..2', '1.-2', '1.2.99999999999'])
    t.throws(() => parseVersion(text), { code: 'INVALID_ARGUMENT' }, text)
})

t.test("the newest of each name is found, whatever the letters' case, by name and pattern", async t => {
  t.same(found({}), ['nano-tools 2.0.0.0', 'NanoServer 10.0.14300.1010', 'WindowsServerCore 10.0.14300.1000'])
  t.same(found({ names: ['nanoserver'] }), ['NanoServer 10.0.14300.1010'])
  t.same(found({ names: ['nano*'] }), ['nano-tools 2.0.0.0', 'NanoServer 10.0.14300.1010'])
  t.same(found({ names: ['?anoServer', 'W*core'] }), [
    'NanoServer 10.0.14300.1010',
    'WindowsServerCore 10.0.14300.1000',
  ])
  t.same(found({ names: ['[nx]anoserver'] }), ['NanoServer 10.0.14300.1010'])
  t.same(found({ names: ['NanoServer.'] }), [], 'a dot is a dot')
})

t.test('versions are chosen exactly, from, to, between, or all, the newest first', async t => {
  t.same(found({ names: ['NanoServer'], allVersions: true }), [
    'NanoServer 10.0.14300.1010',
    'NanoServer 10.0.14300.1000',
    'NanoServer 10.0.9.1',
  ])
  t.same(found({ names: ['NanoServer'], version: '10.0.14300.1000' }), ['NanoServer 10.0.14300.1000'])
  t.same(found({ names: ['NanoServer'], maxVersion: '10.0.14300.1005' }), ['NanoServer 10.0.14300.1000'])
  t.same(found({ names: ['NanoServer'], minVersion: '10.0.14300.1005' }), ['NanoServer 10.0.14300.1010'])
  t.same(
    found({ names: ['NanoServer'], minVersion: '10.0.10', maxVersion: '10.0.14300.1000' }),
    ['NanoServer 10.0.14300.1000'],
    'both bounds hold',
  )
  t.same(found({ names: ['NanoServer'], minVersion: '11' }), [])
})

t.test('what may not be asked together is refused in the words of 2016', async t => {
  for (const [query, message] of [
    [{ allVersions: true, version: '1' }, 'AllVersions and RequiredVersion cannot be used together'],
    [
      { names: ['a'], version: '1', minVersion: '1' },
      'AllVersions and RequiredVersion switch cannot be used with MinimumVersion or MaximumVersion',
    ],
    [{ names: ['a'], minVersion: '2', maxVersion: '1' }, 'Minimum Version cannot be more than Maximum Version'],
    [{ minVersion: '1' }, 'Name is required when either MinimumVersion or MaximumVersion parameter is used'],
    [
      { names: ['*'], maxVersion: '1' },
      'Name is required when either MinimumVersion or MaximumVersion parameter is used',
    ],
  ] as const)
    t.throws(() => findIn(shelf, query), { code: 'INVALID_ARGUMENT', message })
})

t.test("sources are kept by name, in a file of the user's", async t => {
  const options = { env: { STOWAGE_CONFIG: join(t.testdir(), 'conf') } }
  t.same(await listSources(options), [])
  await t.rejects(findImages(options), { code: 'IMAGE_NOT_FOUND', hint: /source add/ })
  await t.rejects(addSource({ name: 'Lab', location: 'wims', trusted: true }, options), {
    code: 'FILE_NOT_FOUND',
    hint: /--force/,
  })
  await t.rejects(addSource({ name: 'Lab', location: 'bundle:none', trusted: true }, options), {
    code: 'FILE_NOT_FOUND',
  })
  await t.rejects(addSource({ name: 'Lab', location: 'package.json', trusted: true }, options), {
    code: 'INVALID_ARGUMENT',
    message: /package\.json is not a folder/,
  })
  for (const location of ['bundle:src', 'bundle:package.json'])
    await t.rejects(addSource({ name: 'Lab', location, trusted: true }, options), StowageError, location)
  t.same(await listSources(options), [])
  const added = await addSource({ name: 'Lab', location: 'wims', trusted: true }, { ...options, force: true })
  t.equal(added.location, join(process.cwd(), 'wims'))
  await addSource({ name: 'web', location: 'https://images.example/index.json', trusted: false }, options)
  t.same(
    (await listSources(options)).map(({ name }) => name),
    ['Lab', 'web'],
  )
  await t.rejects(addSource({ name: 'LAB', location: 'x', trusted: false }, { ...options, force: true }), {
    code: 'INVALID_ARGUMENT',
    message: /Lab already/,
  })
  for (const location of ['', 'ftp://x/y', 'file:///etc', 'docker://'])
    await t.rejects(
      addSource({ name: 'bad', location, trusted: false }, options),
      { code: 'INVALID_ARGUMENT' },
      location,
    )
  await removeSource('lab', options)
  await t.rejects(removeSource('lab', options), { code: 'IMAGE_NOT_FOUND', hint: /web/ })
  writeFileSync(join(options.env.STOWAGE_CONFIG, 'sources.json'), '{"schemaVersion":9}')
  await t.rejects(listSources(options), { code: 'INVALID_MANIFEST', message: /sources\.json/ })
})

t.test('an index on the web is read as it was in 2016, and what is wrong in it is told', async t => {
  const index = [
    {
      Name: 'NanoServer',
      Version: '10.0.14300.1010',
      Description: 'small',
      SasToken: '/files/nano.wim?sig=key',
      Sha256: sumOf(wim),
      Size: wim.length,
    },
    { Name: '../evil', Version: '1.0', SasToken: '/x' },
    { Name: 'five', Version: '1.2.3.4.5', SasToken: '/x' },
    { Name: 'nowhere', Version: '1.0' },
    { Name: 'file', Version: '1.0', SasToken: 'file:///etc/passwd' },
    { Name: 'sum', Version: '1.0', SasToken: '/x', Sha256: 'abc' },
  ]
  const address = await serveWeb(t, (request, response) => {
    const path = request.url ?? ''
    if (path === '/fwlink') return void response.writeHead(302, { location: '/real/index.json' }).end()
    if (path === '/nojson') return void response.end('<html>not here</html>')
    if (path === '/gone') return void response.writeHead(404).end()
    if (path === '/tofile') return void response.writeHead(302, { location: 'file:///etc/passwd' }).end()
    response.end(`\ufeff${JSON.stringify(path === '/real/index.json' ? { array0: index } : index)}`)
  })
  const warnings: string[] = []
  const read = async (path: string) =>
    await readCatalog(
      { name: 'lab', location: `${address}${path}`, trusted: false },
      { env: {}, backoff: 1, onWarning: warning => warnings.push(warning) },
    )
  for (const path of ['/index.json', '/fwlink']) {
    const entries = await read(path)
    t.match(
      entries,
      [
        {
          name: 'NanoServer',
          summary: 'small',
          content: { type: 'web', url: `${address}/files/nano.wim?sig=key`, sha256: sumOf(wim), size: wim.length },
        },
      ],
      path,
    )
  }
  t.equal(warnings.length, 10)
  t.match(warnings.join('\n'), /not an image name[\s\S]*not a version[\s\S]*no address[\s\S]*file:[\s\S]*Sha256/)
  await t.rejects(read('/nojson'), { code: 'INVALID_MANIFEST', message: /not JSON/ })
  await t.rejects(read('/gone'), { code: 'FILE_NOT_FOUND' })
  await t.rejects(read('/tofile'), { code: 'REGISTRY_PROTOCOL', message: /file:/ })
})

t.test('a folder offers its WIM files and those one level below, by what their XML says', async t => {
  const directory = t.testdir({ sub: { deeper: {} }, 'broken.wim': 'no wim', 'other.txt': 'x' })
  copyFileSync(SAMPLE, join(directory, 'swim.wim'))
  copyFileSync(SAMPLE, join(directory, 'sub', 'same.WIM'))
  copyFileSync(SAMPLE, join(directory, 'sub', 'deeper', 'hidden.wim'))
  const warnings: string[] = []
  const entries = await readCatalog(
    { name: 'stick', location: directory, trusted: true },
    { onWarning: warning => warnings.push(warning) },
  )
  t.same(
    entries.map(({ name, content }) => [name, content.type === 'file' && content.path.slice(directory.length + 1)]),
    [
      ['NanoServer', 'sub/same.WIM'],
      ['NanoServer', 'swim.wim'],
    ],
  )
  t.match(warnings, [/broken\.wim/])
  await t.rejects(readCatalog({ name: 'gone', location: join(directory, 'nothing'), trusted: true }), {
    code: 'FILE_NOT_FOUND',
  })
})

const webEntry = (url: string, more: object = {}): CatalogEntry => ({
  ...entry('NanoServer', '10.0.14300.1010'),
  content: { type: 'web', url, sha256: sumOf(wim), size: wim.length, ...more },
})

t.test('save writes <Name>-<a-b-c-d>.wim, with its sum beside it, once', async t => {
  const address = await serveWeb(t, (_request, response) => response.end(wim))
  const directory = join(t.testdir(), 'new')
  await t.rejects(saveImage(webEntry(address), directory), { code: 'FILE_NOT_FOUND', message: /Cannot find the path/ })
  t.match(await saveImage(webEntry(address), directory, { whatIf: true }), { result: 'what-if' })
  t.throws(() => statSync(directory), 'what if makes nothing')
  const saved = await saveImage(webEntry(address), directory, { force: true })
  t.match(saved, { result: 'saved', path: join(directory, 'NanoServer-10-0-14300-1010.wim'), sha256: sumOf(wim) })
  execFileSync('sha256sum', ['-c', '--quiet', 'NanoServer-10-0-14300-1010.wim.sha256'], { cwd: directory })
  t.match(await saveImage(webEntry(address), directory), { result: 'exists' })
  chmodSync(saved.path, 0o444)
  await t.rejects(saveImage(webEntry(address), directory, { force: true }), {
    code: 'PERMISSION_DENIED',
    message: /read-only/,
  })
  t.equal(wimName({ name: 'swim.wim', version: parseVersion('1') }), 'swim-1-0-0-0.wim')
  for (const name of ['../up', 'a/b', '..', 'con:x', ''])
    t.throws(() => wimName({ name, version: parseVersion('1') }), { code: 'INVALID_ARGUMENT' }, name)
})

t.test('what is not what the source says is not saved, and nothing is left', async t => {
  const directory = t.testdir()
  const other = Buffer.from(wim)
  other[3000] = (other[3000] ?? 0) ^ 1
  const address = await serveWeb(t, (request, response) => {
    if (request.url === '/other') response.end(other)
    else if (request.url === '/html') response.end('<html>log in first</html>')
    else if (request.url === '/gone') response.writeHead(404).end()
    else response.end(wim.subarray(0, 5000))
  })
  await t.rejects(saveImage(webEntry(`${address}/other`), directory), { code: 'DIGEST_MISMATCH' })
  await t.rejects(saveImage(webEntry(`${address}/short`), directory), { code: 'SIZE_MISMATCH' })
  await t.rejects(saveImage(webEntry(`${address}/html`, { sha256: undefined, size: undefined }), directory), {
    code: 'NOT_A_WIM',
  })
  await t.rejects(saveImage(webEntry(`${address}/gone`), directory), { code: 'FILE_NOT_FOUND' })
  await t.rejects(saveImage(webEntry(address, { size: 2 ** 50 }), directory), { code: 'NO_SPACE' })
  t.same(readdirSync(directory), [])
})

t.test('a download that breaks off goes on, in the same run and in the next', async t => {
  const big = Buffer.concat([wim, noise(6_000_000, 'tail')]) // a WIM may have more behind it than it names
  const ranges: (string | undefined)[] = []
  let cuts = 1
  const address = await serveWeb(t, (request, response) => {
    if (request.method === 'HEAD') return void response.setHeader('content-length', big.length).end()
    ranges.push(request.headers.range)
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': big.length - start,
      ...(start > 0 ? { 'content-range': `bytes ${start}-${big.length - 1}/${big.length}` } : {}),
    })
    if (cuts-- > 0) {
      response.write(big.subarray(start, start + 2_000_000))
      response.socket?.end()
    } else response.end(big.subarray(start))
  })
  const mine = webEntry(address, { sha256: sumOf(big), size: big.length })
  const directory = t.testdir()
  t.match(await saveImage(mine, directory, { backoff: 1 }), { result: 'saved', sha256: sumOf(big) })
  t.match(ranges, [undefined, /^bytes=[12]\d{6}-$/])
  writeFileSync(join(directory, 'NanoServer-10-0-14300-1010.wim.partial'), big.subarray(0, 4_000_000))
  t.match(await saveImage(mine, directory, { force: true }), { result: 'saved', resumed: 4_000_000 })
  t.equal(ranges.at(-1), 'bytes=4000000-')
})

t.test('find and save do it on the command line, one into the other', async t => {
  const cwd = t.testdir()
  const env = { STOWAGE_CONFIG: join(cwd, 'conf') }
  mkdirSync(join(cwd, 'wims'))
  copyFileSync(SAMPLE, join(cwd, 'wims', 'a.wim'))
  t.match(await stowage(['find'], { cwd, env }), { code: 3, stderr: /no source of base OS images is registered/ })
  t.match(await stowage(['source', 'add', 'gone', 'stick'], { cwd, env }), {
    code: 3,
    stderr: /stick does not exist\n.*--force/,
  })
  t.equal((await stowage(['source', 'add', 'gone', 'stick', '--force'], { cwd, env })).code, 0)
  t.equal((await stowage(['source', 'remove', 'gone'], { cwd, env })).code, 0)
  t.equal((await stowage(['source', 'add', 'stick', 'wims'], { cwd, env })).code, 0)
  const listed = await stowage(['find', 'NANO*'], { cwd, env })
  t.match(listed.stdout, /^NAME +VERSION +SOURCE +SUMMARY\nNanoServer +10\.0\.14300\.1010 +stick/)
  const json = await stowage(['find', '--json'], { cwd, env })
  writeFileSync(join(cwd, 'found.json'), json.stdout)
  const saved = await stowage(['save', '-', '--path', '.'], { cwd, env, input: join(cwd, 'found.json') })
  t.equal(saved.code, 0, saved.stderr)
  t.ok(readFileSync(join(cwd, 'NanoServer-10-0-14300-1010.wim')).equals(wim))
  t.match(await stowage(['save', 'other', '--path', '.'], { cwd, env }), { code: 3 })
  t.match(await stowage(['find', 'other', 'nanoserver'], { cwd, env }), {
    code: 3,
    stdout: /\nNanoServer /,
    stderr: /no source has an image that matches other/,
  })
  t.match(await stowage(['find', 'nanoserver', '--version', '1'], { cwd, env }), {
    code: 3,
    stderr: /no source has an image that matches nanoserver/,
  })
  t.match(
    await stowage(['find', 'other*', '?', '[x]y'], { cwd, env }),
    { code: 0, stderr: '' },
    'a pattern may fit none',
  )
  mkdirSync(join(cwd, 'none'))
  t.match(await stowage(['save', 'nanoserver', 'other', '--path', 'none'], { cwd, env }), {
    code: 3,
    stderr: /an image that matches other/,
  })
  t.same(readdirSync(join(cwd, 'none')), [], 'nothing is saved where a name is wrong')
  for (const place of ['./wims/', join(cwd, 'wims', '')])
    t.match(
      await stowage(['find', '--source', place, '--source', 'STICK', '--json', '--all-versions'], { cwd, env }),
      { code: 0, stdout: /^(?!.*"name".*"name")/s },
      place,
    )
  t.match(await stowage(['find', 'a', '--version', '1', '--all-versions'], { cwd, env }), {
    code: 2,
    stderr: /cannot be used together/,
  })
})
