/** Draws docs/journey.svg, the picture of the README: `node scripts/journey.mjs` writes it, a test compares it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const FILE = join(import.meta.dirname, '..', 'docs', 'journey.svg')
const [WIDTH, HEIGHT] = [880, 330]
const LINE = 19

/** The three places, from left to right. */
const PLACES = [
  {
    title: 'Connected machine',
    x: 20,
    ends: ['registry', 'Docker Engine', 'OCI layout', 'docker archive', 'Windows WIM'],
    command: 'stowage pack',
    says: ['one bundle: a directory', 'or a tar, checksummed'],
  },
  {
    title: 'Security desk',
    x: 320,
    ends: [],
    command: 'stowage verify',
    says: ['or sha256sum -c,', 'without Stowage'],
  },
  {
    title: 'Disconnected host',
    x: 620,
    ends: ['Docker Engine', 'registry', 'OCI layout', 'docker archive', 'Windows WIM'],
    command: 'stowage load',
    says: ['sends what is missing,', 'then proves it is whole'],
  },
]
const PLACE_WIDTH = 240

/** The picture as SVG. It has colours of its own for dark pages. */
export function journey() {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-labelledby="title">
<title id="title">Images from registries, engines, layouts, archives and WIM files are packed into a bundle on a connected machine, verified at the security desk, and loaded on a disconnected host.</title>
<style>
text { font: 14px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 16px }
.command { font: 600 15px ui-monospace, monospace; fill: #0550ae }
.small { fill: #59636e }
.place { fill: #f6f8fa; stroke: #d1d9e0 }
.end { fill: #ffffff; stroke: #d1d9e0 }
.way { stroke: #0550ae; stroke-width: 2; fill: none }
.head { fill: #0550ae }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.command { fill: #79c0ff }
.small { fill: #9198a1 }
.place { fill: #161b22; stroke: #3d444d }
.end { fill: #0d1117; stroke: #3d444d }
.way { stroke: #79c0ff }
.head { fill: #79c0ff }
}
</style>
${PLACES.map(place).join('\n')}
${way(PLACES[0], PLACES[1])}
${way(PLACES[1], PLACES[2])}
</svg>
`
}

function place({ title, x, ends, command, says }) {
  const middle = x + PLACE_WIDTH / 2
  const parts = [
    `<rect class="place" x="${x}" y="20" width="${PLACE_WIDTH}" height="${HEIGHT - 40}" rx="10"/>`,
    text(middle, 50, title, 'title'),
    text(middle, 236, command, 'command'),
    ...says.map((line, n) => text(middle, 262 + n * LINE, line, 'small')),
  ]
  ends.forEach((name, n) => {
    const y = 66 + n * 29
    parts.push(`<rect class="end" x="${x + 40}" y="${y}" width="${PLACE_WIDTH - 80}" height="24" rx="6"/>`)
    parts.push(text(middle, y + 17, name))
  })
  if (ends.length === 0) parts.push(stick(middle))
  return parts.join('\n')
}

/** A stick with its plug to the right. */
function stick(middle) {
  return [
    `<rect class="end" x="${middle - 75}" y="110" width="110" height="44" rx="8"/>`,
    `<rect class="end" x="${middle + 35}" y="119" width="36" height="26"/>`,
    text(middle - 20, 137, 'bundle'),
  ].join('\n')
}

/** An arrow at the height of the commands, from one place to the next. */
function way(from, to) {
  const [start, end] = [from.x + PLACE_WIDTH + 6, to.x - 6]
  return [`<path class="way" d="M${start} 132H${end - 8}"/>`, `<path class="head" d="M${end} 132l-12-7v14z"/>`].join(
    '\n',
  )
}

function text(x, y, words, kind) {
  return `<text ${kind ? `class="${kind}" ` : ''}x="${x}" y="${y}" text-anchor="middle">${words}</text>`
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href)
  writeFileSync(FILE, journey())
