/** docs/base-images.md: what its commands print is what they print here. */
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SAMPLE } from '../support/base-images.js'
import { openDesk } from '../support/desk.js'
import { runPage } from '../support/page.js'
import { scratchLike } from '../support/scratch.js'

t.test('docs/base-images.md does what it says', async t => {
  const [stick, home] = [scratchLike(t, '/media/stick'), scratchLike(t, '/home/alice')]
  const desk = openDesk(t, { home, places: { '/media/stick': stick, '/home/alice': home } })
  mkdirSync(join(stick, 'wims'))
  copyFileSync(SAMPLE, join(stick, 'wims', 'NanoServer.wim'))
  const settled = (text: string): string => text.replace(/\d+ hours?, \d+ minutes?, \d+ seconds?/g, 'TIME')
  await runPage(t, 'docs/base-images.md', desk.run, { settled })
})
