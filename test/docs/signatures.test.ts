/** docs/signatures.md: what its commands print is what they print here; test/engines/signatures.test.ts has cosign and a token. */
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { runPage } from '../support/page.js'
import { shopImage } from '../support/samples.js'

t.test('docs/signatures.md does what it says', async t => {
  const desk = openDesk(t)
  await writeLayout(join(desk.work, 'shop'), { 'shop:2.3': await shopImage() })
  await desk.prepare('echo open sesame > secret')
  const settled = (text: string): string =>
    text
      .replace(/^(Key id: +)[0-9a-f]{64}$/m, `$1${'7'.repeat(64)}`)
      .replace(/\bkey [0-9a-f]{16}\b/g, `key ${'7'.repeat(16)}`)
  t.equal(await runPage(t, 'docs/signatures.md', desk.run, { settled }), 7)
})
