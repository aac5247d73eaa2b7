import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import type { PageContents } from '../../src/page/contents.js'
import { html, shortened, visible } from '../../src/page/html.js'
import { renderPage } from '../../src/page/page.js'
import { address, moment } from '../../src/page/words.js'
import { delta, desk, HOSTILE, hostile, many, single, volumes } from '../support/page-samples.js'

function textOf(contents: PageContents): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(renderPage(contents))
}

/** Every element and attribute that the page may have; anything else came from outside. */
const TAG = /<(!DOCTYPE html|\/?[a-z0-9]+(?:\s[a-z-]+(?:="[^"<>]*")?)*(?:\s?\/)?)>/y
const ELEMENTS =
  /^\/?(html|head|meta|title|style|body|a|header|p|h[1-4]|nav|ul|ol|li|main|section|table|caption|thead|tbody|tr|th|td|bdi|wbr|br|figure|figcaption|svg|defs|pattern|path|circle|rect|text|desc|small|span|details|summary|pre|code|div|dl|dt|dd|article|time|footer)$/
const ATTRIBUTES =
  /^(lang|charset|http-equiv|content|name|class|id|href|rel|aria-[a-z]+|role|tabindex|scope|data-label|width|height|x|y|r|cx|cy|d|fill|stroke-width|patternunits|datetime|focusable)$/i

/** The tags of a page, which it is taken apart into. Throws for a `<` that begins none of them. */
function tagsOf(page: string): readonly string[] {
  const tags: string[] = []
  const [style = ''] = /<style>[^]*?<\/style>/.exec(page) ?? []
  const plain = page.replace(style, '<style></style>').replaceAll(/(patternUnits)/g, 'patternunits')
  for (let at = plain.indexOf('<'); at >= 0; at = plain.indexOf('<', at + 1)) {
    TAG.lastIndex = at
    const [, tag] = TAG.exec(plain) ?? []
    if (tag === undefined) throw new Error(`not a tag of a page: ${plain.slice(at, at + 80)}`)
    tags.push(tag)
    if (tag === '!DOCTYPE html') continue
    const [element = '', ...attributes] = tag.replace(/\s?\/$/, '').match(/^\S+|[a-z-]+(?:="[^"]*")?/g) ?? []
    if (!ELEMENTS.test(element)) throw new Error(`an element <${element}>`)
    for (const attribute of attributes) {
      const [name = ''] = attribute.split('=')
      if (!ATTRIBUTES.test(name)) throw new Error(`an attribute ${attribute}`)
    }
  }
  return tags
}

t.test('renderPage() writes only its own elements and attributes', async t => {
  for (const contents of [desk(), single(), delta(), volumes(), many(40), hostile()]) tagsOf(textOf(contents))
  t.pass()
})

t.test('renderPage() writes only its own elements and attributes, whatever the texts are', async t => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string(),
    fc.constantFrom(...HOSTILE),
    fc.array(fc.constantFrom(...HOSTILE, '<', '>', '"', "'", '&', '\n', '=', ' ')).map(parts => parts.join('')),
    fc.array(fc.integer({ min: 0, max: 0xffff }).map(unit => String.fromCharCode(unit))).map(units => units.join('')),
  )
  fc.assert(
    fc.property(text, text, text, (one, two, three) => {
      const base = hostile()
      const [first, ...rest] = base.images
      if (!first || base.place.type !== 'bundle') throw new Error('the sample has no image')
      const platforms = first.platforms.map(platform => ({
        ...platform,
        platform: { os: one, architecture: two, 'os.version': three },
        labels: { [one]: two, 'org.opencontainers.image.source': three, [`x${three}`]: one },
        created: two,
        author: three,
        history: platform.layers.map(() => ({ createdBy: one, emptyLayer: false })),
      }))
      const files = [{ path: one, size: 1, digest: two }]
      const page = textOf({
        ...base,
        images: [{ ...first, platforms }, ...rest],
        place: { ...base.place, created: one, keys: [two], files },
      })
      const links = tagsOf(page).filter(tag => tag.startsWith('a '))
      return links.every(link => /^a\s(class="skip" )?href="(#[a-z0-9-]+|https?:\/\/[^"]*)"/.test(link))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('renderPage() shows hostile text as text', async t => {
  const page = textOf(hostile())
  const shown = page
    .replaceAll(/<[^>]*>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&#96;', '`')
    .replaceAll('&amp;', '&')
  t.same(
    HOSTILE.filter(text => !shown.includes(visible(text))),
    [],
  )
  t.ok(shown.includes('(60000 characters)'))
  t.notMatch(page, /href="(?!#|https:\/\/docs\.example\/page"|https:\/\/layers\.example\/1")/)
  t.notMatch(page, /[\u0000\u202a-\u202e\u2066-\u2069\ufffd]/)
})

t.test('a page may have its own style, and nothing else', async t => {
  const page = textOf(desk())
  const style = /<style>([^]*?)<\/style>/.exec(page)?.[1] ?? ''
  const hash = createHash('sha256').update(style).digest('base64')
  const policy = `default-src 'none'; style-src &#39;sha256-${hash}&#39;; base-uri 'none'; form-action 'none'`
  t.ok(page.includes(`content="${policy.replaceAll("'none'", '&#39;none&#39;')}"`))
  t.notMatch(page, / style=|<script|<link|<img|<iframe|url\((?!#)|@import/)
})

t.test('renderPage() gives the same bytes in every time zone and locale', async t => {
  const before = renderPage(desk())
  const { TZ, LC_ALL } = process.env
  process.env['TZ'] = 'Pacific/Kiritimati'
  process.env['LC_ALL'] = 'tr_TR.UTF-8'
  t.teardown(() => Object.assign(process.env, { TZ: TZ ?? 'UTC', LC_ALL: LC_ALL ?? 'C' }))
  t.same(renderPage(desk()), before)
  t.match(textOf(desk()), /<time>2026-02-27T13:03:11\.482Z</)
})

t.test('renderPage() says what there is in its title', async t => {
  const title = (contents: PageContents): string | undefined => /<h1>(.*?)<\/h1>/s.exec(textOf(contents))?.[1]
  t.equal(title(desk()), '7\u00a0images, 2\u00a0files, 2.65\u00a0GB')
  t.equal(title(single()), '1\u00a0image, 57.4\u00a0MB')
  t.equal(title(many(40)), '40\u00a0images, 1.37\u00a0GB')
  t.equal(title({ ...single(), images: [], size: 0 }), 'No images, 0\u00a0B')
})

t.test('renderPage() puts what describes an image with the image', async t => {
  const page = textOf(desk())
  const [, shop = ''] = /<article[^>]*id="image-1"[^]*?<\/article>/.exec(page)?.[0].split('<h4>Signatures') ?? []
  t.match(shop, /SBOM \(SPDX\) of linux\/amd64/)
  t.match(shop, /build provenance \(SLSA\)/)
  t.match(shop, /signature or attestation \(Sigstore\)/)
})

t.test('the picture has what images share once, under the same letter', async t => {
  const page = textOf(desk())
  const letters = [...page.matchAll(/<svg class="bar"[^]*?<\/svg>/g)].map(([bar]) =>
    [...bar.matchAll(/<text[^>]*>([A-Z])<\/text>/g)].map(([, letter]) => letter).join(''),
  )
  t.same(letters, ['AB', '', 'AB', 'AC', 'AC', 'D', 'D', ''])
  t.match(page, /they take 2\.65\u00a0GB instead of 2\.94\u00a0GB/)
  t.match(page, /<caption>\s*Layers of each image/)
})

t.test('the picture shows the largest images, and says so', async t => {
  const page = textOf(many(60))
  t.equal([...page.matchAll(/class="bar"/g)].length, 40)
  t.match(page, /The picture shows the 40 largest of 60\u00a0images/)
})

t.test('the page about a delta says what is left out', async t => {
  const page = textOf(delta())
  t.match(page, /<h1>6\u00a0images, 118\u00a0MB<\/h1>/)
  t.match(page, /leaves out what its destination has/)
  t.match(page, /id="assumed"/)
  t.match(page, /docker-daemon:/)
  t.match(page, /docker\.io\/library\/postgres:16/)
  t.notMatch(page, /docker load -i/)
})

t.test('the page about volumes names them', async t => {
  const page = textOf(volumes())
  t.match(page, /stowage verify site-a\.tar\.001/)
  t.match(page, /sha256sum -c site-a\.volumes\.sha256/)
  t.match(page, /cat site-a\.tar\.0\* \| docker load/)
  t.match(page, /copy \/b site-a\.tar\.001\+site-a\.tar\.002\+site-a\.tar\.003 site-a\.tar/)
})

t.test('a page stays below 8 MiB, with a row for each of 10,000 images', async t => {
  const page = renderPage(many(10_000))
  t.ok(page.length < 8 * 1024 * 1024, `${page.length} bytes`)
  t.equal(Buffer.from(page).toString().split('<th scope="row">').length - 1, 10_000 + 40)
  const [image] = hostile().images
  if (!image) throw new Error('the sample has no image')
  const crowd = Array.from({ length: 200 }, (_, n) => ({ ...image, names: [`docker.io/library/evil:${n}`] }))
  t.ok(renderPage({ ...hostile(), images: crowd }).length < 8 * 1024 * 1024)
})

t.test('html`` escapes what is inserted, and lays out nothing but its own lines', async t => {
  const bad = '<b title="x">&\'`'
  t.equal(html`<p title="${bad}">${bad}</p>`.markup, `<p title="${ESCAPED}">${ESCAPED}</p>`)
  const lines = html`<div>
    <p>${'a\n  b'}</p>
  </div>`
  t.equal(lines.markup, '<div>\n<p>a\n  b</p>\n</div>')
  t.equal(html`<i>${['x<', html`<br />`, undefined, false, 3]}</i>`.markup, '<i>x&lt;<br />3</i>')
})

const ESCAPED = '&lt;b title=&quot;x&quot;&gt;&amp;&#39;&#96;'

t.test('visible() numbers what cannot be seen', async t => {
  t.equal(visible('a\u202eb\u0000c\ud800d\r\ne\u00ad'), 'a[U+202E]b[U+0000]c[U+D800]d\ne\u00ad')
  t.equal(visible('שלום 👩‍👩‍👧'), 'שלום 👩‍👩‍👧')
})

t.test('shortened() does not cut a character in two', async t => {
  t.equal(shortened('ab😀cd', 3), 'ab … (6 characters)')
  t.equal(shortened('abc', 3), 'abc')
})

t.test('address() links only to the web', async t => {
  t.match(address('https://a.example/b?c=d&e').markup, /^<a href="https:\/\/a\.example\/b\?c=d&amp;e" rel="noreferrer/)
  for (const text of [
    'javascript:alert(1)',
    ' https://a',
    'https://a b',
    'HTTPS://a',
    'http://',
    '//a',
    'data:,x',
    'https://"x',
  ])
    t.notMatch(address(text).markup, /<a/, text)
})

t.test('moment() takes only times with a zone', async t => {
  t.match(moment('2026-02-27T14:03:11+01:00').markup, />2026-02-27T13:03:11Z</)
  t.match(moment('2026-02-27T14:03:11Z', true).markup, />2026-02-27</)
  for (const text of ['2026-02-27 14:03', 'yesterday', '2026-99-99T00:00:00Z']) t.equal(moment(text).markup, text)
})

t.test('the page about a tar names it in its commands, if a shell takes the name as one word', async t => {
  const place = single().place
  if (place.type !== 'bundle') throw new Error('the sample is no bundle')
  const page = textOf({ ...single(), place: { ...place, tar: 'site-a.tar' } })
  t.match(page, /stowage load site-a\.tar</)
  t.match(page, /docker load -i site-a\.tar</)
  t.notMatch(page, /If it is a directory/)
  for (const tar of ['x;reboot.tar', '$(reboot).tar', '-rf.tar', 'a b.tar', "a'b.tar"]) {
    const other = textOf({ ...single(), place: { ...place, tar } })
    t.match(other, /docker load -i BUNDLE\.tar</)
    t.notOk(other.includes(tar))
  }
})
