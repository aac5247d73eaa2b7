/** Lays out the page of a command as text for a terminal. */
import type { Line, HelpPage } from './page.js'
import type { Style } from './paint.js'

export interface Layout {
  /** Columns of the terminal. */
  readonly width: number
  readonly paint: (style: Style, text: string) => string
}

const INDENT = '  '
const GAP = '  '
/** Below this many columns a text starts under its name. */
const LEAST_TEXT = 30
const NARROWEST = 30

export function pageText(page: HelpPage, { width: wanted, paint }: Layout): string {
  const width = Math.max(wanted, NARROWEST)
  const heading = (title: string): string => `${paint('bold', `${title}:`)}\n`
  const sections = page.sections
    .filter(({ lines }) => lines.length > 0)
    .map(({ title, lines }) => {
      const column = nameColumn(lines, width)
      return heading(title) + lines.map(line => lineText(line, { column, width, paint })).join('')
    })
  const examples = page.examples.map(([line, meaning]) => `${INDENT}${line}\n${wrapped(meaning, width, 6)}`)
  return [
    wrapped(page.synopsis, width, 0, 4),
    wrapped(page.describe, width, 0),
    ...sections,
    ...(examples.length === 0 ? [] : [heading('Examples') + examples.join('')]),
    ...page.closing.map(paragraph => wrapped(paragraph, width, 0)),
  ].join('\n')
}

/** The width of the column of names: that of most of them, not of the longest. */
function nameColumn(lines: readonly Line[], width: number): number {
  const most = Math.min(Math.floor(width * 0.36), 34)
  return Math.max(4, ...lines.map(({ name }) => name.length).filter(length => length <= most))
}

function lineText({ name, text }: Line, { column, width, paint }: Layout & { readonly column: number }): string {
  const indent = INDENT.length + column + GAP.length
  if (width - indent < LEAST_TEXT) return `${INDENT}${paint('cyan', name)}\n${wrapped(text, width, 8)}`
  if (name.length > column) return `${INDENT}${paint('cyan', name)}\n${wrapped(text, width, indent)}`
  const padding = ' '.repeat(column - name.length)
  return `${INDENT}${paint('cyan', name)}${padding}${GAP}${wrapped(text, width, indent).trimStart()}`
}

/** `text` in lines of at most `width` columns, of which `indent` are blank. A longer word has a line of its own. */
function wrapped(text: string, width: number, indent: number, hanging = indent): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    const room = width - (lines.length === 0 ? indent : hanging)
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].map((each, n) => `${' '.repeat(n === 0 ? indent : hanging)}${each}\n`).join('')
}
