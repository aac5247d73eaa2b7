/** HTML in which text from outside stays text. */

/** Markup that may stand in a page as it is. */
export interface Html {
  readonly markup: string
}

type Part = Html | string | number | false | undefined | readonly Part[]

/** Characters that would change the order of what is around them, or that HTML cannot hold. */
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]/g
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
const SPECIAL = /[&<>"'`]/g
const NAMES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
}

const literalsOf = new WeakMap<TemplateStringsArray, readonly string[]>()

/**
 * A template tag: what is inserted is text, for content and for quoted attributes, unless it is {@link Html}. `false` and
 * undefined are nothing, and lists are what is in them. The source is laid out as it is read best: of a line break and
 * the indentation around it, the break is left.
 */
export function html(template: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const literals = literalsOf.get(template) ?? template.map(laidOut)
  literalsOf.set(template, literals)
  let markup = literals[0] ?? ''
  parts.forEach((part, n) => (markup += markupOf(part) + (literals[n + 1] ?? '')))
  return { markup }
}

/** Text without what cannot be seen or would turn others around: that is written as its number, `[U+202E]`. */
export function visible(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(UNSEEN, numbered).replace(LONE, numbered)
}

/** At most `most` characters of it, and how many there are. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text
  return `${text.slice(0, most).replace(/[\ud800-\udbff]$/, '')} … (${text.length} characters)`
}

function laidOut(literal: string): string {
  return literal.replaceAll(/\s*\n\s*(?=\/?>)/g, '').replaceAll(/\s*\n\s*/g, '\n')
}

function markupOf(part: Part): string {
  if (part === undefined || part === false) return ''
  if (typeof part === 'number') return String(part)
  if (typeof part === 'string') return visible(part).replace(SPECIAL, character => NAMES[character] ?? '')
  if ('markup' in part) return part.markup
  return part.map(markupOf).join('')
}

function numbered(character: string): string {
  return `[U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}]`
}
