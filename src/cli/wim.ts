/**
 * `stowage wim`: the commands of wimlib-imagex. Only the module of the given command is loaded, to save time at
 * startup.
 */
import { withSession } from './session.js'
import type { AnyWimCommand } from './wim/command.js'
import { checkOperands, misuse, parseWords } from './wim/parse.js'

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

/** The command of this name. Throws INVALID_ARGUMENT. */
export async function wimCommandOf(name: string): Promise<AnyWimCommand> {
  const load = Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined
  if (load) return load()
  throw misuse(`Unknown command: wim ${name}`, undefined)
}

/** Runs `stowage wim …`; `argv` holds the arguments after `wim`. Errors pass through to main(), which prints them. */
export async function runWim(argv: readonly string[]): Promise<void> {
  const at = argv.findIndex((word, n) => !word.startsWith('-') && argv[n - 1] !== '--progress')
  const command = at < 0 ? undefined : await wimCommandOf(argv[at] ?? '')
  const { values, operands } = parseWords(at < 0 ? argv : argv.toSpliced(at, 1), command)
  if (values['help'] === true) {
    const { helpOf } = await import('./wim/help.js')
    process.stdout.write(await helpOf(command, WIM_COMMANDS))
    return
  }
  if (values['version'] === true) {
    const { thisGenerator } = await import('../generator.js')
    process.stdout.write(`${thisGenerator().version}\n`)
    return
  }
  if (!command) throw misuse('Name a command of "stowage wim".', undefined)
  checkOperands(operands, command)
  const ignoreCase = await setUpCase(values)
  await withSession(values, session => command.run({ ...values, ignoreCase }, operands, session))
}

/** Sets whether libwim ignores case in image paths, which it must know before it opens a WIM. Returns the setting. */
async function setUpCase(values: Readonly<Record<string, unknown>>): Promise<boolean> {
  const [ignore, respect] = [values['ignore-case'] === true, values['no-ignore-case'] === true]
  if (ignore && respect) throw misuse('--ignore-case and --no-ignore-case cannot be used together', undefined)
  const settings: Readonly<Record<string, boolean>> = { 1: true, yes: true, 0: false, no: false }
  const ignoreCase = ignore ? true : respect ? false : settings[process.env['WIMLIB_IMAGEX_IGNORE_CASE'] ?? '']
  if (ignoreCase === undefined) return process.platform === 'win32'
  const { setUpWimlib } = await import('../wim/binding.js')
  setUpWimlib({ ignoreCase })
  return ignoreCase
}
