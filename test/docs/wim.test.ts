/** docs/wim.md: what its commands print is what they print here. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { runPage } from '../support/page.js'

t.test('docs/wim.md does what it says', async t => {
  const desk = openDesk(t)
  const tree = join(desk.work, 'tree')
  mkdirSync(tree)
  writeFileSync(join(tree, 'old.txt'), 'of last month\n')
  await desk.prepare('stowage wim capture tree base.wim')
  writeFileSync(join(tree, 'new.txt'), 'of this month\n')
  await runPage(t, 'docs/wim.md', desk.run)
})
