/** Answers command lines that ask for help or for the version. */
import { compressors, compressorsText } from '../../compressors.js'
import { thisGenerator } from '../../generator.js'
import { pageText } from './layout.js'
import { unknownCommand } from './mistakes.js'
import { helpPageOf } from './page.js'
import { painter } from './paint.js'
import { resolveCommand } from './resolve.js'

/**
 * Prints the help or the version on stdout if `argv`, the words after `stowage`, ask for it, and says whether they do.
 * Throws INVALID_ARGUMENT if they ask for help on a command that does not exist.
 */
export async function answerRequest(argv: readonly string[]): Promise<boolean> {
  const words = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  const asked = words.some(word => word === '--help' || word === '-h')
  const named = words.filter(word => word !== '--help' && word !== '-h')
  const { path, found, rest, unknown } = resolveCommand(named)
  if (unknown === 'help' || (unknown !== undefined && asked)) {
    await printHelp(unknown === 'help' ? [...path, ...rest.slice(rest.indexOf('help') + 1)] : [...path, unknown])
    return true
  }
  if (unknown !== undefined) return false
  if (asked || (found.type === 'command' && rest.length === 1 && rest[0] === 'help')) {
    await printHelp(path)
    return true
  }
  if (await isVersionAsked(rest, found)) {
    printVersion()
    return true
  }
  if (found.type === 'command' || rest.some(word => word.startsWith('-'))) return false
  await printHelp(path)
  return true
}

/** Prints the help of a command, of `stowage` itself if `words` is empty. Throws INVALID_ARGUMENT for an unknown one. */
export async function printHelp(words: readonly string[]): Promise<void> {
  const { path, unknown } = resolveCommand(words.filter(word => !word.startsWith('-') && word !== 'help'))
  if (unknown !== undefined) throw unknownCommand(unknown, path)
  const { isTTY, columns } = process.stdout
  const width = Number(process.env['COLUMNS']) || (isTTY ? columns : 0) || 80
  process.stdout.write(pageText(await helpPageOf(path), { width, paint: painter(process.stdout) }))
}

/** Prints the version of Stowage, and below it the releases of what the addon compresses with. */
export function printVersion(): void {
  process.stdout.write(`${thisGenerator().version}\n${addonText()}\n`)
}

function addonText(): string {
  try {
    return compressorsText(compressors())
  } catch {
    return 'no native addon'
  }
}

/** An option of the command itself comes first: the --version of `find` is that of an image. */
async function isVersionAsked(
  rest: readonly string[],
  found: ReturnType<typeof resolveCommand>['found'],
): Promise<boolean> {
  const names = found.type === 'group' ? ['--version', '-v'] : ['--version']
  if (!rest.some(word => names.includes(word))) return false
  if (found.type === 'group' || !('load' in found.listed)) return true
  return !('version' in ((await found.listed.load()).options ?? {}))
}
