import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parsePage, parseSteps, readPage, runPage, SAME_BYTES, type Ran, type Step } from './page.js'
import { scratch } from './scratch.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const block = (text: string) => {
  const part = parsePage(text).find(each => typeof each !== 'string')
  if (typeof part !== 'object') throw new TypeError('no block')
  return part
}

/** What `runPage()` asserts of a page: whether each assertion holds. `outputs` are by command, each with an exit code. */
async function judged(page: string, outputs: Readonly<Record<string, readonly [string, number]>>): Promise<boolean[]> {
  const file = join(scratch(t), 'page.md')
  writeFileSync(file, page)
  const held: boolean[] = []
  const judge = {
    equal: (a: unknown, b: unknown) => held.push(a === b),
    not: (a: unknown, b: unknown) => held.push(a !== b),
  } as unknown as Test // all of it that a run uses
  const run = async ({ command }: Step): Promise<Ran> => {
    const [output = '', code] = outputs[command] ?? []
    return { output, code }
  }
  const makes = /^make/
  await runPage(judge, relative(ROOT, file), run, { makes })
  t.equal(readFileSync(file, 'utf8'), page, 'the page stays')
  return held
}

t.test('parsePage() gives the whole page, and what is said of a block', t => {
  const page = readPage('docs/places.md')
  const whole = parsePage(page).map(part =>
    typeof part === 'string' ? part : `${part.comments}\`\`\`console\n${part.body}\`\`\`\n`,
  )
  t.equal(whole.join(''), page)
  t.match(block('<!-- run with: Docker -->\n<!-- exit codes: 4, 1 -->\n```console\n$ a\n```\n'), {
    having: 'Docker',
    codes: [4, 1],
  })
  t.match(block('x\n\n<!-- not run: needs a ship -->\n```console\n$ a\n```\n'), { notRun: 'a ship' })
  t.end()
})

t.test('parseSteps() tells commands of several lines from what they print', t => {
  const steps = parseSteps(
    block("```console\n$ a \\\n    b\nout\n# c\nsite$ cat <<'END'\n$ no command\nEND\n$ no command\nmore\n```\n"),
  )
  t.same(steps, [
    { prompt: '$', command: 'a \\\n    b', shown: 'out\n' },
    { prompt: '#', command: 'c', shown: '' },
    { prompt: 'site$', command: "cat <<'END'\n$ no command\nEND", shown: '' },
    { prompt: '$', command: 'no command', shown: 'more\n' },
  ])
  t.throws(() => parseSteps(block('```console\nout\n$ a\n```\n')), /begins with no command: out/)
  t.end()
})

t.test('runPage() fails on another output, on a wrong exit code, and on too much or too little left out', async t => {
  const page = (shown: string, comment = ''): string => `${comment}\`\`\`console\n$ a\n${shown}\`\`\`\n`
  t.same(await judged(page('x\n'), { a: ['x\n', 0] }), [true, true])
  t.same(await judged(page('x\n'), { a: ['y\n', 0] }), [false, true])
  t.same(await judged(page('x\n'), { a: ['x\n', 1] }), [true, false])
  t.same(await judged(page('stowage: no\n'), { a: ['stowage: no\n', 3] }), [true, true])
  t.same(await judged(page('stowage: no\n'), { a: ['stowage: no\n', 0] }), [true, false])
  t.same(await judged(page('x\n', '<!-- exit code: 4 -->\n'), { a: ['x\n', 4] }), [true, true, true])
  t.same(await judged(page('x\n', '<!-- exit code: 4 -->\n'), { a: ['x\n', 3] }), [true, false, true])
  t.same(await judged(page('x\n', '<!-- exit codes: 0, 4 -->\n'), { a: ['x\n', 0] }), [true, true, false])
  t.same(await judged(page('x\n…\nz.\n'), { a: ['x\ny\ny\nz.\n', 0] }), [true, true])
  t.same(await judged(page('x\n…\nz.\n'), { a: ['x\nz.\n', 0] }), [false, true])
  t.same(await judged(page('x\n…\nz.\n'), { a: ['x\ny\nz!\n', 0] }), [false, true])
  t.same(await judged(page('x\n', '<!-- not run: needs a ship -->\n'), {}), [])
  t.same(await judged(page('x\n', '<!-- run with: Docker -->\n'), {}), [])
  const [shown, made] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`]
  const makes = `\`\`\`console\n$ make\n${shown}\n$ show\n${'a'.repeat(12)} 1\n\`\`\`\n`
  t.same(await judged(makes, { make: [`${made}\n`, 0], show: [`${'b'.repeat(12)} 1`, 0] }), [true, true, true, true])
  const other = await judged(makes, { make: [`${made}\n`, 0], show: [`${'c'.repeat(12)} 1`, 0] })
  t.same(other, [true, true, !SAME_BYTES, true], 'where the bytes are those of the pages')
})
