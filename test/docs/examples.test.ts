/** Every example of TypeScript: it has the types of the library, and does what its page says. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { SAMPLE } from '../support/base-images.js'
import { type Desk, openDesk } from '../support/desk.js'
import { runExample, typeErrors } from '../support/example.js'
import { fencedBlocks, readPage } from '../support/page.js'

const DOCS = readdirSync(fileURLToPath(new URL('../../docs', import.meta.url)))
  .filter(name => name.endsWith('.md'))
  .map(name => `docs/${name}`)

const examplesOf = (page: string): readonly string[] =>
  fencedBlocks(readPage(page))
    .filter(({ language }) => language === 'ts')
    .map(({ body }) => body)

t.test('examples have the types of the library', async t => {
  const pages = ['README.md', ...DOCS]
  const examples = pages.flatMap(page => examplesOf(page).map((text, n) => [`${page}-${n + 1}`, text] as const))
  t.ok(examples.length > 3, 'there are examples')
  const wrong = "import { pack } from 'stowage'\nawait pack(1, 'x')\n"
  const errors = typeErrors({ ...Object.fromEntries(examples), wrong })
  t.match(errors, [/^wrong\.mts:2: Argument of type/])
  t.equal(errors.length, 1, errors.join('\n'))
})

async function ran(desk: Desk, text: string | undefined, expected = 0): Promise<string> {
  const { code, output } = await runExample(desk, text ?? '')
  t.equal(code, expected, output)
  return output
}

t.test('docs/layer-check.md: the example prints the findings', async t => {
  const desk = openDesk(t)
  copyFileSync(SAMPLE, join(desk.work, 'NanoServer.wim'))
  await desk.prepare('stowage layer from-wim NanoServer.wim -o layer.tar.gz')
  const [example] = examplesOf('docs/layer-check.md')
  t.equal(await ran(desk, example), '', 'of which there are none')
  await desk.prepare(
    'mkdir tree && tar --warning=no-unknown-keyword -C tree -xf layer.tar.gz && tar --format=pax -C tree -czf layer.tar.gz .',
  )
  t.match(await ran(desk, example, 1), /^refused BAD_PATH 1 /m)
})

t.test('docs/wim-library.md: the examples write, read and extract', async t => {
  const desk = openDesk(t)
  const at = (name: string): string => join(desk.work, name)
  mkdirSync(at('tree/docs'), { recursive: true })
  for (const name of ['notes.txt', 'docs/a.txt', 'docs/b.md', 'left.tmp'])
    writeFileSync(at(`tree/${name}`), `of ${name}\n`)
  await desk.prepare('stowage wim capture tree base.wim', 'echo new > tree/new.txt')
  await desk.prepare('stowage wim capture tree monthly.wim --delta-from=base.wim', 'rm tree/new.txt')
  mkdirSync(at('windows/Windows/System32/drivers'), { recursive: true })
  writeFileSync(at('windows/Windows/System32/drivers/disk.sys'), 'driver')
  await desk.prepare(
    'touch -d 2026-03-01T12:00:00Z windows/Windows/System32/drivers/disk.sys',
    'stowage wim capture windows install.wim Windows',
  )
  const [first, times, second, ...more] = examplesOf('docs/wim-library.md')
  t.same(more, [])
  t.match(await ran(desk, times), /^1 Windows 1 6\n[^]*\/drivers\/disk\.sys 2026-03-01T12:00:00\.000Z\n$/)
  const output = await ran(desk, first)
  t.match(output, /^\/docs\/a\.txt 14n?$/m)
  t.match(output, /^of notes\.txt$/m)
  t.notMatch(output, /left\.tmp/)
  t.same(readdirSync(at('out/docs')), ['a.txt'])
  t.equal(await ran(desk, second), '4 of 5 blobs are missing\n')
  t.ok(existsSync(at('there/notes.txt')), 'which the base has')
  t.equal(readFileSync(at('there/new.txt'), 'utf8'), 'new\n')
})

t.test('docs/library.md: the examples pack, verify, load, copy, cancel and fail as they say', async t => {
  const desk = openDesk(t)
  const at = (name: string): string => join(desk.work, name)
  await desk.prepare(`node ${fileURLToPath(new URL('../../fixtures/make/linux-image.mjs', import.meta.url))} hello`)
  copyFileSync(SAMPLE, at('NanoServer.wim'))
  mkdirSync(at('tree/docs'), { recursive: true })
  writeFileSync(at('tree/docs/notes.txt'), 'of notes\n')
  const [whole, copied, cancelled, failed, wim, ...more] = examplesOf('docs/library.md')
  t.same(more, [])
  t.match(
    await ran(desk, whole),
    /^.*\/nanoserver:\S+ sha256:[0-9a-f]{64}\nstowage\.example\/hello:1 sha256:[0-9a-f]{64}\n\d+ files of \d+ bytes, all as listed\n(.* sha256:[0-9a-f]{64}\n){2}$/,
  )
  t.equal((await desk.run({ command: '(cd site-a && sha256sum -c --quiet SHA256SUMS)' })).code, 0)
  t.match(await ran(desk, copied), /^copy .*\n[^]*\d+ of \d+ bytes\n[^]*sha256:[0-9a-f]{64}\n$/)
  t.ok(existsSync(at('hello.tar')))
  t.equal(await ran(desk, cancelled), 'cancelled\n')
  t.match(await ran(desk, failed, 1), /^FILE_NOT_FOUND: nowhere\b.*\n/)
  t.notOk(existsSync(at('site-b')))
  t.equal(await ran(desk, wim), '1 Tree\nof notes\n')
})
