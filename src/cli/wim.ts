/**
 * `stowage wim`: the commands of wimlib-imagex. Only the module of the given command is loaded, to save time at
 * startup.
 */
import { StowageError } from '../errors.js'
import { withSession } from './session.js'
import { WIM_COMMANDS } from './wim/commands.js'
import { checkOperands, parseWords } from './wim/parse.js'

/** Runs `stowage wim …`; `argv` holds the arguments after `wim`. Errors pass through to main(), which prints them. */
export async function runWim(argv: readonly string[]): Promise<void> {
  const at = argv.findIndex((word, n) => !word.startsWith('-') && argv[n - 1] !== '--progress')
  const name = argv[at]
  const listed = name !== undefined && Object.hasOwn(WIM_COMMANDS, name) ? WIM_COMMANDS[name] : undefined
  if (name === undefined || !listed) {
    const { answerRequest } = await import('./usage/request.js')
    if (await answerRequest(['wim', ...argv])) return
    throw await (await import('./usage/diagnose.js')).mistakeIn(['wim', ...argv])
  }
  const command = await listed.loadWim()
  const { values, operands } = parseWords(argv.toSpliced(at, 1), command)
  if (values['help'] === true || (operands.length === 1 && operands[0] === 'help')) {
    await (await import('./usage/request.js')).printHelp(['wim', name])
    return
  }
  if (values['version'] === true) {
    ;(await import('./usage/request.js')).printVersion()
    return
  }
  checkOperands(operands, command)
  const ignoreCase = await setUpCase(values)
  await withSession(values, session => command.run({ ...values, ignoreCase }, operands, session))
}

/** Sets whether libwim ignores case in image paths, which it must know before it opens a WIM. Returns the setting. */
async function setUpCase(values: Readonly<Record<string, unknown>>): Promise<boolean> {
  const [ignore, respect] = [values['ignore-case'] === true, values['no-ignore-case'] === true]
  if (ignore && respect) {
    throw new StowageError('INVALID_ARGUMENT', '--ignore-case and --no-ignore-case cannot be used together')
  }
  const settings: Readonly<Record<string, boolean>> = { 1: true, yes: true, 0: false, no: false }
  const ignoreCase = ignore ? true : respect ? false : settings[process.env['WIMLIB_IMAGEX_IGNORE_CASE'] ?? '']
  if (ignoreCase === undefined) return process.platform === 'win32'
  const { setUpWimlib } = await import('../wim/binding.js')
  setUpWimlib({ ignoreCase })
  return ignoreCase
}
