/** docs/page.md: what its command prints is what it prints here. */
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { runPage } from '../support/page.js'
import { shopImage } from '../support/samples.js'

t.test('docs/page.md does what it says', async t => {
  const desk = openDesk(t)
  await writeLayout(join(desk.work, 'shop'), { 'shop:2.3': await shopImage() })
  await desk.prepare('stowage pack oci:shop -o site-a')
  t.equal(await runPage(t, 'docs/page.md', desk.run), 1)
})
