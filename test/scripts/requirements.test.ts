import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')

t.test('the README lists the Debian packages that its two commands install', async t => {
  const { PURPOSES } = (await import(join(ROOT, 'scripts', 'requirements.mjs'))) as {
    PURPOSES: Readonly<Record<string, readonly { readonly needs: readonly { readonly package: string }[] }[]>>
  }
  // Node.js, its headers and the compiler are what the reader brings
  const brought = ['g++', 'make', 'python3']
  const wanted = (PURPOSES['test'] ?? []).map(({ needs }) =>
    needs.map(need => need.package).filter(name => !brought.includes(name)),
  )
  const rows = readFileSync(join(ROOT, 'README.md'), 'utf8')
    .split('\n')
    .filter(line => /^\| (both|`npm test`), to /.test(line))
  t.same(
    rows.map(row => [...(row.split('|')[2] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name)),
    wanted,
  )
})
