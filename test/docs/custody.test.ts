/** docs/custody.md: what its commands print is what they print here. */
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { runPage } from '../support/page.js'
import { shopImage } from '../support/samples.js'

t.test('docs/custody.md does what it says', async t => {
  const desk = openDesk(t)
  await writeLayout(join(desk.work, 'shop'), { 'shop:2.3': await shopImage() })
  // Of two logs that began within a second, either may come first
  const settled = (text: string): string =>
    text
      .replace(/^[0-9a-f]{16} {3}\S+ +/gm, 'LOG HOST ')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/g, 'TIME')
      .replace(/sha256:[0-9a-f]+…?/g, 'HEAD')
      .replace(/^LOG +HOST +ENTRIES.*$/m, 'TITLES')
  t.equal(await runPage(t, 'docs/custody.md', desk.run, { settled }), 15)
})
