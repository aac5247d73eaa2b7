/** `save --volume-size`: a WIM that is too large for its medium is saved in parts, which wimlib-imagex takes. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { CatalogEntry } from '../../src/base-image/catalog.js'
import { saveImageParts } from '../../src/base-image/save-parts.js'
import { stowage } from '../support/command.js'
import { noise } from '../support/images.js'
import { scratch } from '../support/scratch.js'

const root = scratch(t)
const tree = join(root, 'tree')
mkdirSync(join(tree, 'Files'), { recursive: true })
for (let n = 0; n < 8; n++) writeFileSync(join(tree, 'Files', `${n}.bin`), noise(200_000, `part-${n}`))
const source = join(root, 'source')
mkdirSync(source)
const wim = join(source, 'NanoServer-10-0-14300-1010.wim')
execFileSync('wimlib-imagex', ['capture', '--compress=LZX', tree, wim, 'NanoServer'], { stdio: 'ignore' })
const properties = ['MAJOR=10', 'MINOR=0', 'BUILD=14300', 'SPBUILD=1010'].map(each => `WINDOWS/VERSION/${each}`)
execFileSync('wimlib-imagex', ['info', wim, '1', ...properties.map(each => `--image-property=${each}`)])
const PART = 500_000
const entry: CatalogEntry = {
  name: 'NanoServer',
  version: [10, 0, 14300, 1010],
  source: 'lab',
  summary: '',
  architecture: undefined,
  content: { type: 'file', path: wim, sha256: undefined, size: statSync(wim).size },
}
const SWM = 'NanoServer-10-0-14300-1010.swm'

/** The parts in `directory`. */
function swms(directory: string): readonly string[] {
  return readdirSync(directory).flatMap(name => (name.endsWith('.swm') ? [join(directory, name)] : []))
}

t.test('the parts are what wimlib-imagex and sha256sum take', async t => {
  const to = scratch(t)
  const saved = await saveImageParts(entry, to, PART)
  t.match(saved, { result: 'saved', path: join(to, SWM), sha256: undefined })
  t.ok((saved.parts?.length ?? 0) > 3)
  t.same(
    readdirSync(to).sort(),
    [`${SWM}.sha256`, ...(saved.parts ?? []).map(({ path }) => path.slice(to.length + 1))].sort(),
    'and nothing else',
  )
  for (const { path, size } of saved.parts ?? []) t.ok(statSync(path).size === size && size <= PART)
  execFileSync('sha256sum', ['--quiet', '-c', `${SWM}.sha256`], { cwd: to })
  const refs = `--ref=${join(to, 'NanoServer-10-0-14300-1010*.swm')}`
  execFileSync('wimlib-imagex', ['verify', join(to, SWM), refs], { stdio: 'ignore' })
  execFileSync('wimlib-imagex', ['apply', join(to, SWM), '1', join(to, 'applied'), refs], { stdio: 'ignore' })
  execFileSync('diff', ['-r', tree, join(to, 'applied')])
  const again = await saveImageParts(entry, to, PART)
  t.match(again, { result: 'exists', parts: saved.parts })
})

t.test('a part that is damaged, missing or not listed is named; --force replaces all', async t => {
  const to = scratch(t)
  const { parts = [] } = await saveImageParts(entry, to, PART)
  const [, second, third] = parts.map(({ path }) => path)
  const bytes = readFileSync(second ?? '')
  bytes[1000] = (bytes[1000] ?? 0) ^ 1
  writeFileSync(second ?? '', bytes)
  await t.rejects(saveImageParts(entry, to, PART), { code: 'DIGEST_MISMATCH', message: /1010-?2\.swm: .* says sha256/ })
  rmSync(third ?? '')
  await t.rejects(saveImageParts(entry, to, PART), { code: 'DIGEST_MISMATCH' })
  rmSync(join(to, `${SWM}.sha256`))
  await t.rejects(saveImageParts(entry, to, PART), { code: 'OUTPUT_EXISTS', message: /cannot be checked/ })
  const larger = await saveImageParts(entry, to, 2 * PART, { force: true })
  t.ok((larger.parts?.length ?? 0) < parts.length)
  t.equal(readdirSync(to).filter(name => name.endsWith('.swm')).length, larger.parts?.length, 'no old part is left')
  execFileSync('sha256sum', ['--quiet', '-c', `${SWM}.sha256`], { cwd: to })
})

t.test('what fits is saved as one WIM; a file that cannot be cut, and a source that differs, are refused', async t => {
  const to = scratch(t)
  t.match(await saveImageParts(entry, to, 10_000_000), { result: 'saved', parts: undefined, path: /\.wim$/ })
  const other = scratch(t)
  await t.rejects(saveImageParts(entry, other, 100_000), { code: 'UNSUPPORTED', message: /makes a part of \d+ bytes/ })
  const wrong = { ...entry, content: { ...entry.content, sha256: '0'.repeat(64) } } as CatalogEntry
  await t.rejects(saveImageParts(wrong, other, PART), { code: 'DIGEST_MISMATCH' })
  t.same(readdirSync(other), [])
})

t.test('the command, and the parts as a WIM', async t => {
  const to = scratch(t)
  const env = { XDG_CONFIG_HOME: scratch(t), HOME: scratch(t) }
  await stowage(['source', 'add', 'lab', source], { env })
  const words = ['save', 'NanoServer', '--source', source, '--path', to, '--volume-size', '512KiB']
  const { stdout, stderr, code } = await stowage(words, { env })
  t.equal(code, 0, stderr)
  t.match(stdout, /^Saved .*\.swm in \d parts \(1\.\d+MB\)\n$/)
  execFileSync('wimlib-imagex', ['join', join(to, 'joined.wim'), ...swms(to)], { stdio: 'ignore' })
  t.equal((await stowage(['wim', 'dir', join(to, SWM)])).stdout, (await stowage(['wim', 'dir', wim])).stdout)
})
