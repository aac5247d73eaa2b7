/** Parses the text files that WIM commands read: encodings, lines, and the words of a line. */
import { StowageError } from '../errors.js'

/** A line that is neither empty nor a comment. */
export interface TextLine {
  /** From 1. */
  readonly number: number
  readonly words: readonly Word[]
}

export interface Word {
  readonly text: string
  /** Whether it was in quotes. */
  readonly quoted: boolean
}

const QUOTES = ['"', "'"]

/**
 * Decodes UTF-8, or UTF-16LE if the text begins with that byte order mark, which is removed. Unpaired surrogates that
 * are encoded like characters are kept, because names in WIM images may contain them.
 */
export function decodeText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length >= 2 && buffer.readUInt16LE() === 0xfeff) return buffer.toString('utf16le', 2)
  let [text, start] = ['', 0]
  for (let at = buffer.indexOf(0xed); at >= 0; at = buffer.indexOf(0xed, at + 1)) {
    const [second = 0, third = 0] = buffer.subarray(at + 1, at + 3)
    if (second < 0xa0 || second > 0xbf || third < 0x80 || third > 0xbf) continue
    text += buffer.toString('utf8', start, at) + String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f))
    start = at + 3
  }
  return `${text}${buffer.toString('utf8', start)}`.replace(/^\ufeff/, '')
}

/** Encodes `text` as UTF-8, with unpaired surrogates encoded like characters. */
export function encodeText(text: string): string | Uint8Array {
  if (!/\p{Surrogate}/u.test(text)) return text
  const pieces = text.split(/(\p{Surrogate})/u)
  return Buffer.concat(
    pieces.map((piece, n) => {
      if (n % 2 === 0) return Buffer.from(piece)
      const unit = piece.charCodeAt(0)
      return Buffer.from([0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f)])
    }),
  )
}

/**
 * The lines of `text` that are neither empty nor comments, which begin with `#` or `;`. Words are separated by white
 * space. A word that begins with a single or double quote ends at the next quote of the same kind; quotes cannot be
 * escaped. Throws INVALID_ARGUMENT naming `file` and the line.
 */
export function linesOf(text: string, file: string): TextLine[] {
  const lines = text.split('\n').map((line, n) => ({ number: n + 1, words: wordsOf(line, `${file}, line ${n + 1}`) }))
  return lines.filter(({ words }) => words.length > 0)
}

function wordsOf(line: string, place: string): Word[] {
  const words: Word[] = []
  let rest = trimmed(line)
  if (rest.startsWith('#') || rest.startsWith(';')) return words
  while (rest !== '') {
    const quote = QUOTES.find(mark => rest.startsWith(mark))
    const end = quote ? rest.indexOf(quote, 1) : rest.search(/[ \t\v\f\r]|$/)
    if (end < 0) throw new StowageError('INVALID_ARGUMENT', `${place}: there is no closing quote for ${rest}`)
    words.push({ text: rest.slice(quote ? 1 : 0, end), quoted: quote !== undefined })
    rest = trimmed(rest.slice(quote ? end + 1 : end))
  }
  return words
}

function trimmed(text: string): string {
  return text.replace(/^[ \t\v\f\r]+/, '')
}
