/** docs/completion.md: its commands put the scripts where the shells look, and the shells take them. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { runPage } from '../support/page.js'
import { scratch } from '../support/scratch.js'

t.test('docs/completion.md does what it says', async t => {
  const system = scratch(t)
  const [bash, zsh] = ['/etc/bash_completion.d', '/usr/local/share/zsh/site-functions']
  const places = { [bash]: join(system, bash), [zsh]: join(system, zsh) }
  for (const directory of Object.values(places)) mkdirSync(directory, { recursive: true })
  const desk = openDesk(t, { places })
  await runPage(t, 'docs/completion.md', desk.run)
  const fish = join(desk.home, '.config/fish/completions/stowage.fish')
  execFileSync('bash', ['-n', join(system, bash, 'stowage')])
  execFileSync('zsh', ['-n', join(system, zsh, '_stowage')])
  execFileSync('fish', ['--no-execute', fish])
})
