import { readFile } from 'node:fs/promises'
import t from 'tap'
import { exitCodeOf } from '../../src/cli/exit-code.js'
import type { ErrorCode } from '../../src/errors.js'

t.test('exitCodeOf() has a documented number for every code', async t => {
  const source = await readFile(new URL('../../src/errors.ts', import.meta.url), 'utf8')
  const codes = [...source.matchAll(/^ {2}\| '([A-Z_]+)'$/gm)].map(([, code]) => code as ErrorCode) // the union itself
  t.ok(codes.length > 20)
  for (const code of codes) t.ok([1, 2, 3, 4, 5, 6, 7, 8, 130].includes(exitCodeOf(code)), code)
  const documented = await readFile(new URL('../../docs/json-output.md', import.meta.url), 'utf8')
  for (const code of codes) {
    t.match(
      documented,
      new RegExp(`\\| ${exitCodeOf(code)} \\|[^\\n]*\`${code}\``),
      `${code} is in docs/json-output.md`,
    )
  }
})
