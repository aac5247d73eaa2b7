import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { namesOf } from '../../../src/cli/command.js'
import { optionsOf, parseWords } from '../../../src/cli/wim/parse.js'
import { WIM_COMMANDS as LISTED } from '../../../src/cli/wim/commands.js'
import { StowageError } from '../../../src/errors.js'
import { manPage } from '../../support/wim-compare.js'

/** Accepted by wimlib-imagex, but told neither by --help nor by a man page. */
const UNTOLD = [
  'noacls',
  'no-check',
  'lookup-table',
  'no-wildcards',
  'verbose',
  'lazy',
  'no-solid-sort',
  'metadata',
  'quiet',
]
/** What every command takes, which has a table of its own. */
const GLOBAL = ['help', 'version', 'quiet', 'json', 'progress', 'ignore-case', 'no-ignore-case', 'no-color']

const document = readFileSync(new URL('../../../docs/wim.md', import.meta.url), 'utf8')
const optionsIn = (text: string): string[] => [...text.matchAll(/--([a-z][a-z0-9-]*)/g)].map(([, name]) => name!)

const WIM_COMMANDS = Object.keys(LISTED)
const pages = new Map(WIM_COMMANDS.map(command => [command, manPage(command)]))
const helps = new Map(
  WIM_COMMANDS.map(command => {
    const { stdout, stderr } = spawnSync('wimlib-imagex', [command, '--help'], { encoding: 'utf8' })
    return [command, stdout + stderr]
  }),
)

/** The options that this wimlib-imagex takes for the command, whole names only. */
function takenBy(command: string): string[] {
  const names = new Set([...optionsIn(`${pages.get(command)} ${helps.get(command)}`), ...UNTOLD])
  const taken = [...names].filter(name => {
    const { stderr } = spawnSync('wimlib-imagex', [command, `--${name}=x`], { encoding: 'utf8', input: '' })
    return !/unrecognized option|ambiguous/.test(stderr)
  })
  // getopt takes the beginning of a name for the name, and so --wimboot for --wimboot-config
  const told = optionsIn(`${helps.get(command)} ${(pages.get(command) ?? '').match(/^ {7}--.*$/gm)?.join(' ') ?? ''}`)
  return taken.filter(name => told.includes(name) || !taken.some(other => other !== name && other.startsWith(name)))
}

interface Row {
  readonly theirs: readonly string[]
  readonly ours: readonly string[]
  readonly note: string
}

function rowsOf(heading: string): Row[] {
  const section = document.split(/^## /m).find(text => text.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\|([^|]*)\|([^|]*)\|([^|]*)\|$/gm)]
    .slice(2)
    .map(([, theirs = '', ours = '', note = '']) => ({
      theirs: optionsIn(theirs),
      ours: optionsIn(ours),
      note: note.trim(),
    }))
}

/** What the parser of the command takes, of all that is said, and of all that there is to be said. */
async function knownTo(command: string, said: readonly string[]): Promise<string[]> {
  const found = await LISTED[command]!.loadWim()
  const listed = Object.entries(optionsOf(found)).flatMap(([name, option]) => namesOf(name, option))
  return [...new Set([...listed, ...said])].filter(name => name.length > 1 && takes(name, found))
}

function takes(name: string, command: Parameters<typeof parseWords>[1]): boolean {
  for (const words of [[`--${name}`], [`--${name}=auto`]]) {
    try {
      parseWords(words, command)
      return true
    } catch (error) {
      if (!(error instanceof StowageError)) throw error
    }
  }
  return false
}

t.test(
  'docs/wim.md has a row for every option that wimlib-imagex takes, and the row says ours or why there is none',
  async t => {
    const missing: string[] = []
    for (const command of WIM_COMMANDS) {
      const rows = [...rowsOf(command), ...rowsOf('Options of all commands')]
      const taken = takenBy(command)
      t.ok(taken.length > 1, `${command} takes ${taken.join(' ')}`)
      for (const option of taken) {
        const row = rows.find(({ theirs }) => theirs.includes(option))
        if (!row || (row.ours.length === 0 && row.note === '')) missing.push(`${command} --${option}`)
      }
    }
    t.same(missing, [])
  },
)

t.test(
  'stowage wim takes every option that docs/wim.md says it takes, and docs/wim.md says every one it takes',
  async t => {
    for (const command of WIM_COMMANDS) {
      const said = [...rowsOf(command), ...rowsOf('Options of all commands')].flatMap(({ ours }) => ours)
      const known = await knownTo(command, said)
      t.same(
        said.filter(option => !known.includes(option)),
        [],
        `${command}: said, but not taken`,
      )
      t.same(
        known.filter(option => !said.includes(option)),
        [],
        `${command}: taken, but not said`,
      )
      t.same(
        GLOBAL.filter(option => !known.includes(option)),
        [],
        command,
      )
    }
  },
)

t.test('docs/wim.md has the operands of every command as wimlib-imagex has them', async t => {
  for (const command of WIM_COMMANDS) {
    const { operands } = await LISTED[command]!.loadWim()
    const theirs = (helps.get(command) ?? '').replace(/\s+/g, ' ')
    t.ok(document.includes(`\`${command} ${operands}\``), `${command} ${operands} is in the document`)
    t.ok(theirs.includes(`${command} ${operands}`), `${command} ${operands}: wimlib-imagex has it so`)
  }
})

t.test('docs/wim.md names every schema that the commands print', async t => {
  const schemas = new Set<string>()
  for (const name of [
    'append',
    'apply',
    'capture',
    'capturing',
    'delete',
    'dir',
    'export',
    'extract',
    'info',
    'join',
    'mounting',
    'optimize',
    'split',
    'unmount',
    'update',
    'verify',
  ]) {
    const source = readFileSync(new URL(`../../../src/cli/wim/${name}.ts`, import.meta.url), 'utf8')
    for (const [schema] of source.matchAll(/stowage\.wim-[a-z-]+\/v1/g)) schemas.add(schema)
  }
  t.ok(schemas.size >= 15)
  t.same(
    [...schemas].filter(schema => !document.includes(`\`${schema}\``)),
    [],
  )
})
