import { readFile } from 'node:fs/promises'
import t from 'tap'
import { EXIT_MEANINGS, exitCodeOf } from '../../src/cli/exit-code.js'
import type { ErrorCode } from '../../src/errors.js'
import { stowage } from '../support/command.js'

t.test('exitCodeOf() has a documented number for every code', async t => {
  const source = await readFile(new URL('../../src/errors.ts', import.meta.url), 'utf8')
  const codes = [...source.matchAll(/^ {2}\| '([A-Z_]+)'$/gm)].map(([, code]) => code as ErrorCode) // the union itself
  t.ok(codes.length > 20)
  for (const code of codes) t.ok([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130].includes(exitCodeOf(code)), code)
  const documented = await readFile(new URL('../../docs/json-output.md', import.meta.url), 'utf8')
  for (const code of codes) {
    t.match(
      documented,
      new RegExp(`\\| ${exitCodeOf(code)} \\|[^\\n]*\`${code}\``),
      `${code} is in docs/json-output.md`,
    )
  }
})

t.test('exit codes mean the same in the help, docs/commands.md and docs/json-output.md', async t => {
  const read = async (name: string): Promise<string> =>
    (await readFile(new URL(`../../${name}`, import.meta.url), 'utf8')).replace(/\s+/g, ' ')
  const list = Object.entries(EXIT_MEANINGS).map(([code, meaning]) => `${code} ${meaning}`)
  const sentence = `Exit codes: ${list.join(', ')}.`
  const { stdout } = await stowage(['--help'])
  t.ok(stdout.replace(/\s+/g, ' ').includes(sentence), 'help')
  const commands = await read('docs/commands.md')
  for (const [code, meaning] of Object.entries(EXIT_MEANINGS))
    t.ok(commands.includes(`| ${code} | ${meaning} |`), `docs/commands.md: ${code}`)
  const table = await read('docs/json-output.md')
  for (const [code, meaning] of Object.entries(EXIT_MEANINGS))
    if (/^\d+$/.test(code)) t.ok(table.includes(`| ${code} | ${meaning}`), `docs: ${code}`)
})
