import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ROOMS, roomsText } from './rooms.js'

const root = fileURLToPath(new URL('../../src', import.meta.url))

interface Import {
  readonly file: string
  readonly target: string
}

async function sources(): Promise<ReadonlyMap<string, string>> {
  const entries = await readdir(root, { recursive: true })
  const files = entries.filter(path => path.endsWith('.ts')).map(path => path.split(sep).join('/'))
  return new Map(
    await Promise.all(
      files.map(async (file): Promise<[string, string]> => [file, await readFile(join(root, file), 'utf8')]),
    ),
  )
}

function importsOf(file: string, text: string): readonly Import[] {
  return [...text.matchAll(/^(?:import|export) [^'"]*?from '(\.[^']+)'/gms)].map(([, target]) => ({
    file,
    target: relative(root, resolve(root, dirname(file), target!))
      .split(sep)
      .join('/')
      .replace(/\.js$/, '.ts'),
  }))
}

const LISTED = ROOMS.flat().map(({ path }) => path)

/** The innermost listed room that the file is in: `layer/make` rather than `layer`. */
const room = (file: string): string =>
  LISTED.filter(path => file === path || file.startsWith(`${path}/`)).sort((a, b) => b.length - a.length)[0] ?? ''
const floor = (file: string): number => LISTED.indexOf(room(file))

const files = await sources()
const imports = [...files].flatMap(([file, text]) => importsOf(file, text))

t.test('every module of src/ is in a room that is listed', async t => {
  t.same(
    [...files.keys()].filter(file => floor(file) < 0),
    [],
  )
  t.same(
    LISTED.filter(path => ![...files.keys()].some(file => room(file) === path)),
    [],
    'and no room is empty',
  )
  t.ok(imports.length > 100, 'and the imports were found')
})

t.test('imports point one way: from a room to those listed before it, so that no rooms form a circle', async t => {
  const upward = imports.filter(({ file, target }) => floor(target) > floor(file))
  t.same(
    upward.map(({ file, target }) => `${file} imports ${target}`),
    [],
  )
})

t.test('no module imports itself by a detour, types included', async t => {
  const next = new Map<string, string[]>()
  for (const { file, target } of imports) next.set(file, [...(next.get(file) ?? []), target])
  const done = new Set<string>()
  const loops: string[] = []
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) loops.push([...path.slice(path.indexOf(file)), file].join(' > '))
    if (done.has(file) || path.includes(file)) return
    for (const target of next.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of files.keys()) visit(file, [])
  t.same(loops, [])
})

/** Sources of base OS images are written in a grammar of their own: web addresses, folders, repositories, bundles. */
const SOURCES = ['base-image/read-catalog.ts', 'base-image/sources.ts']

t.test('a transport knows no other, and what uses transports knows no scheme', async t => {
  const folder = (file: string): string | undefined => /^transport\/([^/]+)\//.exec(file)?.[1]
  const across = imports.filter(({ file, target }) => folder(file) && folder(target) && folder(file) !== folder(target))
  t.same(
    across.map(({ file, target }) => `${file} imports ${target}`),
    [],
  )
  const comparing = [...files].filter(
    ([file, text]) =>
      floor(file) > LISTED.indexOf('transport') &&
      !SOURCES.includes(file) &&
      /\.scheme\s*[!=]==|\bstartsWith\('(?:docker|oci|wim|bundle|dir)[\w-]*:/.test(text),
  )
  t.same(
    comparing.map(([file]) => file),
    [],
  )
})

t.test('ARCHITECTURE.md has the rooms as they are listed', async t => {
  const text = await readFile(join(root, '..', 'ARCHITECTURE.md'), 'utf8')
  const [, found] = /<!-- rooms: begin -->\n([^]*?)<!-- rooms: end -->/.exec(text) ?? []
  t.equal(found, roomsText(), 'made by: node test/contract/write-rooms.mjs')
})

t.test('only src/cli prints, and only its entry ends the process', async t => {
  const data = 'archive/archive-stream.ts' // writes archives to standard output
  const printing = [...files].filter(
    ([file, text]) =>
      room(file) !== 'cli' && file !== data && /\bconsole\.|process\.(stdout|stderr)\b|process\.exit/.test(text),
  )
  t.same(
    printing.map(([file]) => file),
    [],
  )
})

t.test('only src/native.ts loads the native file, which src/kit copies, and only src/index.ts re-exports', async t => {
  t.same(
    [...files]
      .filter(([file, text]) => !['native.ts', 'kit/kit.ts'].includes(file) && /node-gyp-build|\.node'/.test(text))
      .map(([file]) => file),
    [],
  )
  t.same(
    [...files].filter(([file, text]) => file !== 'index.ts' && /^export .*\bfrom '/m.test(text)).map(([file]) => file),
    [],
  )
})

t.test('modules open with a sentence, stay small, and have no utils', async t => {
  const opening = /^(?:#![^\n]*\n)?\/\*\*(?: |\n \* )\S/
  t.same(
    [...files].filter(([, text]) => !opening.test(text)).map(([file]) => file),
    [],
  )
  t.same(
    [...files].filter(([, text]) => text.split('\n').length > 400).map(([file]) => file),
    [],
  )
  t.same(
    [...files.keys()].filter(file => /util|helper|common|misc/.test(file) || !/^[a-z0-9/-]+(\.d)?\.ts$/.test(file)),
    [],
  )
})
