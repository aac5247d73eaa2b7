/** One word, one thing: no two modules of src/ export the same name. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../src', import.meta.url))

t.test('no name is exported by two modules', async t => {
  const owners = new Map<string, string[]>()
  for (const file of await readdir(root, { recursive: true })) {
    if (!file.endsWith('.ts')) continue
    const text = await readFile(join(root, file), 'utf8')
    for (const [, name = ''] of text.matchAll(
      /^export (?:async |abstract )?(?:function\*?|const|class|interface|type) (\w+)/gm,
    )) {
      const others = (owners.get(name) ?? []).filter(other => other !== file) // the overloads of one function are one export
      owners.set(name, [...others, file])
    }
  }
  // A file of cli/ exports the command that is called as its file is: `stowage pack` calls the library's pack().
  const isCommand = (name: string, file: string): boolean => file.startsWith('cli') && file.endsWith(`${name}.ts`)
  const doubled = [...owners].filter(([name, files]) => files.filter(file => !isCommand(name, file)).length > 1)
  t.same(Object.fromEntries(doubled), {})
  t.ok(owners.size > 500, 'and the exports were found')
})
