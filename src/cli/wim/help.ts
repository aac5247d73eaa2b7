/** The output of `stowage wim COMMAND --help`, laid out by yargs, which is loaded only for this. */
import yargs, { type Options } from 'yargs'
import type { AnyWimCommand } from './command.js'
import { optionsOf } from './parse.js'

/** The help for `command`, or for `stowage wim` itself. */
export async function helpOf(command: AnyWimCommand | undefined, commands: readonly string[]): Promise<string> {
  const parser = yargs([])
    .help(false)
    .version(false)
    .scriptName(command ? `stowage wim ${command.name}` : 'stowage wim')
    .usage(command ? `$0 ${command.operands}\n\n${command.describe}` : overview(commands))
    .options(
      Object.fromEntries(
        Object.entries(optionsOf(command)).map(([name, { kind, describe, alias, choices }]) => {
          const type = kind === 'flag' ? 'boolean' : 'string'
          const shown: Options = { describe, alias, type, array: kind === 'values', choices }
          return [name, shown]
        }),
      ),
    )
    .detectLocale(false)
    .wrap(Math.min(110, process.stdout.columns ?? 110))
  for (const [line, meaning] of command?.examples ?? []) parser.example(`stowage wim ${line}`, meaning)
  return `${await parser.getHelp()}\n`
}

function overview(commands: readonly string[]): string {
  return [
    '$0 <command>',
    'WIM files, with the commands and options of wimlib-imagex.',
    `Commands: ${commands.join(', ')}.`,
    'For help on a command: stowage wim capture --help',
  ].join('\n\n')
}
