import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { CatalogEntry } from '../../src/base-image/catalog.js'
import { chooseCandidates } from '../../src/base-image/candidates.js'
import { readCatalog } from '../../src/base-image/read-catalog.js'
import { saveImage } from '../../src/base-image/save.js'
import { parseVersion } from '../../src/base-image/version.js'
import { digestOf } from '../../src/oci/digest.js'
import { SAMPLE, sampleWim, serveWeb, testHost, versionProperties } from '../support/base-images.js'
import { noise } from '../support/images.js'

const wim = readFileSync(SAMPLE)
const big = Buffer.concat([wim, noise(3_000_000, 'tail')]) // a WIM may have more behind it than it names
const FILE = 'NanoServer-10-0-14300-1010.wim'
const entryAt = (url: string, sha256?: string): CatalogEntry => ({
  name: 'NanoServer',
  version: parseVersion('10.0.14300.1010'),
  summary: '',
  source: 'lab',
  architecture: undefined,
  content: { type: 'web', url, sha256, size: undefined },
})

t.test('two that save the same file at once bring it once, and it is whole', async t => {
  let asked = 0
  const address = await serveWeb(t, (request, response) => {
    response.writeHead(200, { 'content-length': big.length })
    if (request.method === 'HEAD') return void response.end()
    asked += 1
    response.write(big.subarray(0, 1_000_000))
    setTimeout(() => response.end(big.subarray(1_000_000)), 200) // the first is still under way when the second begins
  })
  const directory = t.testdir()
  const entry = entryAt(address, digestOf(big).slice('sha256:'.length))
  const saved = await Promise.all([saveImage(entry, directory), saveImage(entry, directory)])
  t.same(saved.map(({ result }) => result).sort(), ['exists', 'saved'])
  t.equal(asked, 1)
  t.ok(readFileSync(join(directory, FILE)).equals(big))
  t.same(readdirSync(directory).sort(), [FILE, `${FILE}.sha256`])
  execFileSync('sha256sum', ['-c', '--quiet', `${FILE}.sha256`], { cwd: directory })
})

t.test('a file that is there under the name, and is another, is not a file that was saved', async t => {
  const address = await serveWeb(t, (_request, response) => response.end(wim))
  const directory = t.testdir({ [FILE]: 'of another day' })
  const entry = entryAt(address, digestOf(wim).slice('sha256:'.length))
  await t.rejects(saveImage(entry, directory), {
    code: 'DIGEST_MISMATCH',
    message: /exists, but it is a different file/,
    hint: /--force/,
  })
  t.equal(readFileSync(join(directory, FILE), 'utf8'), 'of another day')
  t.match(await saveImage(entry, directory, { force: true }), { result: 'saved' })
})

t.test('a file that is there is checked, or said to be unchecked, but never taken for good', async t => {
  const address = await serveWeb(t, (_request, response) => response.end(wim))
  const directory = t.testdir({ [FILE]: 'half of it' })
  const unsure = entryAt(address, undefined)
  await t.rejects(saveImage(unsure, directory), {
    code: 'OUTPUT_EXISTS',
    message: new RegExp(
      `exists, but it cannot be checked: its source states no sha256, and there is no ${FILE}.sha256`,
    ),
    hint: /--force/,
  })
  t.match(await saveImage(unsure, directory, { force: true }), { result: 'saved' })
  execFileSync('sha256sum', ['-c', '--quiet', `${FILE}.sha256`], { cwd: directory })
  t.match(await saveImage(unsure, directory), { result: 'exists', sha256: digestOf(wim).slice(7) })
  writeFileSync(join(directory, FILE), 'changed since')
  await t.rejects(saveImage(unsure, directory), {
    code: 'DIGEST_MISMATCH',
    message: /NanoServer.*\.sha256 says sha256/,
  })
  writeFileSync(join(directory, FILE), wim)
  rmSync(join(directory, `${FILE}.sha256`))
  t.match(await saveImage(entryAt(address, digestOf(wim).slice(7)), directory), { result: 'exists' })
  execFileSync('sha256sum', ['-c', '--quiet', `${FILE}.sha256`], { cwd: directory })
})

t.test('a folder that cannot be read is not asked again like a network', async t => {
  const directory = t.testdir({ source: {} })
  const path = join(directory, 'source')
  const retries: string[] = []
  const content = { type: 'file', path, sha256: undefined, size: 100 } as const
  const failing = { ...entryAt('', undefined), content }
  const onProgress = ({ type }: { readonly type: string }): void => void (type === 'retry' && retries.push(type))
  await t.rejects(saveImage(failing, directory, { onProgress }), {
    code: 'INVALID_ARGUMENT',
    message: new RegExp(`${path}: `),
  })
  t.same(retries, [])
})

t.test('of two sources with the same name and version save takes neither, and says how to choose', async t => {
  const host = testHost(t)
  for (const [folder, revision] of [
    ['one', 1010],
    ['two', 1010],
    ['two', 1000],
  ] as const) {
    sampleWim(
      join(host.root, folder, `${revision}.wim`),
      ...versionProperties(14300, revision),
      `DESCRIPTION=${folder}`,
    )
  }
  for (const name of ['one', 'two']) await host.run(['source', 'add', name, name])
  const before = host.listing()
  t.match(await host.run(['save', 'NanoServer', '--path', '.']), {
    code: 2,
    stderr: /2 images match NanoServer: .* from one, .*; .* from two, .*\nhint: Select one with --source/,
  })
  t.same(host.listing(), before)
  t.match(await host.run(['save', 'NanoServer', '--path', '.', '--source', 'two']), {
    code: 0,
    stdout: /^Saved NanoServer-10-0-14300-1010\.wim/,
  })
  t.match(
    await host.run(['save', 'NanoServer', '--path', '.', '--version', '10.0.14300.1000']),
    { code: 0 },
    'one of them alone has this one',
  )
})

t.test('what may be a key in an address is told to nobody', async t => {
  const address = await serveWeb(t, (request, response) => {
    if (request.url?.startsWith('/index')) return void response.end('[{"Name": 7}]')
    if (request.url?.startsWith('/text')) return void response.end('no JSON')
    if (request.headers.range === undefined)
      return void response.writeHead(200, { 'content-length': big.length }).end(request.method === 'HEAD' ? '' : big)
    response.writeHead(206, { 'content-range': `bytes 9-${big.length - 1}/${big.length}` }).end(big.subarray(9))
  })
  // A range that is another one than was asked for: the file is read from its start, and is not what it should be
  const directory = t.testdir({ [`${FILE}.partial`]: big.subarray(0, 1000) })
  const keyless = { message: /^(?!.*SECRET)/s }
  const keyed = `${address.replace('://', '://jo:SECRET@')}/x.wim?sig=SECRET#SECRET`
  await t.rejects(saveImage(entryAt(`${address}/x.wim?sig=SECRET`, '0'.repeat(64)), directory), {
    code: 'DIGEST_MISMATCH',
    ...keyless,
  })
  await t.rejects(saveImage(entryAt('ftp://jo:SECRET@x/y?sig=SECRET'), directory), {
    code: 'INVALID_ARGUMENT',
    ...keyless,
  })
  t.throws(() => chooseCandidates([entryAt(keyed), entryAt(`${keyed}2`)], {}), {
    code: 'INVALID_ARGUMENT',
    message: /from lab, http:\/\/127\.0\.0\.1:\d+\/x\.wim;/,
  })
  const warnings: string[] = []
  await readCatalog(
    { name: 'lab', location: `${address}/index?sig=SECRET`, trusted: true },
    { onWarning: warning => warnings.push(warning) },
  )
  t.match(warnings, [/index\[0\]/])
  t.notMatch(warnings.join(''), 'SECRET')
  await t.rejects(readCatalog({ name: 'lab', location: `${address}/text?sig=SECRET`, trusted: true }), {
    code: 'INVALID_MANIFEST',
    ...keyless,
  })
})

t.test('of several images those that can be saved are, and each of the others is told', async t => {
  const host = testHost(t)
  const address = await serveWeb(t, (request, response) => {
    if (request.url === '/index.json')
      response.end(
        JSON.stringify(
          ['/gone', '/a.wim', '/html'].map((SasToken, n) => ({ Name: `Image${n}`, Version: '1.0', SasToken })),
        ),
      )
    else if (request.url === '/gone') response.writeHead(404).end()
    else response.end(request.url === '/a.wim' ? wim : '<html>')
  })
  t.equal((await host.run(['source', 'add', 'lab', `${address}/index.json`])).code, 0)
  const { code, stdout, stderr } = await host.run(['save', 'image*', '--path', 'wims', '--json'])
  t.equal(code, 3, 'the code of the first that failed')
  t.match(JSON.parse(stdout), {
    schema: 'stowage.save/v1',
    images: [
      { name: 'Image0', result: 'failed', error: { code: 'FILE_NOT_FOUND' } },
      { result: 'saved' },
      { result: 'failed', error: { code: 'NOT_A_WIM' } },
    ],
  })
  t.match(stderr, /gone does not exist[\s\S]*, not a WIM/)
  t.same(readdirSync(join(host.root, 'wims')).sort(), ['Image1-1-0-0-0.wim', 'Image1-1-0-0-0.wim.sha256'])
})
