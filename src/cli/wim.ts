/** `stowage wim`: WIM files, as wimlib-imagex does them. A command is loaded when it is named, because starting takes time. */
import { isatty } from 'node:tty'
import yargs, { type Argv, type Options } from 'yargs'
import { StowageError } from '../errors.js'
import { thisGenerator } from '../generator.js'
import { globalOptions, withSession } from './session.js'
import { type AnyWimCommand, operandCount, type WimValues } from './wim/command.js'

const LOADERS: Readonly<Record<string, () => Promise<AnyWimCommand>>> = {
  append: async () => (await import('./wim/append.js')).append,
  apply: async () => (await import('./wim/apply.js')).apply,
  capture: async () => (await import('./wim/capture.js')).capture,
  delete: async () => (await import('./wim/delete.js')).remove,
  dir: async () => (await import('./wim/dir.js')).dir,
  export: async () => (await import('./wim/export.js')).exportImages,
  extract: async () => (await import('./wim/extract.js')).extract,
  info: async () => (await import('./wim/info.js')).info,
  join: async () => (await import('./wim/join.js')).join,
  mount: async () => (await import('./wim/mount.js')).mount,
  mountrw: async () => (await import('./wim/mountrw.js')).mountrw,
  optimize: async () => (await import('./wim/optimize.js')).optimize,
  split: async () => (await import('./wim/split.js')).split,
  unmount: async () => (await import('./wim/unmount.js')).unmount,
  update: async () => (await import('./wim/update.js')).update,
  verify: async () => (await import('./wim/verify.js')).verify,
}

export const WIM_COMMANDS: readonly string[] = Object.keys(LOADERS)

const IGNORE_CASE = {
  'ignore-case': {
    type: 'boolean',
    describe: 'Case does not count in paths of images (WIMLIB_IMAGEX_IGNORE_CASE=1); "=false": it does',
  },
} as const

/** The command of this name. Throws INVALID_ARGUMENT. */
export async function wimCommandOf(name: string | undefined): Promise<AnyWimCommand> {
  const load = name !== undefined && Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined
  if (load) return load()
  throw usage(name === undefined ? 'Name a command of "stowage wim".' : `Unknown command: wim ${name}`)
}

/** Runs `stowage wim …`, where `argv` is what follows `wim`. Errors are main()'s to print. */
export async function runWim(argv: readonly string[]): Promise<void> {
  const at = argv.findIndex((word, n) => !word.startsWith('-') && argv[n - 1] !== '--progress')
  const options = at < 0 ? argv : argv.slice(0, at)
  if (at < 0 && options.some(word => ['--help', '-h', '--version'].includes(word))) {
    await parserOf(undefined, options).parseAsync()
    return
  }
  const command = await wimCommandOf(at < 0 ? undefined : argv[at])
  const words = [...options, ...argv.slice(at + 1)]
  refuseFlagValues(words, command)
  const values = await parserOf(command, words).parseAsync()
  if (values['help'] === true || values['version'] === true) return
  const operands = values._.map(String)
  checkOperands(operands, command)
  await setUp(values['ignore-case'] as boolean | undefined) // IGNORE_CASE says boolean
  // globalOptions() and the command's own, which wimCommand() has typed
  const given = values as unknown as WimValues<AnyWimCommand['options']>
  await withSession(given, session => command.run(given, operands, session))
}

/** The parser of `command`, or of `stowage wim` itself, which lists all. */
export function parserOf(command: AnyWimCommand | undefined, words: readonly string[]): Argv {
  const parser = globalOptions(yargs([...words]))
    .parserConfiguration({
      'boolean-negation': false, // wimlib-imagex has --no-acls and the like, which are options of their own
      'camel-case-expansion': false,
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'short-option-groups': false,
    })
    .options({ ...command?.options, ...IGNORE_CASE } as Readonly<Record<string, Options>>)
    .scriptName(command ? `stowage wim ${command.name}` : 'stowage wim')
    .usage(command ? `$0 ${command.operands}\n\n${command.describe}` : overview())
    .version(thisGenerator().version)
    .help()
    .alias('h', 'help')
    .detectLocale(false)
    .wrap(Math.min(110, (isatty(1) && process.stdout.columns) || 110))
    .exitProcess(false)
    .showHelpOnFail(false)
    .strictOptions()
    .fail((message: string | null, error: Error | undefined) => {
      if (error && error.name !== 'YError') throw error
      throw usage(message ?? error?.message ?? 'the command line is wrong', command)
    })
  for (const [line, meaning] of command?.examples ?? []) parser.example(`stowage wim ${line}`, meaning)
  return parser as unknown as Argv
}

function overview(): string {
  return [
    '$0 <command>',
    'WIM files, with the commands and options of wimlib-imagex.',
    `Commands: ${WIM_COMMANDS.join(', ')}.`,
    'Each explains itself: stowage wim capture --help',
  ].join('\n\n')
}

function usage(message: string, command?: AnyWimCommand): StowageError {
  return new StowageError('INVALID_ARGUMENT', message.replace(/\s*\n\s*/g, ' '), {
    hint: `Run "stowage wim ${command ? `${command.name} ` : ''}--help" to see how it is used.`,
  })
}

/** yargs would take `--check=no` for false without a word. */
function refuseFlagValues(words: readonly string[], command: AnyWimCommand): void {
  const flags = Object.entries(command.options).filter(([, { type }]) => type === 'boolean')
  const names = new Set(flags.flatMap(([name, { alias }]) => [name, ...(typeof alias === 'string' ? [alias] : alias ?? [])]))
  const end = words.indexOf('--')
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const [, name = '', value = ''] = /^--([^=]+)=(.*)$/s.exec(word) ?? []
    if (names.has(name) && value !== 'true' && value !== 'false') throw usage(`--${name} takes no value`, command)
  }
}

function checkOperands(operands: readonly string[], command: AnyWimCommand): void {
  const { least, most } = operandCount(command.operands)
  if (operands.length < least) throw usage(`expected ${command.operands} but found ${shown(operands)}`, command)
  if (operands.length > most) throw usage(`${JSON.stringify(operands[most])} is more than ${command.operands}`, command)
}

function shown(operands: readonly string[]): string {
  return operands.map(operand => JSON.stringify(operand)).join(' ') || 'nothing'
}

/** Before the first WIM, as libwim wants it. */
async function setUp(option: boolean | undefined): Promise<void> {
  const words: Readonly<Record<string, boolean>> = { 1: true, yes: true, 0: false, no: false }
  const ignoreCase = option ?? words[process.env['WIMLIB_IMAGEX_IGNORE_CASE'] ?? '']
  if (ignoreCase === undefined) return
  const { setUpWimlib } = await import('../wim/wim-file.js')
  setUpWimlib({ ignoreCase })
}
