import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const ROOT = join(import.meta.dirname, '../..')

t.test('the picture of the README is the one that scripts/journey.mjs draws, and is XML', async t => {
  const { journey } = (await import(join(ROOT, 'scripts', 'journey.mjs'))) as { journey: () => string }
  t.equal(readFileSync(join(ROOT, 'docs', 'journey.svg'), 'utf8'), journey())
  const read = 'import sys, xml.dom.minidom; print(xml.dom.minidom.parse(sys.argv[1]).documentElement.tagName)'
  t.equal(execFileSync('python3', ['-c', read, join(ROOT, 'docs', 'journey.svg')], { encoding: 'utf8' }), 'svg\n')
})
