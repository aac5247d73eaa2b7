import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { renderPage } from '../../src/page/page.js'
import type { PageContents } from '../../src/page/contents.js'
import { type Look, overflowOf, RealBrowser, violationsOf } from '../support/browser.js'
import { delta, desk, HOSTILE, hostile, many, single, volumes } from '../support/page-samples.js'
import { visible } from '../../src/page/html.js'

const browser = await RealBrowser.launch()
t.teardown(async () => await browser[Symbol.asyncDispose]())

const SAMPLES: Readonly<Record<string, PageContents>> = {
  desk: desk(),
  single: single(),
  delta: delta(),
  volumes: volumes(),
  '40 images': many(40),
  hostile: hostile(),
  '300 images': many(300),
  location: { ...desk(), place: { type: 'location', location: 'docker://registry.example:5000/shop:2.3' } },
}
const WIDTHS = [360, 768, 1280]

for (const [name, contents] of Object.entries(SAMPLES)) {
  const html = renderPage(contents)
  const long = contents.images.length >= 40
  const looks: readonly Look[] = long
    ? [{ width: 360 }, { width: 1280, scheme: 'dark' }]
    : [
        ...WIDTHS.flatMap(width => (['light', 'dark'] as const).map(scheme => ({ width, scheme }))),
        { print: true },
        { print: true, scheme: 'dark' },
      ]
  t.test(`${name}: axe finds nothing, and nothing is wider than the window`, async t => {
    for (const look of looks) {
      await browser.show(html, { ...look, open: true }, async ({ page, deeds }) => {
        const at = JSON.stringify(look)
        t.same(await overflowOf(page), [], `overflow ${at}`)
        t.same(await violationsOf(page), [], `axe ${at}`)
        t.same(deeds, [], `deeds ${at}`)
      })
    }
  })

  t.test(`${name}: can be read without script, and folded`, async t => {
    for (const width of WIDTHS) {
      await browser.show(html, { width, script: false }, async ({ page, deeds }) => {
        const snapshot = await page.accessibility.snapshot()
        t.match(snapshot?.name, /container images/i)
        t.same(deeds, [])
      })
    }
  })
}

t.test('hostile text is shown and does nothing', async t => {
  const html = renderPage(hostile())
  await browser.show(html, { open: true }, async ({ page, deeds }) => {
    const { title, text, elements, links } = await page.evaluate(() => ({
      title: document.title,
      text: document.documentElement.textContent,
      elements: [
        ...document.querySelectorAll(
          'script,img,iframe,object,embed,link,form,base,[onerror],[onload],[onclick],[onmouseover]',
        ),
      ].length,
      links: [...document.querySelectorAll('a')].map(each => each.href.replace(/^file:.*#/, '#')),
    }))
    t.equal(title, '2\u00a0images, 17\u00a0files, 22\u00a0MB – Delta of container images')
    t.same(
      HOSTILE.filter(each => !text.includes(visible(each))),
      [],
    )
    t.equal(elements, 0)
    t.same([...new Set(links)].filter(link => !link.startsWith('#')).sort(), [
      'https://docs.example/page',
      'https://layers.example/1',
    ])
    for (const element of await page.$$('summary, .image a[href^="#"]')) await element.click()
    await page.mouse.move(300, 300)
    t.same(deeds, [])
  })
})

t.test('its policy refuses what might get in anyway', async t => {
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.url)
    response.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // of a server that listens on a port
  const page = Buffer.from(renderPage(desk())).toString()
  const injected = `<script>document.title = 'script'</script><img src="http://127.0.0.1:${port}/x" onerror="document.title = 1">
<style>h1 { color: red }</style><p id="styled" style="color: red">x</p></main>`
  await browser.show(Buffer.from(page.replace('</main>', () => injected)), {}, async ({ page, deeds }) => {
    t.match(await page.title(), /images/)
    for (const place of ['h1', '#styled'])
      t.not(await page.$eval(place, each => getComputedStyle(each).color), 'rgb(255, 0, 0)')
    t.ok(deeds.filter(deed => /Content Security Policy/.test(deed)).length >= 4, 'each is refused')
    t.same(asked, [])
  })
})

t.test('the keyboard reaches all that can be opened or followed, and the focus is seen', async t => {
  await browser.show(renderPage(desk()), {}, async ({ page }) => {
    await page.keyboard.press('Tab')
    t.equal(await page.evaluate(() => document.activeElement?.className), 'skip')
    t.ok((await page.$eval('.skip', each => each.getBoundingClientRect().top)) >= 0, 'the skip link is shown')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    const first = await page.evaluate(() => {
      const { activeElement: active } = document
      return { main: active?.closest('main') !== null, outline: active && getComputedStyle(active).outlineStyle }
    })
    t.same(first, { main: true, outline: 'solid' })
    const wanted = await page.$$eval(
      'main a, main summary, main pre',
      all => all.filter(each => each.checkVisibility()).length,
    )
    let reached = 1
    for (; reached < wanted + 5; reached += 1) {
      await page.keyboard.press('Tab')
      if (
        !(await page.evaluate(
          () => document.activeElement?.closest('main') !== null && document.activeElement !== document.body,
        ))
      )
        break
    }
    t.equal(reached, wanted)
  })
})

t.test('headings have no gaps, and landmarks are there once', async t => {
  for (const contents of Object.values(SAMPLES)) {
    await browser.show(renderPage(contents), {}, async ({ page }) => {
      const levels = await page.$$eval('h1,h2,h3,h4', all => all.map(each => Number(each.tagName.slice(1))))
      t.same(
        levels.filter((level, n) => level > (levels[n - 1] ?? 0) + 1),
        [],
      )
      t.same(await page.$$eval('body > header, body > main, body > footer', all => all.map(each => each.tagName)), [
        'HEADER',
        'MAIN',
        'FOOTER',
      ])
    })
  }
})

t.test('a screen reader hears each bar: its name, and what is shared', async t => {
  await browser.show(renderPage(desk()), {}, async ({ page }) => {
    const names = await page.$$eval('svg.bar', all =>
      all.map(each =>
        (each.getAttribute('aria-labelledby') ?? '')
          .split(' ')
          .map(id => document.getElementById(id)?.textContent.trim())
          .join(' | '),
      ),
    )
    t.equal(names.length, 8)
    t.match(
      names[0],
      /^Layers of shop:2\.3, linux\/amd64 \| 6\u00a0layers, 100\u00a0MB\. Shared with other images: A \(32\.6\u00a0MB\), B \(49\.4\u00a0MB\)\.$/,
    )
  })
})

t.test('on paper, all that is folded is printed', async t => {
  await browser.show(renderPage(single()), { print: true }, async ({ page }) => {
    const heights = await page.$$eval('details > :not(summary)', all =>
      all.map(each => each.getBoundingClientRect().height),
    )
    t.ok(heights.length > 0 && heights.every(height => height > 0), JSON.stringify(heights))
  })
})
