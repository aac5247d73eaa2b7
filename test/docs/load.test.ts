/** docs/load.md: what its commands print without an engine is what they print here. test/engines/pages.test.ts has engines. */
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { type Ran, runPage, type Step } from '../support/page.js'
import { shopImage } from '../support/samples.js'
import { scratchLike } from '../support/scratch.js'

t.test('docs/load.md does what it says', async t => {
  const home = scratchLike(t, '/home/alice')
  const desk = openDesk(t, { home, work: home, places: { '/home/alice': home } })
  await writeLayout(join(desk.work, 'shop'), { 'shop:2.3': await shopImage() })
  await desk.prepare(
    'age-keygen -o key.txt',
    'mkdir -m 700 .gnupg',
    'gpg --batch --quiet --passphrase "" --quick-generate-key site@example.com',
    'gpg --check-trustdb',
  )
  t.teardown(() => desk.run({ command: 'gpgconf --kill all' }))
  const { output: recipient } = await desk.run({ command: 'age-keygen -y key.txt' })
  const run = async ({ command }: Step): Promise<Ran> =>
    await desk.run({ command: command.replace(/age1\w+…/, recipient.trim()) })
  await runPage(t, 'docs/load.md', run, { settled: text => text.replace(/\.stowage-\w{6}\b/g, '.stowage-XXXXXX') })
})
