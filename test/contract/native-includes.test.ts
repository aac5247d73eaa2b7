import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../native', import.meta.url))

/** For each room of native/, the rooms that its files may include. `.` are the wrappers, which alone know Node.js. */
const MAY_INCLUDE: Readonly<Record<string, readonly string[]>> = {
  base: ['base'],
  codecs: ['base', 'codecs'],
  wim: ['base', 'codecs', 'wim'],
  transfer: ['base', 'transfer'],
  layer: ['base', 'wim', 'layer'],
  recovery: ['base', 'recovery'],
  medium: ['base', 'medium'],
  '.': ['base', 'wim', 'transfer', 'layer', 'recovery', 'medium', '.'],
}

const paths = (await readdir(root, { recursive: true }))
  .filter(path => /\.(?:cc|h)$/.test(path))
  .map(path => path.split(sep).join('/'))
const files = new Map(
  await Promise.all(
    paths.map(async (path): Promise<[string, string]> => [path, await readFile(join(root, path), 'utf8')]),
  ),
)
const room = (path: string) => dirname(path)

/** Beside the file itself first, then in native/, as the compiler looks. */
function includesOf(path: string, text: string): readonly string[] {
  return [...text.matchAll(/^#include "([^"]+)"/gm)].map(([, name]) => {
    const beside = relative(root, resolve(root, dirname(path), name!))
      .split(sep)
      .join('/')
    return files.has(beside) ? beside : name!
  })
}

const includes = [...files].flatMap(([path, text]) => includesOf(path, text).map(target => ({ path, target })))

t.test('every file of native/ stands in a room that is on the plan', async t => {
  t.same(
    paths.filter(path => MAY_INCLUDE[room(path)] === undefined),
    [],
  )
  t.ok(includes.length > 100, 'and the includes were found')
})

t.test('includes point one way', async t => {
  t.same(
    includes
      .filter(({ path, target }) => !files.has(target) || !MAY_INCLUDE[room(path)]?.includes(room(target)))
      .map(({ path, target }) => `${path} includes ${target}`),
    [],
  )
})

t.test('only the wrappers know Node.js', async t => {
  t.same(
    [...files]
      .filter(([path, text]) => room(path) !== '.' && /<(?:napi|node_api)\.h>/.test(text))
      .map(([path]) => path),
    [],
  )
})

t.test('each room has its own namespace', async t => {
  t.same(
    [...files]
      .filter(([path, text]) => {
        const name = ['base', '.'].includes(room(path)) ? 'stowage' : `stowage::${room(path)}`
        return !text.includes(`namespace ${name} {`)
      })
      .map(([path]) => path),
    [],
  )
})
