/** What there is to say about a command, from which the help and the man page are made. */
import {
  flag,
  GLOBAL_OPTIONS,
  isNegatable,
  type LocationUse,
  namesOf,
  type Option,
  type OptionTable,
  type OperandTable,
} from '../command.js'
import { COMMAND_GROUPS, HELP_LINE } from '../commands.js'
import { EXIT_MEANINGS } from '../exit-code.js'
import type { AnyWimCommand } from '../wim/command.js'
import { aliasesOf, type Entry, type FoundGroup, resolveCommand } from './resolve.js'

export interface Line {
  readonly name: string
  readonly text: string
}

export interface HelpPage {
  /** The command line: `stowage pack [OPTIONS] -o OUTPUT [IMAGE...]`. */
  readonly synopsis: string
  readonly describe: string
  /** The lists of commands, operands and options. Options that are required come first. */
  readonly sections: readonly { readonly title: string; readonly lines: readonly Line[] }[]
  /** Whole command lines. */
  readonly examples: readonly (readonly [line: string, meaning: string])[]
  /** Paragraphs after everything else. */
  readonly closing: readonly string[]
}

const ABOUT_ITSELF = {
  help: flag('Show this help', { alias: 'h' }),
  version: flag('Show the version', { alias: 'v' }),
} as const
const GLOBAL_TITLE = 'Options of every command'

/** The page of the command with these names, without aliases; loads its module. */
export async function helpPageOf(path: readonly string[]): Promise<HelpPage> {
  const { found } = resolveCommand(path)
  const name = ['stowage', ...path].join(' ')
  if (found.type === 'group') return path.length === 0 ? programPage(found) : groupPage(name, found)
  const { listed } = found
  if ('loadWim' in listed) return await wimPage(name, listed.describe, await listed.loadWim())
  const { operands = {}, options = {}, examples = [] } = await listed.load()
  const required = sorted(options).filter(
    ([, option]) => option.required === true || option.requiredUnless !== undefined,
  )
  const words = [
    name,
    '[OPTIONS]',
    ...required.map(([option, settings]) => {
      const word = `${shortest(namesOf(option, settings))} ${valueName(option, settings)}`
      return settings.required === true ? word : `[${word}]`
    }),
    ...Object.entries(operands).map(([operand, { required, many }]) => {
      const word = `${operandName(operand)}${many ? '...' : ''}`
      return required ? word : `[${word}]`
    }),
  ]
  const aliases = aliasesOf(listed)
  // An option of the command may have the name of a global one, as the --version of an image has
  const globals = Object.entries<Option<unknown>>({ ...GLOBAL_OPTIONS, ...ABOUT_ITSELF }).filter(
    ([option]) => !(option in options),
  )
  return {
    synopsis: words.join(' '),
    describe: `${listed.describe}.`,
    sections: [
      { title: 'Operands', lines: operandLines(operands) },
      { title: 'Options', lines: optionLines(options) },
      { title: GLOBAL_TITLE, lines: optionLines(withoutVersion(Object.fromEntries(globals))) },
    ],
    examples: examples.map(([line, meaning]) => [`stowage ${line}`, meaning]),
    closing: aliases.length === 0 ? [] : [`Other names: ${aliases.join(', ')}.`],
  }
}

async function wimPage(name: string, describe: string, command: AnyWimCommand): Promise<HelpPage> {
  const { WIM_OPTIONS } = await import('../wim/parse.js')
  return {
    synopsis: `${name} [OPTIONS] ${command.operands}`,
    describe: `${describe}.`,
    sections: [
      { title: 'Options', lines: optionLines(command.options) },
      { title: GLOBAL_TITLE, lines: optionLines(withoutVersion(WIM_OPTIONS)) },
    ],
    examples: (command.examples ?? []).map(([line, meaning]) => [`stowage wim ${line}`, meaning]),
    closing: [],
  }
}

function groupPage(name: string, { describe, commands }: FoundGroup): HelpPage {
  return {
    synopsis: `${name} COMMAND`,
    describe: `${describe}.`,
    sections: [{ title: 'Commands', lines: Object.entries(commands).map(([each, entry]) => commandLine(each, entry)) }],
    examples: [],
    closing: [`"${name} COMMAND --help" explains a command.`],
  }
}

function programPage({ describe, commands }: FoundGroup): HelpPage {
  const help: Entry = { ...HELP_LINE, commands: {} }
  return {
    synopsis: 'stowage COMMAND',
    describe,
    sections: [
      ...COMMAND_GROUPS.map(({ title, names }) => ({
        title,
        lines: names.map(name => commandLine(name, name === 'help' ? help : (commands[name] ?? help))),
      })),
      { title: GLOBAL_TITLE, lines: optionLines({ ...GLOBAL_OPTIONS, ...ABOUT_ITSELF }) },
    ],
    examples: [
      ['stowage pack docker-daemon:shop:2.3 -o site-a.tar', 'Pack an image from the engine'],
      ['stowage verify site-a.tar', 'Check the bundle'],
      ['stowage load site-a.tar', 'Load it on a host without a network'],
    ],
    closing: [
      '"stowage COMMAND --help" explains a command.',
      `Exit codes: ${Object.entries(EXIT_MEANINGS)
        .map(([code, meaning]) => `${code} ${meaning}`)
        .join(', ')}.`,
    ],
  }
}

function commandLine(name: string, entry: Entry): Line {
  const aliases = aliasesOf(entry)
  return { name, text: `${entry.describe}${aliases.length === 0 ? '' : ` (also: ${aliases.join(', ')})`}` }
}

function operandLines(operands: OperandTable): readonly Line[] {
  return Object.entries(operands).map(([name, { describe }]) => ({ name: operandName(name), text: describe }))
}

function optionLines(options: OptionTable): readonly Line[] {
  return sorted(options).map(([name, option]) => ({
    name: optionForm(name, option),
    text: [requirement(option), option.describe, remark(option)].filter(Boolean).join(' '),
  }))
}

/** The options that are shown: the required ones first. */
function sorted(options: OptionTable): readonly (readonly [string, Option<unknown>])[] {
  const rank = ({ required, requiredUnless }: Option<unknown>): number =>
    required === true ? 0 : requiredUnless !== undefined ? 1 : 2
  return Object.entries(options)
    .filter(([, { hidden }]) => hidden !== true)
    .sort(([, one], [, other]) => rank(one) - rank(other))
}

/** `-o, --output OUTPUT`; long names are aligned below each other. */
function optionForm(name: string, option: Option<unknown>): string {
  const names = namesOf(name, option)
  const short = names.filter(each => each.length === 1).map(each => `-${each}, `)
  const negatable = isNegatable(option) ? '[no-]' : ''
  const long = names.filter(each => each.length > 1).map(each => `--${negatable}${each}`)
  return `${short.join('') || '    '}${long.join(', ')}${option.kind === 'flag' ? '' : ` ${valueName(name, option)}`}`
}

function requirement({ required, requiredUnless }: Option<unknown>): string {
  if (required === true) return '(required)'
  return requiredUnless === undefined ? '' : `(required, except with --${requiredUnless})`
}

/** The default, if the help says no other. */
function remark({ kind, default: preset }: Option<unknown>): string {
  if (kind === 'flag' || (typeof preset !== 'string' && typeof preset !== 'number')) return ''
  return `(default ${preset})`
}

function valueName(name: string, { kind, takes, choices, valueName: given }: Option<unknown>): string {
  if (given !== undefined) return given
  if (kind === 'number') return 'N'
  if (takes === 'directory') return 'DIR'
  if (takes === 'path' && name !== 'output') return 'FILE'
  if (typeof takes === 'string' && LOCATIONS.has(takes)) return 'LOCATION'
  if (choices !== undefined) return choices.join('|')
  return operandName(name.split('-').at(-1) ?? name) // --min-version VERSION, --volume-size SIZE
}

const LOCATIONS: ReadonlySet<string> = new Set<LocationUse>(['source', 'destination', 'load destination', 'store'])

/** The name of an operand, or of the value of an option, in a synopsis. */
export function operandName(name: string): string {
  return name.replaceAll('-', '_').toUpperCase()
}

/** The name of an option in a message: `-o/--output`. */
export function optionTitle(name: string, option: Option<unknown>): string {
  const names = [...namesOf(name, option)].sort((one, other) => one.length - other.length)
  return [names.find(each => each.length === 1), name]
    .filter(each => each !== undefined)
    .map(dashed)
    .join('/')
}

export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`
}

function shortest(names: readonly string[]): string {
  return dashed(names.find(each => each.length === 1) ?? names[0] ?? '')
}

/** `--version` is worth a line only in the help of `stowage` itself. */
function withoutVersion(options: OptionTable): OptionTable {
  return Object.fromEntries(Object.entries(options).filter(([name]) => name !== 'version'))
}
