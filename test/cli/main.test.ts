import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { GLOBAL_OPTIONS } from '../../src/cli/command.js'
import { COMMANDS, type CommandTable, type ListedCommand } from '../../src/cli/commands.js'
import { blobPath } from '../../src/oci/layout.js'
import { stowage } from '../support/command.js'
import { flipped, layeredImage, multiPlatformImage, windowsImage, writeLayout } from '../support/images.js'

const shop = await layeredImage(2)
const layout = join(t.testdir(), 'layout')
await writeLayout(layout, {
  'shop:2.3': shop,
  'team/multi:v1': await multiPlatformImage(),
  'win:ltsc': await windowsImage(),
})

t.test('stowage pack, verify and load carry images from layout to layout', async t => {
  const root = t.testdir()
  const packed = await stowage(['pack', `oci:${layout}:shop:2.3`, `oci:${layout}:ltsc`, '-o', 'site.tar'], {
    cwd: root,
  })
  t.match(packed, {
    code: 0,
    stderr: /^note: Some images are for Windows: "docker load" on Linux fails at them, .*\n$/,
    stdout: /^NAME +PLATFORM +SIZE +DIGEST\nshop:2\.3 +linux\/\S+ +\S+ +[0-9a-f]{12}\nwin:ltsc .*\nPacked 2 images/,
  })
  t.match(await stowage(['verify', 'site.tar'], { cwd: root }), { code: 0, stderr: '', stdout: /site\.tar: OK/ })
  const loaded = await stowage(['load', 'site.tar', '--to', 'oci:store'], { cwd: root })
  t.match(loaded, { code: 0, stderr: '', stdout: /Loaded 2 images into oci:store/ })
  const again = await stowage(['load', 'site.tar', 'shop:2.3', '--to', 'oci:', '--json'], {
    cwd: root,
    env: { STOWAGE_STORE: join(root, 'store') },
  })
  t.match(JSON.parse(again.stdout), {
    schema: 'stowage.load/v1',
    to: `oci:${join(root, 'store')}`,
    images: [{ id: shop.root.digest, sent: 0 }],
  })
})

t.test('stowage --json prints one document on stdout', async t => {
  const root = t.testdir()
  const packed = await stowage(['pack', `oci:${layout}:shop:2.3`, '-o', 'site', '--json'], { cwd: root })
  t.match(JSON.parse(packed.stdout), {
    schema: 'stowage.pack/v1',
    path: 'site',
    form: 'directory',
    images: [{ names: ['docker.io/library/shop:2.3'] }],
  })
  const layer = join(root, 'site', blobPath(shop.layers[0]!.digest))
  await writeFile(layer, flipped(await readFile(layer)))
  const verified = await stowage(['verify', 'site', '--json'], { cwd: root })
  t.equal(verified.code, 4)
  t.match(JSON.parse(verified.stdout), {
    schema: 'stowage.verify/v1',
    ok: false,
    findings: [{ code: 'DIGEST_MISMATCH', path: blobPath(shop.layers[0]!.digest) }],
  })
  const failed = await stowage(['verify', 'nothing', '--json'], { cwd: root })
  t.match(failed, { code: 3, stderr: /^stowage: nothing does not exist\n/ })
  t.match(JSON.parse(failed.stdout), { schema: 'stowage.error/v1', error: { code: 'FILE_NOT_FOUND' } })
  t.equal((await stowage(['verify', 'nothing', '--json=true'], { cwd: root })).stdout, failed.stdout)
  const loaded = await stowage(['load', 'site', '--to', 'oci:store', '--json'], { cwd: root })
  t.equal(loaded.code, 4)
  t.match(JSON.parse(loaded.stdout), { images: [{ error: { code: 'DIGEST_MISMATCH' } }] })
})

t.test('stowage says what is wrong with the command line, and exits 2', async t => {
  const cases: [string[], RegExp][] = [
    [['pakc'], /"pakc" is not a command of stowage\n/],
    [['pack', 'oci:x'], /-o\/--output is missing/],
    [['pack', '-o', 'x'], /no image was named/],
    [['pack', 'oci:x', '-o', 'x', '--frobnicate'], /--frobnicate is not an option of stowage pack\n/],
    [['pack', 'oci:x', '-o', 'a', '-o', 'b'], /--output was given more than once/],
    [['pack', 'oci:a', '-o', 'x', '-t', `one@sha256:${'0'.repeat(64)}`], /has a digest/],
    [['pack', 'oci:x', '-o', ''], /"" is not an output/],
    [['pack', 'containers-storage:x.tar', '-o', 'x'], /containers-storage:x\.tar/],
    [['pack', 'docker://Upper', '-o', 'x'], /Upper/],
    [['pack', 'oci:a', 'oci:b', '-o', 'x', '-t', 'one:1'], /2 images/],
    [['pack', 'oci:a', '-o', 'x', '-t', 'UPPER'], /UPPER/],
    [['verify'], /BUNDLE is missing: expected stowage verify BUNDLE\.\.\.\n/],
    [['commit', 'a', 'b', 'c'], /expected stowage commit CONTAINER \[REPOSITORY\] but also found "c"/],
    [['load', 'x', '--progress', 'loud'], /--progress: expected one of auto, .* but found "loud"/],
    [['load', 'x', '--platform', 'a b'], /platform/],
  ]
  const root = t.testdir()
  for (const [words, message] of cases) {
    const { code, stdout, stderr } = await stowage(words, { cwd: root })
    t.equal(code, 2, words.join(' '))
    t.equal(stdout, '')
    t.match(stderr, message)
    t.match(stderr, /^stowage: .+\nhint: .+\n$/, 'one message, one hint, no stack')
  }
  t.same(await readdir(root), [], 'and nothing was made')
})

t.test('stowage shows a stack only to who asks for it', async t => {
  t.notMatch((await stowage(['verify', '/nothing'])).stderr, /at .*\.js/)
  t.match(
    (await stowage(['verify', '/nothing'], { env: { STOWAGE_DEBUG: '1' } })).stderr,
    /StowageError: [^]*at .*\.js/,
  )
})

t.test('stowage --help shows every command, with examples', async t => {
  const { stdout, code } = await stowage(['--help'])
  t.equal(code, 0)
  for (const command of Object.keys(COMMANDS)) t.match(stdout, new RegExp(`^  ${command} +[A-Z]`, 'm'))
  for (const command of ['pack', 'verify', 'load']) {
    t.match(await stowage([command, '--help']), { code: 0, stdout: /Examples:\n +stowage/ }, command)
  }
  t.match(await stowage(['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\nlibdeflate [\d.]+, zstd [\d.]+.*\n$/ })
})

t.test('stowage --help and --version load none of the commands', async t => {
  for (const word of ['--version', '--help']) {
    const directory = t.testdir()
    t.equal((await stowage([word], { env: { NODE_V8_COVERAGE: directory } })).code, 0)
    const loaded = new Set<string>()
    for (const name of await readdir(directory)) {
      const { result } = JSON.parse(await readFile(join(directory, name), 'utf8')) as { result: { url: string }[] }
      for (const { url } of result) loaded.add(url)
    }
    const ours = [...loaded].flatMap(url =>
      url.includes('/node_modules/') ? [] : (/\/dist\/(.*)/.exec(url)?.[1] ?? []),
    )
    t.ok(ours.includes('cli/usage/request.js'), 'what was loaded is known')
    t.same(
      ours.filter(
        path =>
          !/^(cli\/(main|run|plain-words|command|commands|session|exit-code|print-error|render|progress|meter|wim\/commands|usage\/[a-z]+)|compressors|errors|generator|load-failure|mounts|native|nearest-word|node-version|package-root|progress|size-text|oci\/json)\.js$/.test(
            path,
          ),
      ),
      [],
      word,
    )
  }
})

t.test(
  'every option that a command has is told of in the documents, and every command in docs/commands.md',
  async t => {
    const root = join(import.meta.dirname, '../..')
    const commands = await readFile(join(root, 'docs', 'commands.md'), 'utf8')
    const pages = (await readdir(join(root, 'docs'))).map(name => readFile(join(root, 'docs', name), 'utf8'))
    const told = (await Promise.all(pages)).join('\n')
    const listed = (
      table: CommandTable,
      above: readonly string[] = [],
    ): (readonly [readonly string[], ListedCommand])[] =>
      Object.entries(table).flatMap(([name, entry]): (readonly [readonly string[], ListedCommand])[] =>
        'commands' in entry ? listed(entry.commands, [...above, name]) : [[[...above, name], entry]],
      )
    const all = listed(COMMANDS)
    t.ok(all.length > 25, 'the commands were found')
    for (const [words, { load }] of all) {
      const name = words[0] === 'source' ? 'source' : words.join(' ')
      t.ok(commands.includes(`stowage ${name}`), name)
      const options = Object.entries({ ...GLOBAL_OPTIONS, ...(await load()).options })
      t.same(
        options
          .filter(([option, { hidden }]) => !hidden && option !== 'no-trunc')
          .map(([option]) => `--${option}`)
          .filter(option => !new RegExp(`${option}(?![a-z-])`).test(told) && option !== '--trunc'),
        [],
        words.join(' '),
      )
    }
  },
)

t.test('stowage never overwrites', async t => {
  const root = t.testdir({ site: { 'photo.jpg': '' }, 'x.tar': '' })
  for (const output of ['site', 'x.tar']) {
    const { code, stderr } = await stowage(['pack', `oci:${layout}:shop:2.3`, '-o', output], { cwd: root })
    t.equal(code, 1)
    t.match(stderr, /^stowage: .*\nhint: /)
  }
})

t.test('stowage load says which images there are, and which of them failed', async t => {
  const root = t.testdir()
  await stowage(['pack', `oci:${layout}:shop:2.3`, `oci:${layout}:ltsc`, '-o', 'site'], { cwd: root })
  t.match(await stowage(['load', 'site', 'nginx', '--to', 'oci:s'], { cwd: root }), {
    code: 3,
    stderr: /shop:2\.3, win:ltsc/,
  })
  t.match(await stowage(['load', 'site', '--platform', 'linux/s390x', '--to', 'oci:s'], { cwd: root }), {
    code: 3,
    stderr: /windows\/amd64/,
  })
  const windows = await stowage(['load', 'site', '--platform', 'windows', '--to', 'oci:s'], { cwd: root })
  t.match(windows, { code: 0, stdout: /Loaded 1 image into oci:s/ })
  t.match(await stowage(['load', 'site', '--host', 'unix:///nothing.sock'], { cwd: root }), {
    code: 6,
    stderr: /--to oci:DIR/,
  })
  const layer = join(root, 'site', blobPath(shop.layers[1]!.digest))
  await writeFile(layer, 'short')
  const partly = await stowage(['load', 'site', '--to', 'oci:s2'], { cwd: root })
  t.match(partly, {
    code: 4,
    stdout: /shop:2\.3 .*SIZE_MISMATCH\n[^]*Loaded 1 of 2 images/,
    stderr: /\nstowage: shop:2\.3: expected/,
  })
})

t.test('stowage --progress json writes events to stderr and the result to stdout', async t => {
  const root = t.testdir()
  const { stdout, stderr } = await stowage(['pack', `oci:${layout}:shop:2.3`, '-o', 'site', '--progress', 'json'], {
    cwd: root,
  })
  const events = stderr
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
  t.ok(events.some(({ type }) => type === 'bytes'))
  t.match(events.at(-1), { type: 'done' })
  t.match(stdout, /Packed 1 image/)
  t.equal((await stowage(['verify', 'site', '--progress', 'json', '--quiet'], { cwd: root })).stderr, '')
})

t.test('stowage is quiet about a reader that has gone', async t => {
  const root = t.testdir()
  await stowage(['pack', `oci:${layout}:shop:2.3`, '-o', 'site'], { cwd: root })
  t.match(await stowage(['verify', 'site', '--json'], { cwd: root, deaf: true }), { code: 0, stderr: '' })
})

t.test('stowage finishes its work when nobody reads its progress', async t => {
  const root = t.testdir()
  const words = ['pack', `oci:${layout}:shop:2.3`, '-o', 'site.tar', '--progress', 'json']
  const packed = await stowage(words, { cwd: root, onStderr: child => child.stderr?.destroy() })
  t.match(packed, { code: 0, stdout: /Packed 1 image/ })
  t.same(await readdir(root), ['site.tar'])
})

t.test('stowage says that its result cannot be written, and fails', async t => {
  const root = t.testdir()
  await stowage(['pack', `oci:${layout}:shop:2.3`, '-o', 'site'], { cwd: root })
  t.match(await stowage(['verify', 'site'], { cwd: root, output: '/dev/full' }), {
    code: 1,
    stderr: /^stowage: the result cannot be written to stdout: no space left on device\n$/,
  })
})

t.test('SOURCE_DATE_EPOCH gives the bundle its time, and nonsense in it is refused', async t => {
  const root = t.testdir()
  const pack = async (output: string, epoch: string) =>
    await stowage(['pack', `oci:${layout}:shop:2.3`, '-o', output], { cwd: root, env: { SOURCE_DATE_EPOCH: epoch } })
  t.match(await pack('a.tar', '1700000000'), { code: 0 })
  t.match(await pack('b.tar', '1700000000'), { code: 0 })
  t.ok((await readFile(join(root, 'a.tar'))).equals(await readFile(join(root, 'b.tar'))))
  t.match(await pack('c.tar', 'yesterday'), { code: 2, stderr: /SOURCE_DATE_EPOCH/ })
})
