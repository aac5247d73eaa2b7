/** Parses the script of an update: commands that add, delete and rename files of an image, one per line. */
import { StowageError } from '../errors.js'
import type { AddOptions, DeleteOptions, JobOptions, UpdateCommand } from './options.js'
import { linesOf, type TextLine, type Word } from './text-file.js'

export interface UpdateScriptOptions {
  /** Name of the script for error messages. Default: `the script`. */
  readonly file?: string | undefined
  /** Options for every `add`, in addition to its own. */
  readonly add?: Omit<AddOptions, keyof JobOptions> | undefined
  /** Options for every `delete`. */
  readonly delete?: DeleteOptions | undefined
}

type Kind = UpdateCommand['type']

const ADD: Readonly<Record<string, Omit<AddOptions, keyof JobOptions>>> = {
  '--verbose': { verbose: true },
  '--unix-data': { unixData: true },
  '--no-acls': { acls: 'none' },
  '--noacls': { acls: 'none' },
  '--strict-acls': { acls: 'strict' },
  '--dereference': { dereference: true },
  '--no-replace': { noReplace: true },
}
const DELETE: Readonly<Record<string, DeleteOptions>> = {
  '--force': { force: true },
  '--recursive': { recursive: true },
}
const PATHS: Readonly<Record<Kind, readonly string[]>> = {
  add: ['SOURCE', 'DESTINATION'],
  delete: ['PATH'],
  rename: ['OLD', 'NEW'],
}

/**
 * Parses commands as `wimlib-imagex update` does: `add [--verbose] [--unix-data] [--no-acls] [--strict-acls]
 * [--dereference] [--no-replace] SOURCE DESTINATION`, `delete [--force] [--recursive] PATH` and `rename OLD NEW`. The
 * case of the command is ignored, options may appear anywhere after it, and a quoted word is not an option. For
 * comments and quotes, see {@link linesOf}. Throws INVALID_ARGUMENT naming the line.
 */
export function parseUpdateScript(text: string, options: UpdateScriptOptions = {}): UpdateCommand[] {
  const { file = 'the script' } = options
  return linesOf(text, file).map(line => command(line, `${file}, line ${line.number}`, options))
}

function command({ words }: TextLine, place: string, { add, delete: remove }: UpdateScriptOptions): UpdateCommand {
  const [verb, ...rest] = words
  const type = verb?.text.toLowerCase() ?? ''
  switch (type) {
    case 'add': {
      const {
        paths: [source = '', target = ''],
        options,
      } = argumentsOf(rest, type, ADD, place)
      return { type, source, target, ...add, ...options }
    }
    case 'delete': {
      const {
        paths: [path = ''],
        options,
      } = argumentsOf(rest, type, DELETE, place)
      return { type, path, ...remove, ...options }
    }
    case 'rename': {
      const {
        paths: [source = '', target = ''],
      } = argumentsOf(rest, type, {}, place)
      return { type, source, target }
    }
    default:
      throw new StowageError('INVALID_ARGUMENT', `${place}: ${JSON.stringify(verb?.text)} is not an update command`, {
        hint: `Use one of ${Object.entries(PATHS)
          .map(([kind, names]) => `${kind} ${names.join(' ')}`)
          .join(', ')}.`,
      })
  }
}

function argumentsOf<Options extends object>(
  words: readonly Word[],
  type: Kind,
  known: Readonly<Record<string, Options>>,
  place: string,
): { readonly paths: readonly string[]; readonly options: Options } {
  const isOption = ({ text, quoted }: Word): boolean => !quoted && text.startsWith('--')
  const paths = words.filter(word => !isOption(word)).map(({ text }) => text)
  const options = words.filter(isOption).map(({ text }) => {
    const option = Object.hasOwn(known, text) ? known[text] : undefined
    if (option) return option
    throw new StowageError('INVALID_ARGUMENT', `${place}: ${text} is not an option of ${type}`, {
      hint: `Its options: ${Object.keys(known).join(', ') || 'none'}.`,
    })
  })
  const names = PATHS[type]
  if (paths.length !== names.length) {
    const found = paths.map(path => JSON.stringify(path)).join(' ') || 'nothing'
    throw new StowageError('INVALID_ARGUMENT', `${place}: expected ${type} ${names.join(' ')} but found ${found}`, {
      hint: 'Quote a path that contains spaces.',
    })
  }
  return { paths, options: Object.assign({}, ...options) as Options } // each is part of Options
}
