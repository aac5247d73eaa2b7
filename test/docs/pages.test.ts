/** What holds for every page: its console blocks are run or say why not, its examples are valid, and its links lead somewhere. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import typescript from 'typescript'
import { parse } from 'yaml'
import { stowage } from '../support/command.js'
import { type Block, fencedBlocks, parsePage, parseSteps, readPage } from '../support/page.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const DOCS = readdirSync(join(ROOT, 'docs'))
  .filter(name => name.endsWith('.md'))
  .map(name => `docs/${name}`)
/** Pages of which each console block is run. */
const PAGES = ['README.md', ...DOCS]
const ALL = [...PAGES, 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'fixtures/README.md']

/** A comment before a block: any other would be a misspelled one. */
const MARK = /^<!-- (not run: needs \S.*|run with: \S.*|exit codes?: \d+(, \d+)*) -->$/

interface Run {
  readonly page: string
  /** What the test has that the blocks it runs need. */
  readonly having: string | undefined
}

/** Every `runPage(t, PAGE, …, { having: WHAT })` of the tests. */
const RUNS: readonly Run[] = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.test.ts'))
  .flatMap(name => {
    const text = readFileSync(join(ROOT, 'test', name), 'utf8')
    return text.includes('runPage(')
      ? callsIn(typescript.createSourceFile(name, text, typescript.ScriptTarget.ES2023))
      : []
  })

function callsIn(node: typescript.Node): readonly Run[] {
  const inside: Run[] = []
  typescript.forEachChild(node, child => void inside.push(...callsIn(child)))
  if (!typescript.isCallExpression(node) || !typescript.isIdentifier(node.expression)) return inside
  const [, page, , options] = node.arguments
  if (node.expression.text !== 'runPage' || !page || !typescript.isStringLiteral(page)) return inside
  const having =
    options && typescript.isObjectLiteralExpression(options)
      ? options.properties
          .filter(typescript.isPropertyAssignment)
          .filter(({ name }) => typescript.isIdentifier(name) && name.text === 'having')
          .map(({ initializer }) => (typescript.isStringLiteral(initializer) ? initializer.text : ''))[0]
      : undefined
  return [...inside, { page: page.text, having }]
}

const blocksOf = (page: string): readonly Block[] => parsePage(readPage(page)).filter(part => typeof part !== 'string')

for (const page of PAGES) {
  t.test(`${page}: a test runs each console block, or the page says what it needs`, async t => {
    for (const block of blocksOf(page)) {
      const first = block.body.split('\n')[0] ?? ''
      for (const comment of block.comments.split('\n').slice(0, -1)) t.match(comment, MARK)
      if (block.notRun !== undefined) continue
      t.ok(parseSteps(block).length > 0, `${first}: steps`)
      const ran = RUNS.some(run => run.page === page && run.having === block.having)
      t.ok(ran, `${first}: run, or marked "not run: needs …"${block.having ? `, with ${block.having}` : ''}`)
    }
    // A fence of another form would be no console block to the parser
    t.equal(readPage(page).match(/^\s*```+ *(console|shell|sh|bash)\b/gm)?.length ?? 0, blocksOf(page).length)
  })
}

t.test('examples of JSON are JSON, and lists of images are what the schema allows', async t => {
  const { code, stdout } = await stowage(['schema'])
  t.equal(code, 0)
  const valid = new Ajv2020({ allowUnionTypes: true }).compile(JSON.parse(stdout) as object)
  let lists = 0
  for (const page of ALL) {
    for (const { language, body } of fencedBlocks(readPage(page))) {
      if (language === 'json') t.doesNotThrow(() => JSON.parse(body) as unknown, `${page}: ${body.slice(0, 40)}`)
      if (language !== 'yaml') continue
      const list = parse(body) as unknown
      t.ok(valid(list), `${page}: ${JSON.stringify(valid.errors)}`)
      lists++
    }
  }
  t.ok(lists > 0, 'there is a list')
})

/** The anchor that a heading has on GitHub, and in other places that show Markdown. */
function slug(heading: string): string {
  return heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-')
}

function anchorsOf(page: string): ReadonlySet<string> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of withoutFences(readPage(page)).matchAll(/^#+ (.*)$/gm)) {
    const anchor = slug(heading)
    let [name, n] = [anchor, 0]
    while (anchors.has(name)) name = `${anchor}-${++n}`
    anchors.add(name)
  }
  return anchors
}

const withoutFences = (text: string): string => text.replace(/^ *```[\s\S]*?^ *```$/gm, '')

for (const page of ALL) {
  t.test(`${page}: every link leads to a file, and to a heading in it`, async t => {
    const text = withoutFences(readPage(page)).replace(/`[^`\n]*`/g, code => code.replace(/[[\]()]/g, ' '))
    const links = [...text.matchAll(/\]\(([^)\s]+)\)|\b(?:src|href)="([^"]+)"/g)].map(([, a, b]) => a ?? b ?? '')
    const broken = links.filter(link => {
      if (/^[a-z]+:/.test(link)) return false
      const [path = '', anchor] = link.split('#')
      const file = path === '' ? page : relative(ROOT, join(ROOT, dirname(page), path))
      if (!existsSync(join(ROOT, file))) return true
      return anchor !== undefined && file.endsWith('.md') && !anchorsOf(file).has(anchor)
    })
    t.same(broken, [])
  })
}
