/** The hidden command `stowage __complete WORD… WORD`, which the completion scripts call. */
import {
  type AnyCommand,
  flag,
  GLOBAL_OPTIONS,
  isNegatable,
  namesOf,
  type Option,
  type OptionTable,
  type Takes,
} from '../command.js'
import { HELP_LINE } from '../commands.js'
import { dashed } from '../usage/page.js'
import { aliasesOf, resolveCommand } from '../usage/resolve.js'
import { type Proposal, proposalsFor } from './proposals.js'

/** What is known of a command, whichever parser reads it. */
interface Shape {
  readonly options: OptionTable
  /** What each operand takes; the last one may be repeated. */
  readonly operands: readonly Takes[]
}

/** Prints proposals for the last of `words`, one per line, with an explanation after a tab. Prints nothing on errors. */
export async function printProposals(words: readonly string[]): Promise<void> {
  const last = words.at(-1) ?? ''
  const proposals = await proposalsOf(words.slice(0, -1), last === '""' ? '' : last).catch(() => [])
  const lines = proposals.map(({ word, text }) => (text === undefined ? word : `${word}\t${text}`))
  // A name with a line feed or a tab cannot be proposed
  process.stdout.write(
    lines
      .filter(line => !/\n|\t.*\t/.test(line))
      .map(line => `${line}\n`)
      .join(''),
  )
}

async function proposalsOf(before: readonly string[], word: string): Promise<readonly Proposal[]> {
  const asksForHelp = before[0] === 'help'
  const { found, rest, unknown } = resolveCommand(asksForHelp ? before.slice(1) : before)
  if (unknown !== undefined) return []
  if (found.type === 'group') {
    const global = valueAt(before, GLOBAL_OPTIONS, word)
    if (global) return await proposalsFor(global.takes, global.word, [])
    if (word.startsWith('-')) return optionProposals(GLOBAL_OPTIONS, rest, word)
    const commands = Object.entries(found.commands).flatMap(([name, entry]) =>
      [name, ...aliasesOf(entry)].map((each): Proposal => ({ word: each, text: entry.describe })),
    )
    const help = before.length === 0 ? [{ word: 'help', text: HELP_LINE.describe }] : []
    return [...commands, ...help].filter(proposal => proposal.word.startsWith(word))
  }
  if (asksForHelp) return []
  const { listed } = found
  const shape = 'loadWim' in listed ? await wimShape(listed.loadWim) : shapeOf(await listed.load())
  const { operands, value } = readBefore(rest, shape.options, word)
  if (value) {
    const proposals = await proposalsFor(value.takes, value.word, operands)
    return proposals.map(({ word: each, text }) => ({ word: `${value.prefix}${each}`, ...(text ? { text } : {}) }))
  }
  if (word.startsWith('-') && word !== '-' && !rest.includes('--')) return optionProposals(shape.options, rest, word)
  const takes = shape.operands[Math.min(operands.length, shape.operands.length - 1)]
  return takes === undefined ? [] : await proposalsFor(takes, word, operands)
}

function shapeOf({ options = {}, operands = {} }: AnyCommand): Shape {
  const list = Object.values(operands)
  return {
    options: { ...GLOBAL_OPTIONS, ...options },
    operands: [...list.map(({ takes = [] }) => takes), ...(list.at(-1)?.many === true ? [] : [[]])],
  }
}

/** The operands of wimlib-imagex, by their names: `WIMFILE [IMAGE] TARGET`. */
async function wimShape(
  load: () => Promise<{ readonly operands: string; readonly options: OptionTable }>,
): Promise<Shape> {
  const { WIM_OPTIONS } = await import('../wim/parse.js')
  const { operands, options } = await load()
  const named = operands.split(' ').map((text, n, all): Takes => {
    if (/^(?:SRC_)?IMAGE$/.test(text.replaceAll(/[[\]]/g, '')))
      return text === '[IMAGE]' && n < all.length - 1 ? 'image of the WIM or path' : 'image of the WIM'
    return /WIMFILE|WIM_PART|DIRECTORY|TARGET|SOURCE/.test(text) ? 'path' : []
  })
  return { options: { ...options, ...WIM_OPTIONS }, operands: operands.endsWith('...') ? named : [...named, []] }
}

interface ValueToComplete {
  readonly takes: Takes
  /** The value so far. */
  readonly word: string
  /** `--output=`, or nothing. */
  readonly prefix: string
}

/** The operands before the word, and what it is if it is the value of an option. */
function readBefore(
  before: readonly string[],
  options: OptionTable,
  word: string,
): { readonly operands: readonly string[]; readonly value: ValueToComplete | undefined } {
  const operands: string[] = []
  for (let n = 0; n < before.length; n++) {
    const each = before[n] ?? ''
    if (each === '--') return { operands: [...operands, ...before.slice(n + 1)], value: undefined }
    const option = optionNamed(options, each)
    if (!each.startsWith('-') || each === '-') operands.push(each)
    else if (option && option.kind !== 'flag') n++
  }
  return { operands, value: valueAt(before, options, word) }
}

/** `word` as the value of an option, after its name or after `=`. */
function valueAt(before: readonly string[], options: OptionTable, word: string): ValueToComplete | undefined {
  const [, name, assigned] = /^(--[^=]+)=(.*)$/s.exec(word) ?? []
  const option = optionNamed(options, name ?? before.at(-1) ?? '')
  if (!option || option.kind === 'flag') return undefined
  const takes = option.choices ?? option.takes ?? []
  return { takes, word: assigned ?? word, prefix: name === undefined ? '' : `${name}=` }
}

function optionNamed(options: OptionTable, written: string): Option<unknown> | undefined {
  return Object.entries(options).find(([name, option]) =>
    namesOf(name, option).some(each => dashed(each) === written),
  )?.[1]
}

/** The options that `word` begins; one that was given is proposed again only if it may be repeated. */
function optionProposals(options: OptionTable, given: readonly string[], word: string): readonly Proposal[] {
  const all: OptionTable = { ...options, help: flag('Show the help') }
  return Object.entries(all)
    .filter(([, { hidden }]) => hidden !== true)
    .flatMap(([name, option]) => {
      const names = namesOf(name, option).map(dashed)
      const repeated = option.kind === 'values' || option.kind === 'choices'
      if (!repeated && names.some(each => given.some(one => one === each || one.startsWith(`${each}=`)))) return []
      // A single letter is proposed only if nothing but it fits
      const short = word.length === 2 && !word.startsWith('--') ? names.filter(each => each === word) : []
      const shown = option.default === true ? [] : [`--${name}`]
      const negated = isNegatable(option) ? [`--no-${name}`] : []
      return [...short, ...shown, ...negated].map((each): Proposal => ({ word: each, text: option.describe }))
    })
    .filter(proposal => proposal.word.startsWith(word))
}
