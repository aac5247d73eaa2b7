/** The manual page `stowage(1)`, made from the same pages as the help. */
import { thisGenerator } from '../../generator.js'
import { type HelpPage, helpPageOf } from './page.js'
import { resolveCommand } from './resolve.js'

/** `date` is the day that the page shows, `2026-11-29`. */
export async function manualPage(date: string): Promise<string> {
  const paths = [[], ...pathsBelow([])]
  const pages = await Promise.all(paths.map(helpPageOf))
  const [program] = pages
  const about = escaped(program?.describe.replace(/\.$/, '') ?? '')
  return [
    `.TH STOWAGE 1 "${date}" "stowage ${thisGenerator().version}" "User Commands"\n`,
    `.SH NAME\nstowage \\- ${about}\n`,
    '.SH SYNOPSIS\n.B stowage\n.I COMMAND\n',
    ...pages.map((page, n) =>
      n === 0 ? `.SH COMMANDS\n${sectionsOf(page)}` : `.SH "${escaped(page.synopsis)}"\n${bodyOf(page)}`,
    ),
  ].join('')
}

function pathsBelow(path: readonly string[]): readonly (readonly string[])[] {
  const { found } = resolveCommand(path)
  if (found.type !== 'group') return []
  return Object.keys(found.commands).flatMap(name => [[...path, name], ...pathsBelow([...path, name])])
}

function bodyOf(page: HelpPage): string {
  return `${escaped(page.describe)}\n${sectionsOf(page)}`
}

function sectionsOf({ sections, examples, closing }: HelpPage): string {
  const lists = sections
    .filter(({ lines }) => lines.length > 0)
    .map(({ title, lines }) => {
      const items = lines.map(({ name, text }) => `.TP\n.B "${escaped(name.trim())}"\n${escaped(text)}\n`)
      return `.SS "${escaped(title)}"\n${items.join('')}`
    })
  const shown = examples.map(([line, meaning]) => `.TP\n.B "${escaped(line)}"\n${escaped(meaning)}\n`)
  const heading = shown.length === 0 ? '' : `.SS Examples\n`
  return `${lists.join('')}${heading}${shown.join('')}${closing.map(text => `.PP\n${escaped(text)}\n`).join('')}`
}

/** Text for roff: backslashes, hyphens that are dashes of options, quotes, and a dot or quote at the start of a line. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replace(/[^ -~]/gu, letter => `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`)
    .replace(/^[.']/, '\\&$&')
}
