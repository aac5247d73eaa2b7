/** Sizes, counts, times and digests as a page says them. */
import { formatSize } from '../size-text.js'
import { html, type Html, shortened } from './html.js'
import { SHOWN } from './contents.js'

/** `412 MB`, which does not break across lines. */
export function sizeWords(bytes: number): string {
  return formatSize(bytes).replace(/([kMGTP]?B)$/, '\u00a0$1')
}

/** `412 MB (412345678 bytes)`. */
export function exactWords(bytes: number): string {
  return bytes < 1000 ? `${bytes}\u00a0bytes` : `${sizeWords(bytes)} (${bytes}\u00a0bytes)`
}

/** `1 layer`, `5 layers`. */
export function numberOf(count: number, one: string, many = `${one}s`): string {
  return `${count}\u00a0${count === 1 ? one : many}`
}

const MOMENT = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/

/** In UTC, whatever zone it was written in; what is no time is shown as it is. `short`: the day only. */
export function moment(text: string, short = false): Html {
  const time = MOMENT.test(text) ? new Date(text.replace(' ', 'T')).getTime() : NaN
  if (Number.isNaN(time)) return html`${shortened(text, 60)}`
  const iso = new Date(time).toISOString().replace('.000Z', 'Z')
  return html`<time>${short ? iso.slice(0, iso.indexOf('T')) : iso}</time>`
}

/** A digest in full, which may break anywhere. */
export function hash(digest: string): Html {
  return html`<code class="hash">${digest}</code>`
}

/** Text of an image, as much of it as has room, with its lines, in the direction that it has. */
export function said(text: string): Html {
  return html`<bdi>${shortened(text, SHOWN.text)}</bdi>`
}

/** What an address names, as a link only if it leads to the web. */
export function address(text: string): Html {
  if (text.length > SHOWN.text || !/^https?:\/\/[^\s"'<>`\\]+$/.test(text) || !URL.canParse(text)) return said(text)
  return html`<a href="${text}" rel="noreferrer noopener nofollow"><bdi>${text}</bdi></a>`
}

/** A name or a platform, which breaks at its parts rather than within them. */
export function breakable(text: string): Html {
  return html`<bdi
    >${text.split(/(?<=[/:@,])/).map((part, n) => (n === 0 ? html`${part}` : html`<wbr />${part}`))}</bdi
  >`
}

export interface Fact {
  readonly name: string
  readonly value: Html | undefined
}

/** A list of names and values; those without a value are left out. */
export function facts(list: readonly Fact[], style = 'facts'): Html | undefined {
  const known = list.filter(({ value }) => value !== undefined)
  if (known.length === 0) return undefined
  const rows = known.map(
    ({ name, value }) =>
      html`<div>
        <dt>${name}</dt>
        <dd>${value}</dd>
      </div> `,
  )
  return html`<dl class="${style}">${rows}</dl> `
}
