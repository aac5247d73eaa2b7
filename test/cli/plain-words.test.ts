import fc from 'fast-check'
import t from 'tap'
import { type CommandTable, COMMANDS } from '../../src/cli/commands.js'
import { parsePlainly } from '../../src/cli/plain-words.js'
import { parseProgram } from '../../src/cli/program.js'

/** What yargs reads, without what it adds for itself: `_` and `$0`. */
async function byYargs(argv: readonly string[]): Promise<unknown> {
  return settled((await parseProgram(argv)).values)
}

function settled(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => name !== '_' && name !== '$0' && value !== undefined),
  )
}

const PLAIN: readonly (readonly string[])[] = [
  ['pack', 'docker://registry.example/team/shop:2.3', '-o', 'site-a'],
  [
    'pack',
    'a',
    'b',
    '--json',
    '--output=site=a',
    '--platform',
    'linux/amd64',
    '--platform=linux/arm64',
    '-q',
    '-j',
    '4',
    '--foreign-layers',
    'plain',
  ],
  ['copy', '--progress', 'none', 'oci:a', 'oci:b', '-t', 'shop:1'],
  ['verify', 'site-a'],
  ['load', 'site-a.tar', 'shop:2.3', '--to', 'oci:x'],
  ['images', '-a'],
  ['ls', 'registry.example/shop', '--newest', '3'],
  ['push', 'shop:1', '--insecure', 'a:1', '--insecure', 'b:2'],
  ['find', '--version', '10.0.1'],
  ['save', 'NanoServer', '--path', 'x'],
  ['serve', 'a', 'b', '--listen=:0'],
  ['login', '-u', 'alice', '--password-stdin'],
  ['rmi', '-f', 'a', 'b'],
  ['tag', 'a', 'b'],
  ['schema'],
  ['layer', 'check', 'a', 'b', '--strict'],
  ['layer', 'from-wim', 'a.wim', '-o', 'b', '--ref', 'c', '--ref', 'd'],
  ['layer', 'diff', 'a', 'b', '--ignore', 'times', '--ignore', 'owner'],
  ['source', 'ls'],
  ['source', 'add', 'a', 'b', '--trusted'],
  ['pack', 'help', 'a', '-o', 'help'],
]

t.test('plain command lines are read without yargs, and to the same', async t => {
  for (const argv of PLAIN) {
    const plain = await parsePlainly(argv)
    t.ok(plain, argv.join(' '))
    t.same(plain && settled(plain.values), await byYargs(argv), argv.join(' '))
  }
})

t.test('help, mistakes and forms of its own are left to yargs', async t => {
  for (const argv of [
    [],
    ['--help'],
    ['--version'],
    ['nonsense'],
    ['pack', '-h'],
    ['pack', '--version'],
    ['pack', 'a', '-o'],
    ['pack', 'a', '-o', '-q'],
    ['pack', 'a', '-ob'],
    ['pack', 'a', '--', '-o'],
    ['pack', 'a', '-o', 'b', '-o', 'c'],
    ['pack', 'a', '-o', '"b"'],
    ['pack', 'a', '--update', 'false'],
    ['pack', 'a', '--update=false'],
    ['pack', 'a', '--no-update'],
    ['pack', 'a', '--jobs', 'x'],
    ['pack', 'a', '--jobs', '1e1'],
    ['pack', 'a', '--jobs=-1'],
    ['pack', 'a', '--foreign-layers', 'other'],
    ['pack', '-', '-o', 'b'],
    ['pack', ''],
    ['copy', 'a'],
    ['copy', 'a', 'b', 'c'],
    ['save', 'a'],
    ['pack', 'a', '-qo', 'b'],
    ['layer'],
    ['layer', 'nonsense'],
    ['source', 'add', 'a'],
    ['pack', 'a', '--__proto__', 'b'],
    ['pack', 'a', '--constructor=b'],
    ['verify', 'help'],
    ['source', 'add', 'help'],
    ['verify', '--progress', 'nonsense', 'a'],
    ['--json', 'verify', 'a'],
    ['-o', 'pack', 'b'],
  ])
    t.equal(await parsePlainly(argv), undefined, JSON.stringify(argv))
})

t.test('whatever the words are, what is read without yargs is what yargs reads', async t => {
  const options = [
    '-o',
    '-t',
    '-f',
    '-j',
    '-q',
    '-H',
    '-a',
    '-n',
    '-u',
    '-p',
    '--output',
    '--platform',
    '--jobs',
    '--insecure',
    '--json',
    '--quiet',
    '--progress',
    '--to',
    '--host',
    '--update',
    '--force',
    '--prune',
    '--newest',
    '--tag',
    '--file',
    '--foreign-layers',
    '--store',
    '--image',
    '--version',
    '--path',
    '--format',
    '--referrers',
    '--all-tags',
    '--threads',
  ]
  const values = [
    'a',
    'help',
    'b:1',
    'oci:x',
    '4',
    '0x10',
    '1e3',
    '007',
    '-1',
    '-',
    '--',
    '',
    '"q"',
    "'q",
    'true',
    'false',
    'a=b',
    '=',
    'none',
    'plain',
    'keep',
    'json',
    'linux/arm64',
    'a b',
    'é',
    'x\ny',
    '99999999999999999999',
    '0.5',
  ]
  const word = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...values) },
    { weight: 4, arbitrary: fc.constantFrom(...options) },
    fc.tuple(fc.constantFrom(...options), fc.constantFrom(...values)).map(([option, value]) => `${option}=${value}`),
    fc.string({ maxLength: 4 }),
  )
  let plain = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.keys(COMMANDS)),
      fc.array(word, { maxLength: 5 }),
      fc.nat(1),
      async (command, words, at) => {
        const argv = words.toSpliced(at, 0, command)
        const read = await parsePlainly(argv)
        if (!read) return
        plain++
        t.strictSame(settled(read.values), await byYargs(argv), JSON.stringify(argv))
      },
    ),
    { numRuns: 3000 },
  )
  t.ok(plain > 100, `${plain} of them were plain`)
})

t.test('the synopsis of each command names its operands', async t => {
  const check = async (table: CommandTable, under: string): Promise<void> => {
    for (const [name, listed] of Object.entries(table)) {
      if ('commands' in listed) {
        t.equal(listed.command, `${name} <command>`)
        await check(listed.commands, `${under}${name} `)
        continue
      }
      const { operands = {}, examples = [] } = await listed.load()
      const words = Object.entries(operands).map(([operand, { required, many }]) => {
        const shown = `${operand}${many ? '..' : ''}`
        return required ? `<${shown}>` : `[${shown}]`
      })
      t.equal(listed.command, [name, ...words].join(' '))
      for (const [line] of examples) t.match(line, new RegExp(`(^|stowage )${under}${name}( |$)`), line)
    }
  }
  await check(COMMANDS, '')
})
