import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../src', import.meta.url))

/** Rooms from the ground up. A module may import from its own room and from rooms below it, and never from above. */
const FLOORS: readonly (readonly string[])[] = [
  ['errors.ts'],
  ['oci', 'native.ts', 'progress.ts', 'generator.ts'],
  ['blob', 'tar', 'archive', 'windows'],
  ['wim', 'engine', 'http'],
  ['registry'],
  ['layer'],
  ['image'],
  ['bundle'],
  ['transport'],
  ['transfer'],
  ['verbs', 'serve', 'base-image', 'images-file'],
  ['cli', 'index.ts'],
]

interface Import {
  readonly file: string
  readonly target: string
  readonly typeOnly: boolean
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
  return [...text.matchAll(/^(?:import|export) (type )?[^'"]*?from '(\.[^']+)'/gms)].map(([, type, target]) => ({
    file,
    target: relative(root, resolve(root, dirname(file), target!))
      .split(sep)
      .join('/')
      .replace(/\.js$/, '.ts'),
    typeOnly: type !== undefined,
  }))
}

const room = (file: string) => file.split('/')[0]!
const floor = (file: string) => FLOORS.findIndex(rooms => rooms.includes(room(file)))

const files = await sources()
const imports = [...files].flatMap(([file, text]) => importsOf(file, text))

t.test('every module of src/ stands in a room that is on the plan', async t => {
  t.same(
    [...files.keys()].filter(file => floor(file) < 0),
    [],
  )
  t.ok(imports.length > 100, 'and the imports were found')
})

t.test('imports point one way', async t => {
  const upward = imports.filter(({ file, target }) => floor(target) > floor(file))
  t.same(
    upward.map(({ file, target }) => `${file} imports ${target}`),
    [],
  )
})

t.test('no module imports itself by a detour', async t => {
  const next = new Map<string, string[]>()
  for (const { file, target, typeOnly } of imports) if (!typeOnly) next.set(file, [...(next.get(file) ?? []), target])
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

t.test('only src/cli prints, and only its entry ends the process', async t => {
  const printing = [...files].filter(
    ([file, text]) => room(file) !== 'cli' && /\bconsole\.|process\.(stdout|stderr)\b|process\.exit/.test(text),
  )
  t.same(
    printing.map(([file]) => file),
    [],
  )
})

t.test('only src/native.ts knows the native file, and only src/index.ts re-exports', async t => {
  t.same(
    [...files]
      .filter(([file, text]) => file !== 'native.ts' && /node-gyp-build|\.node'/.test(text))
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
    [...files.keys()].filter(file => /util|helper|common|misc/.test(file) || !/^[a-z0-9/-]+\.ts$/.test(file)),
    [],
  )
})
