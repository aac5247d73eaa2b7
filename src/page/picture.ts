/** The picture of a page: every image as a bar of its layers, with what they share in the same color, under one letter. */
import { html, type Html } from './html.js'
import { LETTERED } from './contents.js'
import type { Bar, BarLayer, SharedPart, Sharing } from './sharing.js'
import { COLORS, PATTERNS } from './style.js'
import { breakable, numberOf, sizeWords } from './words.js'

/** How wide a layer is at least, in percent of the widest bar: it has to be seen. */
const LEAST = 0.3
/** What a letter needs. */
const LETTER_ROOM = 3.5
const HEIGHT = 30

/** The figure with its list of parts and the table that says the same; undefined if there is nothing to draw. */
export function picture(sharing: Sharing, linked: number): Html | undefined {
  const { bars, all, parts } = sharing
  if (bars.every(({ layers }) => layers.length === 0)) return undefined
  const systems = [...new Set(bars.map(({ os }) => os))]
  return html`<section aria-labelledby="layers">
    <h2 id="layers">Layers</h2>
    <p>
      ${summary(sharing)}${
        all > bars.length && ` The picture shows the ${bars.length} largest of ${numberOf(all, 'image')}.`
      }
    </p>
    <figure>
      ${patterns(parts)} ${systems.map(os => system(bars, os, systems.length > 1, linked))} ${legend(sharing)}
    </figure>
    ${table(sharing)}
  </section> `
}

/** How much there is, and how much of it is shared. */
function summary({ apart, together, left }: Sharing): string {
  if (left > 0)
    return `The images have layers of ${sizeWords(together)}, each numberOf once. Of that, ${sizeWords(left)} are not in this bundle: its destination has them.`
  if (apart === together) return 'No two images share a layer.'
  return `Layers that several images share are stored once: they take ${sizeWords(together)} instead of ${sizeWords(apart)}.`
}

/** All bars of one system, which have a scale of their own: images for Windows are often a hundred times as large. */
function system(all: readonly Bar[], os: string, several: boolean, linked: number): Html {
  const bars = all.filter(bar => bar.os === os)
  const widest = bars.reduce((most, bar) => Math.max(most, widthOf(bar, 1).total), 0)
  const largest = bars.reduce((most, { size }) => Math.max(most, size), 0)
  const scale = several
    ? html`<h3 class="system">${titleOf(os)} <small>full width: ${sizeWords(largest)}</small></h3> `
    : ''
  return html`${scale}
    <ul class="bars">
      ${bars.map(bar => row(bar, all.indexOf(bar), 100 / widest, linked))}
    </ul> `

  function widthOf({ layers }: Bar, factor: number): { readonly widths: readonly number[]; readonly total: number } {
    const most = Math.max(1, ...bars.map(({ size }) => size))
    const widths = layers.map(({ size }) => Math.max(LEAST, (size / most) * 100) * factor)
    return { widths, total: widths.reduce((sum, width) => sum + width, 0) }
  }

  function row(bar: Bar, n: number, factor: number, linked: number): Html {
    const { widths } = widthOf(bar, factor)
    const name =
      bar.image < linked
        ? html`<a href="#image-${bar.image + 1}">${breakable(bar.name)}</a>`
        : html`${breakable(bar.name)}`
    return html`<li>
      <p class="bar-name">
        ${name} <span>${breakable(bar.platform)}</span> <span class="size">${sizeWords(bar.size)}</span>
      </p>
      <svg class="bar" role="img" aria-labelledby="bar-${n} bar-${n}-parts" width="100%" height="${HEIGHT}">
        <title id="bar-${n}">Layers of ${bar.name}, ${bar.platform}</title>
        <desc id="bar-${n}-parts">${partsText(bar)}</desc>
        ${segments(bar.layers, widths)}
      </svg>
    </li> `
  }
}

/** The layers from left to right, the base first; a letter stands once in each run of layers of one part. */
function segments(layers: readonly BarLayer[], widths: readonly number[]): Html {
  const rects: Html[] = []
  const letters: Html[] = []
  let at = 0
  let run: { readonly part: SharedPart; readonly start: number } | undefined
  const endRun = (): void => {
    if (run?.part.letter !== undefined && at - run.start >= LETTER_ROOM) {
      const middle = percent((run.start + at) / 2)
      letters.push(html`<text class="t${run.part.rank % COLORS}" x="${middle}" y="20">${run.part.letter}</text>`)
    }
    run = undefined
  }
  layers.forEach(({ part, left }, n) => {
    if (run && run.part !== part) endRun()
    if (part && !run) run = { part, start: at }
    const box = html`x="${percent(at)}" width="${percent(widths[n] ?? 0)}" height="${HEIGHT}"`
    rects.push(html`<rect class="${fillOf(part)}" ${box} />`)
    if (part?.letter !== undefined && part.rank % PATTERNS.length > 0)
      rects.push(html`<rect fill="url(#p${part.rank})" ${box} />`)
    if (left) rects.push(html`<rect class="left" ${box} />`)
    at += widths[n] ?? 0
    if (n < layers.length - 1) rects.push(html`<rect class="cut" x="${percent(at)}" width="1" height="${HEIGHT}" />`)
  })
  endRun()
  return html`${rects}${letters}`
}

/** One pattern for each part that has one: the strokes have the color of its letter. */
function patterns(parts: readonly SharedPart[]): Html {
  const made = parts.map(({ rank }) => {
    const pattern = PATTERNS[rank % PATTERNS.length]
    if (!pattern) return undefined
    return html`<pattern id="p${rank}" class="s${rank % COLORS}" width="8" height="8" patternUnits="userSpaceOnUse"
      >${{ markup: pattern }}</pattern
    >`
  })
  return html`<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false">
    <defs>${made.map(each => each)}</defs>
  </svg>`
}

function legend({ bars, parts }: Sharing): Html {
  const layers = bars.flatMap(bar => bar.layers)
  const others = layers.some(({ part }) => part && part.letter === undefined)
  const item = (swatch: Html, words: string): Html => html`<li>${swatch}<span>${words}</span></li> `
  return html`<figcaption>
    <ul class="legend">
      ${parts.map(part => item(swatch(part), `${numberOf(part.layers, 'layer')}, ${sizeWords(part.size)}, in ${numberOf(part.users, 'image')}`))}${
        others && item(box('more'), 'other shared layers')
      }${layers.some(({ part }) => !part) && item(box('own'), 'only in one image')}${
        layers.some(({ left }) => left) && item(box('own', true), 'not in this bundle: its destination has it')
      }
    </ul>
  </figcaption> `
}

function swatch({ rank, letter = '' }: SharedPart): Html {
  const pattern = rank % PATTERNS.length > 0 && html`<rect fill="url(#p${rank})" width="100%" height="24" />`
  return html`<svg class="swatch" width="34" height="24" role="img" aria-label="${letter}">
    <rect class="c${rank % COLORS}" width="100%" height="24" />
    ${pattern}
    <text class="t${rank % COLORS}" x="50%" y="17">${letter}</text>
  </svg>`
}

function box(fill: string, left = false): Html {
  return html`<svg class="swatch" width="34" height="24" aria-hidden="true" focusable="false">
    <rect class="${fill}" width="100%" height="24" />
    ${left && html`<rect class="left" width="100%" height="24" />`}
  </svg>`
}

/** The same as text, a row for each bar. */
function table({ bars, parts }: Sharing): Html {
  const total = (layers: readonly BarLayer[]): number => layers.reduce((sum, { size }) => sum + size, 0)
  return html`<details>
    <summary>The picture as a table</summary>
    <table class="stack">
      <caption>
        Layers of each image, in order,
        ${parts.length > 0 ? 'with the letters of those that others have too' : 'base first'}
      </caption>
      <thead>
        <tr>
          <th scope="col">Image</th>
          <th scope="col">Platform</th>
          <th scope="col">Shared layers</th>
          <th scope="col" class="number">Its own layers</th>
          <th scope="col" class="number">Together</th>
        </tr>
      </thead>
      <tbody>
        ${bars.map(
          bar =>
            html`<tr>
              <th scope="row">${breakable(bar.name)}</th>
              <td data-label="Platform">${breakable(bar.platform)}</td>
              <td data-label="Shared layers">${lettersOf(bar.layers) || '–'}</td>
              <td data-label="Its own layers" class="number">
                ${sizeWords(total(bar.layers.filter(({ part }) => !part)))}
              </td>
              <td data-label="Together" class="number">${sizeWords(bar.size)}</td>
            </tr> `,
        )}
      </tbody>
    </table>
  </details> `
}

/** `A, B, others`. */
function lettersOf(layers: readonly BarLayer[]): string {
  const parts = [...new Set(layers.flatMap(({ part }) => part ?? []))].sort((a, b) => a.rank - b.rank)
  return [...new Set(parts.map(({ letter, size }) => (letter ? `${letter} (${sizeWords(size)})` : 'others')))].join(
    ', ',
  )
}

function partsText({ layers, size }: Bar): string {
  const shared = lettersOf(layers)
  return `${numberOf(layers.length, 'layer')}, ${sizeWords(size)}. ${shared ? `Shared with other images: ${shared}.` : 'None is shared with another image.'}`
}

function fillOf(part: SharedPart | undefined): string {
  if (!part) return 'own'
  return part.rank < LETTERED ? `c${part.rank % COLORS}` : 'more'
}

function titleOf(os: string): string {
  return os.slice(0, 1).toUpperCase() + os.slice(1, 40)
}

function percent(value: number): string {
  return `${Number(value.toFixed(2))}%`
}
