/** docs/bundles.md: what its commands on recovery data print is what they print here. The rest needs engines. */
import { join } from 'node:path'
import t from 'tap'
import { openDesk } from '../support/desk.js'
import { writeLayout } from '../support/images.js'
import { runPage } from '../support/page.js'
import { monitorImage, shopImage } from '../support/samples.js'
import { scratch } from '../support/scratch.js'

t.test('docs/bundles.md: a damaged bundle is repaired', async t => {
  const desk = openDesk(t, { places: { '/media/stick': scratch(t) } })
  await writeLayout(join(desk.work, 'images'), { 'monitor:1.4': await monitorImage(), 'shop:2.3': await shopImage() })
  await desk.prepare('stowage pack oci:images:monitor:1.4 oci:images:shop:2.3 -o /media/stick/site-b')
  const steps = await runPage(t, 'docs/bundles.md', desk.run, {
    having: 'site-b on the stick',
    // The images have a program of this machine in them
    settled: text => text.replace(/\b\d+ (?=recovery blocks|blocks)/g, 'N '),
  })
  t.equal(steps, 5)
})
