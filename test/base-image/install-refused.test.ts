import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { incompressible } from '../../fixtures/make/bytes.js'
import { digestOf } from '../../src/oci/digest.js'
import {
  filledWim,
  sampleWim,
  SAMPLE,
  serveWeb,
  testHost,
  type TestHost,
  versionProperties,
} from '../support/base-images.js'
import { corruptBlob, directoryWim, flawedWim, truncate, wimlib } from '../support/wims.js'

const wim = readFileSync(SAMPLE)
const sumOf = (bytes: Uint8Array): string => digestOf(bytes).slice('sha256:'.length)

interface Refusal {
  readonly words: readonly string[]
  readonly code: number
  readonly stderr: RegExp
}

/** A store that holds an image already, one that is not there, and bundles of both kinds. */
const TARGETS = [
  [],
  ['--to', 'oci:fresh'],
  ['--to', 'bundle:site'],
  ['--to', 'bundle:fresh-site'],
  ['--to', 'bundle:fresh.tar'],
] as const
let turn = 0

/** Installs into one of the targets, each in its turn, or into `all`: nothing may change. */
async function refused(t: Test, host: TestHost, { words, code, stderr }: Refusal, all = false): Promise<void> {
  for (const to of all ? TARGETS : [TARGETS[turn++ % TARGETS.length] ?? []]) {
    const before = host.listing()
    const result = await host.run([...words, ...to])
    t.equal(result.code, code, `${words.join(' ')} ${to.join(' ')}: ${result.stderr}`)
    t.match(result.stderr, stderr, words.join(' '))
    t.same(host.listing(), before, `${words.join(' ')} ${to.join(' ')} leaves nothing`)
  }
}

/** With another image in the store and in the bundle `site`. */
async function settled(t: Test): Promise<TestHost> {
  const host = testHost(t)
  const other = sampleWim(join(host.root, 'wims', 'other.wim'), ...versionProperties(14393, 0))
  for (const to of ['oci:', 'bundle:site']) t.equal((await host.run(['install', '--wim', other, '--to', to])).code, 0)
  return host
}

t.test('install refuses what a source has wrong, and nothing is installed and nothing is left', async t => {
  const host = await settled(t)
  const other = Buffer.from(wim)
  other[3000] = (other[3000] ?? 0) ^ 1
  const arm = readFileSync(sampleWim(join(t.testdir(), 'arm.wim'), 'WINDOWS/ARCH=12'))
  const item = { Version: '10.0.14300.1010', Sha256: sumOf(wim), Size: wim.length }
  const index = [
    { ...item, Name: 'Changed', SasToken: '/other.wim' },
    { ...item, Name: 'Short', SasToken: '/short.wim' },
    { ...item, Name: 'Local', SasToken: '/tofile.wim' },
    { ...item, Name: 'Gone', SasToken: '/gone.wim?sig=secret' },
    { Name: 'Portal', Version: '1.0', SasToken: '/portal' },
    { Name: 'Nowhere', Version: '1.0' },
    { Name: '../up', Version: '1.0', SasToken: '/nano.wim' },
    { Name: 'Five', Version: '1.2.3.4.5', SasToken: '/nano.wim' },
    { ...item, Name: 'Newer', Version: '10.0.14300.2000', SasToken: '/nano.wim' },
    {
      Name: 'NanoServer',
      Version: '10.0.14300.1010',
      Architecture: 'amd64',
      SasToken: '/arm.wim',
      Sha256: sumOf(arm),
      Size: arm.length,
    },
  ]
  const address = await serveWeb(t, (request, response) => {
    const path = (request.url ?? '').replace(/\?.*/, '')
    if (path === '/index.json') response.end(JSON.stringify(index))
    else if (path === '/nojson') response.end('<html>not here</html>')
    else if (path === '/nano.wim') response.end(wim)
    else if (path === '/other.wim') response.end(other)
    else if (path === '/short.wim') response.end(wim.subarray(0, 5000))
    else if (path === '/arm.wim') response.end(arm)
    else if (path === '/portal') response.end('<html>log in first</html>')
    else if (path === '/tofile.wim') response.writeHead(302, { location: 'file:///etc/passwd' }).end()
    else response.writeHead(404).end()
  })
  const dead = 'http://127.0.0.1:9/index.json' // discard: nobody listens
  for (const [name, location] of [
    ['lab', `${address}/index.json`],
    ['html', `${address}/nojson`],
    ['dead', dead],
    ['none', `${address}/none.json`],
  ] as const) {
    t.equal((await host.run(['source', 'add', name, location, '--trusted'])).code, 0)
  }
  const from = (name: string, ...more: readonly string[]): readonly string[] => [
    'install',
    name,
    '--source',
    'lab',
    ...more,
  ]
  for (const refusal of [
    { words: ['install', 'NanoServer', '--source', 'dead'], code: 6, stderr: /source dead: .*127\.0\.0\.1:9/ },
    { words: ['install', 'NanoServer', '--source', 'html'], code: 4, stderr: /source html: .*it is not JSON/ },
    { words: from('Nowhere'), code: 3, stderr: /Nowhere 1\.0 has no address/ },
    { words: from('../up'), code: 3, stderr: /"\.\.\/up" is not an image name/ },
    { words: from('Five'), code: 3, stderr: /"1\.2\.3\.4\.5" is not a version/ },
    {
      words: from('Changed'),
      code: 4,
      stderr: /its source says sha256 [0-9a-f]{64}, but the download is [0-9a-f]{64}/,
    },
    { words: from('Short'), code: 4, stderr: /expected \d+ bytes, as its source states, but received 5000/ },
    { words: from('Portal'), code: 4, stderr: /\/portal: what was sent is a web page, not a WIM\n/ },
    {
      words: from('Newer'),
      code: 4,
      stderr: /lists Newer 10\.0\.14300\.2000, but its WIM is NanoServer 10\.0\.14300\.1010/,
    },
    { words: from('NanoServer'), code: 8, stderr: /for amd64, but its WIM is for arm64/ },
    { words: from('NanoServer', '--arch', 'arm64'), code: 3, stderr: /not available for arm64/ },
    { words: from('NanoServer', '--version', '1.2.3.4.5'), code: 2, stderr: /"1\.2\.3\.4\.5" is not a version/ },
    {
      words: ['install', 'NanoServer', '--source', 'lab', '--min-version', '2', '--max-version', '1'],
      code: 2,
      stderr: /Minimum Version cannot be more than Maximum Version/,
    },
  ])
    await refused(t, host, refusal)
  for (const [name, code, expected] of [
    ['Local', 6, /file:/],
    ['Gone', 3, /gone\.wim does not exist/],
  ] as const) {
    const before = host.listing()
    const result = await host.run(from(name))
    t.equal(result.code, code, result.stderr)
    t.match(result.stderr, expected)
    t.match(result.stderr, /\nhint: /)
    t.notMatch(result.stderr, /secret/)
    t.same(host.listing(), before)
  }
})

t.test('install takes neither of two candidates', async t => {
  const host = await settled(t)
  sampleWim(join(host.root, 'one', 'nano.wim'))
  sampleWim(join(host.root, 'two', 'nano.wim'), 'DESCRIPTION=another file')
  sampleWim(join(host.root, 'three', 'nano.wim'), 'WINDOWS/ARCH=12')
  for (const name of ['one', 'two', 'three'])
    t.equal((await host.run(['source', 'add', name, name, '--trusted'])).code, 0)
  await refused(t, host, {
    words: ['install', 'nanoserver', '--source', 'one', '--source', 'two'],
    code: 2,
    stderr: /2 images match NanoServer: .*from one, .*from two/,
  })
  await refused(t, host, {
    words: ['install', 'nanoserver', '--version', '10.0.14300.1010', '--source', 'one', '--source', 'two'],
    code: 2,
    stderr: /--source/,
  })
  await refused(t, host, {
    words: ['install', 'nanoserver', '--source', 'one', '--source', 'three'],
    code: 2,
    stderr: /--arch/,
  })
  t.equal(
    (await host.run(['install', 'nanoserver', '--source', 'one', '--source', 'three', '--arch', 'arm64'])).code,
    0,
  )
  turn = 0 // the store, where it is now
  await refused(t, host, {
    words: ['install', 'nanoserver', '--source', 'one'],
    code: 1,
    stderr:
      /nanoserver:10\.0\.14300\.1010 in \S+ is another image, CN=Microsoft_NanoServer_10\.0\.14300\.1010 \(windows\/arm64/,
  })
})

t.test('install --wim refuses a WIM that is none, not whole, or does not say what it is', async t => {
  const host = await settled(t)
  const place = (name: string): string => join(host.root, 'wims', name)
  const two = sampleWim(place('two.wim'))
  wimlib('export', SAMPLE, '1', two, 'Another')
  const cut = sampleWim(place('cut.wim'))
  truncate(cut, 5000)
  const damaged = filledWim(t, { 'Windows/big': incompressible('big', 300_000) }, ['--compress=none'])
  corruptBlob(damaged)
  const empty = sampleWim(place('empty.wim'))
  for (const image of ['2', '1']) wimlib('delete', empty, image)
  const plain = directoryWim(t, { name: 'NanoServer' })
  const versionless = directoryWim(t, { name: 'NanoServer' })
  wimlib('info', versionless, '1', '--image-property=WINDOWS/ARCH=9')
  writeFileSync(place('nothing.wim'), '')
  writeFileSync(place('text.wim'), 'this is not a WIM')
  const base = filledWim(t, { 'Windows/big': incompressible('base', 100_000) })
  const delta = filledWim(
    t,
    { 'Windows/big': incompressible('base', 100_000), 'Windows/new': incompressible('new', 1000) },
    [`--delta-from=${base}`],
  )
  for (const refusal of [
    { words: [place('gone.wim')], code: 3, stderr: /gone\.wim does not exist/ },
    { words: [place('nothing.wim')], code: 4, stderr: /nothing\.wim/ },
    { words: [place('text.wim')], code: 4, stderr: /text\.wim/ },
    { words: [cut], code: 4, stderr: /cut\.wim/ },
    { words: [damaged], code: 4, stderr: /[0-9a-f]{40}/ },
    { words: [empty], code: 3, stderr: /empty\.wim holds no image/ },
    { words: [plain], code: 1, stderr: /does not state its architecture/ },
    { words: [versionless], code: 1, stderr: /does not state its version/ },
    { words: [two], code: 2, stderr: /holds 2 images: name one[\s\S]*1 "NanoServer"[\s\S]*"Another"/ },
    { words: [SAMPLE, '--image', '7'], code: 3, stderr: /7/ },
    { words: [delta], code: 4, stderr: /tree/ },
    {
      words: [flawedWim(t, 'no-hives')],
      code: 1,
      stderr:
        /a Windows host would reject .*HIVE_MISSING Files\/Windows\/System32\/config\/SYSTEM \(it is missing, and 4 more\)/,
    },
    { words: [flawedWim(t, 'case-pair')], code: 1, stderr: /ase/ },
  ])
    await refused(t, host, { ...refusal, words: ['install', '--wim', ...refusal.words] }, refusal.words[0] === damaged)
  t.equal(
    (await host.run(['install', '--wim', delta, '--ref', base])).code,
    0,
    'with the blobs that it lacks it is whole',
  )
  t.match(await host.run(['install', '--wim', two, '--image', 'Another']), {
    code: 0,
    stdout: /another:10\.0\.14300\.1010/,
  })
  t.match(await host.run(['install', '--wim', flawedWim(t, 'no-hives'), '--skip-check', '--tag', 'bare']), {
    code: 0,
    stderr: /warning: a Windows host would reject/,
  })
})

t.test('one WIM that is wrong does not keep the others from being installed', async t => {
  const host = await settled(t)
  const good = sampleWim(join(host.root, 'wims', 'good.wim'))
  writeFileSync(join(host.root, 'wims', 'bad.wim'), 'no WIM')
  const result = await host.run(['install', '--wim', 'wims/bad.wim', '--wim', good, '--json'])
  t.equal(result.code, 4, result.stderr)
  t.match(JSON.parse(result.stdout), {
    schema: 'stowage.install/v1',
    images: [{ result: 'failed', error: { code: 'NOT_A_WIM' } }, { result: 'installed' }],
  })
})

t.test('SIGINT while the layer is made leaves nothing, and while the WIM comes what is there of it', async t => {
  const host = await settled(t)
  const big = filledWim(t, { 'Windows/big': incompressible('big', 60_000_000) }, ['--compress=none'])
  const bytes = readFileSync(big)
  let held = true
  const address = await serveWeb(t, (request, response) => {
    if (request.url === '/index.json')
      return void response.end(
        JSON.stringify([
          {
            Name: 'NanoServer',
            Version: '10.0.14300.1010',
            SasToken: '/big.wim',
            Sha256: sumOf(bytes),
            Size: bytes.length,
          },
        ]),
      )
    response.writeHead(200, { 'content-length': bytes.length })
    if (request.method === 'HEAD' || !held) return void response.end(request.method === 'HEAD' ? undefined : bytes)
    response.write(bytes.subarray(0, 20_000_000)) // and no more
  })
  t.equal((await host.run(['source', 'add', 'lab', `${address}/index.json`, '--trusted'])).code, 0)
  for (const [words, when] of [
    [['install', '--wim', big], /"stage":"convert"/],
    [['install', '--wim', big, '--to', 'oci:fresh'], /"stage":"convert"/],
    [['install', '--wim', big, '--to', 'bundle:fresh.tar'], /"stage":"convert"/],
    [['install', 'NanoServer'], /"done":[1-9]/],
  ] as const) {
    const before = host.listing()
    let sent = false
    const result = await host.run([...words, '--progress', 'json', '--compression', 'gzip:12'], {
      onStderr(child, text) {
        if (sent || !when.test(text)) return
        sent = true
        child.kill('SIGINT')
      },
    })
    t.equal(result.code, 130, `${words.join(' ')}: ${result.stderr.slice(-300)}`)
    const partial = host.listing().filter(path => path.startsWith('NanoServer-10-0-14300-1010.wim.partial '))
    t.equal(partial.length, words[1] === 'NanoServer' ? 1 : 0)
    if (partial.length > 0) t.match(result.stderr, /What was copied so far stays in /)
    t.same(
      host.listing().filter(path => !partial.includes(path)),
      before,
      words.join(' '),
    )
  }
  held = false
  t.equal((await host.run(['install', 'NanoServer'])).code, 0, 'and then it is installed')
  t.same(
    host.listing().filter(path => /^tmp\/|\.partial /.test(path)),
    [],
  )
})

t.test('what find printed is taken only as it was printed', async t => {
  const host = await settled(t)
  const found = (entry: object): string =>
    JSON.stringify({
      schema: 'stowage.find/v1',
      images: [
        {
          name: 'NanoServer',
          version: '10.0.14300.1010',
          summary: '',
          source: 'lab',
          content: { type: 'web', url: 'http://127.0.0.1:9/x.wim' },
          ...entry,
        },
      ],
    })
  const input = join(host.root, 'found.json')
  for (const [text, code] of [
    ['', 2],
    ['[]', 2],
    [found({ name: '../up' }), 2],
    [found({ version: '1.2.3.4.5' }), 2],
    [found({ name: undefined }), 2],
    [found({ content: { type: 'magic' } }), 2],
    [found({ content: { type: 'web', url: 'file:///etc/passwd' } }), 2],
    [found({ content: { type: 'file', path: 5, size: 1 } }), 2],
    [found({ content: undefined }), 2],
    [found({ content: { type: 'image', location: 9 } }), 2],
    [found({ architecture: {} }), 2],
    [found({ content: { type: 'web', url: 'http://127.0.0.1:9/x.wim', size: 'many' } }), 2],
    [found({ content: { type: 'web', url: 'http://127.0.0.1:9/x.wim', sha256: '..' } }), 2],
    [`\uFEFF${found({ content: { type: 'file', path: '/none.wim', size: 1 } })}`, 3],
    [found({}), 6],
  ] as const) {
    writeFileSync(input, text)
    const before = host.listing()
    const result = await host.run(['install', '-'], { input })
    t.equal(result.code, code, `${text}: ${result.stderr}`)
    t.same(host.listing(), before)
  }
})
