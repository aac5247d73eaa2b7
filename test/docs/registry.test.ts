/** docs/registry.md: what its commands print with Debian's docker-registry is what they print here. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { runPage } from '../support/page.js'
import { pushWithSkopeo, startRegistry } from '../support/registry.js'
import { shopImage } from '../support/samples.js'
import { scratch, scratchLike } from '../support/scratch.js'

const PASSWORD = 'open sesame'

t.test('docs/registry.md does what it says', async t => {
  const users = join(scratch(t), 'users')
  execFileSync('htpasswd', ['-Bbc', users, 'alice', PASSWORD], { stdio: 'ignore' })
  const open = await startRegistry(t)
  const closed = await startRegistry(t, [`auth: {htpasswd: {realm: site, path: ${users}}}`])
  await pushWithSkopeo(t, open, 'team/shop:2.3', await shopImage())
  const home = scratchLike(t, '/home/alice')
  const places = { '/home/alice': home, '127.0.0.1:50000': open.domain, 'registry.example': closed.domain }
  const desk = openDesk(t, { home, places })
  await runPage(t, 'docs/registry.md', async step =>
    step.command.includes(' login ') ? await desk.answer(step, 'assword: ', PASSWORD) : await desk.run(step),
  )
})
