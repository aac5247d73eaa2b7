/** Color for a terminal, unless NO_COLOR, TERM=dumb or --no-color rules it out. */
import { styleText } from 'node:util'

export type Style = 'bold' | 'cyan' | 'red'

/** Colors text that is written to `stream`, or returns it as it is. */
export function painter(stream: NodeJS.WriteStream): (style: Style, text: string) => string {
  const colored = stream.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'
  return (style, text) => (colored ? styleText(style, text, { validateStream: false }) : text)
}

/** Takes --no-color, which may stand before and after the command, out of `words` and obeys it. */
export function withoutColor(words: readonly string[]): readonly string[] {
  const end = words.indexOf('--')
  const kept = words.filter((word, n) => word !== '--no-color' || (end >= 0 && n > end))
  if (kept.length < words.length) process.env['NO_COLOR'] = '1'
  return kept
}
