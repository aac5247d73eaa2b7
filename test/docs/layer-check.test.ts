/** docs/layer-check.md: what its commands print is what they print here. */
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SAMPLE } from '../support/base-images.js'
import { openDesk } from '../support/desk.js'
import { runPage } from '../support/page.js'

t.test('docs/layer-check.md does what it says', async t => {
  const desk = openDesk(t)
  copyFileSync(SAMPLE, join(desk.work, 'NanoServer.wim'))
  await desk.prepare('stowage layer from-wim NanoServer.wim -o layer.tar.gz')
  await runPage(t, 'docs/layer-check.md', desk.run)
})
