/** Finds the command that a command line names, without parsing its options. */
import { COMMANDS, type CommandGroup, type ListedCommand, WIM_DESCRIPTION } from '../commands.js'
import { type ListedWimCommand, WIM_COMMANDS } from '../wim/commands.js'

/** A group of commands, `stowage` itself among them. */
export interface FoundGroup {
  readonly type: 'group'
  readonly describe: string
  readonly commands: Readonly<Record<string, Entry>>
}

export type Entry = ListedCommand | CommandGroup | ListedWimCommand | WimGroup

interface WimGroup {
  readonly describe: string
  readonly commands: Readonly<Record<string, ListedWimCommand>>
}

export interface Resolved {
  /** The names of the command, without aliases: `['layer', 'check']`; empty for `stowage` itself. */
  readonly path: readonly string[]
  readonly found: FoundGroup | { readonly type: 'command'; readonly listed: ListedCommand | ListedWimCommand }
  /** The other words of the command line. */
  readonly rest: readonly string[]
  /** The operand in the place of a command that does not exist. */
  readonly unknown?: string
}

const PROGRAM: FoundGroup = {
  type: 'group',
  describe: 'Carry container images to machines that have no network: pack, verify, load.',
  commands: { ...COMMANDS, wim: { describe: WIM_DESCRIPTION, commands: WIM_COMMANDS } },
}

/** `words` are those after `stowage`. */
export function resolveCommand(words: readonly string[]): Resolved {
  let group = PROGRAM
  const [path, rest]: [string[], string[]] = [[], []]
  for (let n = 0; n < words.length; n++) {
    const word = words[n] ?? ''
    if (word === '--') break
    if (word.startsWith('-') && word !== '-') {
      rest.push(word)
      if (word === '--progress' && n + 1 < words.length) rest.push(words[++n] ?? '')
      continue
    }
    const [name, entry] = entryNamed(group.commands, word) ?? []
    if (name === undefined || !entry) return { path, found: group, rest: [...rest, ...words.slice(n)], unknown: word }
    path.push(name)
    if (!('commands' in entry))
      return { path, found: { type: 'command', listed: entry }, rest: [...rest, ...words.slice(n + 1)] }
    group = { type: 'group', describe: entry.describe, commands: entry.commands }
  }
  return { path, found: group, rest }
}

/** The name and the entry of the command with this name or alias. */
function entryNamed(commands: FoundGroup['commands'], word: string): readonly [string, Entry] | undefined {
  return Object.entries(commands).find(([name, entry]) => name === word || aliasesOf(entry).includes(word))
}

export function aliasesOf(entry: Entry): readonly string[] {
  return 'aliases' in entry ? (entry.aliases ?? []) : []
}
