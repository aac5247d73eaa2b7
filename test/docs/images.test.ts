/** docs/images.md: what its commands print of a store on disk is what they print here. test/engines/pages.test.ts has an engine. */
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { hideAges, runPage } from '../support/page.js'
import { standingImages } from '../support/stored.js'

t.test('docs/images.md does what it says', async t => {
  const desk = openDesk(t)
  const { nano, app, shop, other } = await standingImages()
  await writeLayout(join(desk.home, '.local/share/stowage/store'), {
    'nanoserver:10.0.14300.1010': nano,
    'registry.example:5000/team/app:1': app,
    'shop:2.3': shop,
    'other:1': other,
  })
  await runPage(t, 'docs/images.md', desk.run, { settled: hideAges })
})
