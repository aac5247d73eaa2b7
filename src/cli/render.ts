/** Formats text output: tables and sizes as docker prints them. */
import type { Loss } from '../layer/to-wim/losses.js'

/** Rows under a heading, in columns three spaces apart. Each cell is made printable and kept on one line. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [heading, ...rows].map(row => row.map(cell => printable(cell).replaceAll('\n', '\\n')))
  const widths = heading.map((_cell, n) => Math.max(...all.map(row => row[n]?.length ?? 0)))
  return all
    .map(
      row =>
        `${row
          .map((cell, n) => cell.padEnd(widths[n] ?? 0))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** `1 image`, `3 images`. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`
}

/** One line for each path that a conversion left out on request, and how many there are if there are several. */
export function skippedText(skipped: readonly string[]): string {
  const total = skipped.length > 1 ? `left out ${skipped.length} paths in all\n` : ''
  return printable(skipped.map(path => `left out: ${path}\n`).join('') + total)
}

/** Characters that change the direction of text or end a line unseen, such as U+202E. */
const DIRECTIONS = '\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069'
const UNSAFE = new RegExp(`[\\u0000-\\u0009\\u000b-\\u001f\\u007f-\\u009f${DIRECTIONS}]`, 'g')
const UNSAFE_IN_JSON = new RegExp(`[\\u007f-\\u009f${DIRECTIONS}]`, 'g')

/** Makes untrusted text safe for a terminal: escapes control characters except line feeds, and changes of direction. */
export function printable(text: string): string {
  return text.replace(UNSAFE, character =>
    character < '\u0100' ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`,
  )
}

/** JSON that is safe for a terminal: JSON.stringify escapes only control characters below U+0020. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(UNSAFE_IN_JSON, character => `\\u${hex(character, 4)}`)
}

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, '0')
}

/** One line for each kind of data that a conversion could not keep. */
export function lostText(lost: readonly Loss[]): string {
  return lost
    .map(({ what, count: number, paths }) => `not kept: ${number} × ${what} (${paths[0]}${number > 1 ? ', …' : ''})\n`)
    .join('')
}
