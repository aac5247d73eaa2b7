/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** A real browser: Chromium, without a network and without the files of a person. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import puppeteer, { type Browser, type Page } from 'puppeteer-core'

/** How a page is looked at. */
export interface Look {
  readonly scheme?: 'light' | 'dark'
  readonly width?: number
  readonly print?: boolean
  /** Whether scripts of the page could run (the default). */
  readonly script?: boolean
  /** Whether all that is folded is opened. */
  readonly open?: boolean
}

/** A page that is open, and what it has done that it should not. */
export interface Shown {
  readonly page: Page
  readonly deeds: readonly string[]
}

/** What axe says is wrong: its rule, and where. */
export interface Violation {
  readonly rule: string
  readonly where: readonly string[]
}

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

export class RealBrowser implements AsyncDisposable {
  readonly #browser: Browser
  readonly #directory: string

  private constructor(browser: Browser, directory: string) {
    this.#browser = browser
    this.#directory = directory
  }

  static async launch(): Promise<RealBrowser> {
    const directory = await mkdtemp(join(tmpdir(), 'stowage-browser-'))
    const browser = await puppeteer.launch({
      executablePath: '/usr/bin/chromium',
      // Tests run as root, in containers with a small /dev/shm
      args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
      userDataDir: join(directory, 'profile'),
      pipe: true,
    })
    return new RealBrowser(browser, directory)
  }

  /** Shows `html` from a file, with `use`, and reports dialogs, requests, errors and refusals of its policy. */
  async show<T>(html: Uint8Array, look: Look, use: (shown: Shown) => Promise<T>): Promise<T> {
    const { scheme = 'light', width = 1280, print = false, script = true, open = false } = look
    const file = join(this.#directory, 'index.html')
    await writeFile(file, html)
    const page = await this.#browser.newPage()
    const deeds: string[] = []
    page.on('dialog', dialog => {
      deeds.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    page.on('request', request => {
      if (request.url() !== `file://${file}`) deeds.push(`request: ${request.url()}`)
    })
    page.on('pageerror', error => deeds.push(`error: ${String(error)}`))
    page.on('console', message => deeds.push(`console: ${message.text()}`))
    page.on('popup', () => deeds.push('popup'))
    try {
      await page.setJavaScriptEnabled(script)
      await page.setViewport({ width, height: 900 })
      await page.emulateMediaType(print ? 'print' : 'screen')
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
      await page.goto(`file://${file}`)
      if (open) await page.$$eval('details', all => all.forEach(each => (each.open = true)))
      return await use({ page, deeds })
    } finally {
      await page.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** What axe-core finds, with all its rules. */
export async function violationsOf(page: Page): Promise<readonly Violation[]> {
  // Its policy would refuse a script tag; what the debugger evaluates is not bound by it
  const { readFile } = await import('node:fs/promises')
  await page.evaluate(await readFile(AXE, 'utf8'))
  return await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') } // it was put there above
    const { violations } = await axe.run(document, { resultTypes: ['violations'] })
    return violations.map(({ id, nodes }) => ({
      rule: id,
      where: nodes.slice(0, 5).map(node => node.target.join(' ')),
    }))
  })
}

/** The elements that are wider than the window, by tag and class. */
export async function overflowOf(page: Page): Promise<readonly string[]> {
  return await page.evaluate(() => {
    const { documentElement: root } = document
    if (root.scrollWidth <= root.clientWidth) return []
    return [...document.querySelectorAll('body *')]
      .filter(each => each.getBoundingClientRect().right > root.clientWidth + 1)
      .slice(0, 5)
      .map(each => `${each.tagName} ${each.getAttribute('class') ?? ''} ${each.textContent.slice(0, 40)}`)
  })
}
