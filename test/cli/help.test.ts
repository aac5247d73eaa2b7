import { spawnSync } from 'node:child_process'
import t from 'tap'
import { COMMAND_GROUPS, COMMANDS } from '../../src/cli/commands.js'
import { WIM_COMMANDS } from '../../src/cli/wim/commands.js'
import { commandFile, stowage } from '../support/command.js'

t.test('stowage, help, help COMMAND, and a group alone show help on stdout', async t => {
  const { stdout: program } = await stowage(['--help'])
  for (const words of [[], ['help'], ['-h'], ['help', '--help']])
    t.same(await stowage(words), { code: 0, stdout: program, stderr: '' }, words.join(' '))
  for (const [asked, same] of [
    [
      ['help', 'pack'],
      ['pack', '--help'],
    ],
    [
      ['pack', 'help'],
      ['pack', '-h'],
    ],
    [['layer'], ['layer', '--help']],
    [
      ['help', 'layer', 'check'],
      ['layer', 'check', '--help'],
    ],
    [
      ['layer', 'help', 'check'],
      ['layer', 'check', '--help'],
    ],
    [['source'], ['help', 'source']],
    [['wim'], ['wim', '--help']],
    [
      ['help', 'wim', 'capture'],
      ['wim', 'capture', '-h'],
    ],
    [
      ['wim', 'help', 'capture'],
      ['wim', 'capture', '--help'],
    ],
    [
      ['--json', 'ls', '--help'],
      ['help', 'tags'],
    ],
  ] as const) {
    const shown = await stowage(asked)
    t.match(shown, { code: 0, stderr: '', stdout: /^stowage \w+ [A-Z[a-z]/ }, asked.join(' '))
    t.same(shown, await stowage(same), asked.join(' '))
  }
  t.match(await stowage(['-v']), { code: 0, stdout: /^\d+\.\d+\.\d+\nlibdeflate .*\n$/ })
})

t.test('stowage --help has every command in one group, those of bundles first', async t => {
  const grouped = COMMAND_GROUPS.flatMap(({ names }) => names)
  t.same([...grouped].sort(), [...Object.keys(COMMANDS), 'help', 'wim'].sort())
  const { stdout } = await stowage(['--help'])
  const listed = [...stdout.matchAll(/^ {2}([a-z]+) {2,}[A-Z]/gm)].map(([, name]) => name)
  t.same(listed, grouped)
  t.same(listed.slice(0, 5), ['pack', 'verify', 'load', 'inspect', 'copy'])
})

t.test('stowage wim --help has a sentence for each command', async t => {
  const { stdout } = await stowage(['wim', '--help'])
  for (const [name, { describe }] of Object.entries(WIM_COMMANDS))
    t.ok(stdout.replace(/\s+/g, ' ').includes(` ${name} ${describe}`), name)
})

t.test('the help of a command has its own options first, the required ones before them, and no types', async t => {
  for (const words of [['pack'], ['layer', 'from-wim'], ['save'], ['wim', 'export']]) {
    const { stdout } = await stowage([...words, '--help'])
    t.notMatch(stdout, /\[(array|boolean|string|number|default|choices)/, words.join(' '))
    t.ok(stdout.indexOf('\nOptions:\n') < stdout.indexOf('\nOptions of every command:\n'), words.join(' '))
  }
  t.match((await stowage(['save', '--help'])).stdout, /\nOptions:\n +--path DIR +\(required\) /)
  t.match((await stowage(['layer', 'to-wim', '--help'])).stdout, /to-wim \[OPTIONS\] -o OUTPUT LAYER\.\.\.\n/)
  t.match(
    (await stowage(['pack', '--help'])).stdout,
    /\nOptions:\n +-o, --output OUTPUT +\(required, except with --dry-run\) /,
  )
  t.match((await stowage(['images', '--help'])).stdout, /--\[no-\]trunc [^]*--format table\|json [^]*\(default table\)/)
  t.notMatch((await stowage(['find', '--help'])).stdout, /Show the version/)
})

t.test('the help is as wide as the terminal, and 80 columns without one', async t => {
  const widest = async (env: Readonly<Record<string, string>>): Promise<number> => {
    const { stdout } = await stowage(['pack', '--help'], { env })
    return Math.max(
      ...stdout
        .replace(/^Examples:[^]*/m, '')
        .split('\n')
        .map(line => line.length),
    )
  }
  t.ok((await widest({ COLUMNS: '' })) <= 80)
  t.ok((await widest({ COLUMNS: '60' })) <= 60)
  const wide = await widest({ COLUMNS: '140' })
  t.ok(wide > 110 && wide <= 140, `${wide}`)
  t.ok((await widest({ COLUMNS: '40' })) <= 42, 'names and texts below each other')
  const { stdout } = inTerminal('stty cols 70; stowage pack --help')
  const lines = plain(stdout)
    .replace(/^Examples:[^]*/m, '')
    .split(/\r?\n/)
  t.ok(Math.max(...lines.map(line => line.length)) <= 70)
})

t.test('help and errors have color in a terminal only, and not with NO_COLOR or --no-color', async t => {
  const escape = '\u001b['
  t.ok(inTerminal('stowage --help').stdout.includes(escape))
  t.ok(inTerminal('stowage pakc').stdout.includes(escape))
  for (const line of [
    'NO_COLOR=1 stowage --help',
    'stowage --help --no-color',
    'stowage --no-color pakc',
    'stowage wim dir --no-color',
    'TERM=dumb stowage --help',
  ])
    t.notOk(inTerminal(line).stdout.includes(escape), line)
  t.notOk((await stowage(['--help'])).stdout.includes(escape))
  t.match(await stowage(['verify', '--no-color', '/nothing']), { code: 3, stderr: /\/nothing does not exist/ })
})

/** Runs a line of sh in a terminal; `script` gives it one. Its output is all that the terminal gets. */
function inTerminal(line: string): { readonly stdout: string } {
  const command = `stowage() { '${process.execPath}' '${commandFile()}' "$@"; }; ${line}`
  const { COLUMNS: _, NO_COLOR: __, ...env } = process.env
  return spawnSync('script', ['-qec', command, '/dev/null'], {
    encoding: 'utf8',
    env: { ...env, TERM: 'xterm', SHELL: '/bin/sh' },
  })
}

function plain(text: string): string {
  return text.replace(/\u001b\[[0-9;]*m/g, '')
}
